package extract

import "testing"

func TestLogicalOrder(t *testing.T) {
	for _, c := range []struct{ seen, read string }{
		{"plain words stay", "plain words stay"},
		{"עולם שלום", "שלום עולם"},
		{"עולם 12 שלום", "שלום 12 עולם"},
		{"Port of X נמל ברוכים", "ברוכים נמל Port of X"},
		{"the words עולם שלום in a sentence", "the words שלום עולם in a sentence"},
		{"", ""},
	} {
		if got := logical(c.seen); got != c.read {
			t.Errorf("%q: got %q, want %q", c.seen, got, c.read)
		}
	}
}
