package analyze

import (
	"slices"
	"testing"
)

func FuzzAnalyzer(f *testing.F) {
	analyzer, err := New()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("The Zürich office's contracts, 解約の通知期間 — ＦＵＬＬ width")
	f.Add("\xff\xfe\x00 broken")
	f.Fuzz(func(t *testing.T, text string) {
		for _, token := range analyzer.Analyze([]byte(Passage("", "", text))) {
			if len(token.Term) == 0 || len(token.Term) > MaxTermBytes {
				t.Fatalf("term %q", token.Term)
			}
		}
	})
}

func TestAnalyzer(t *testing.T) {
	analyzer, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]string{
		"The carrier's Contracts, running in Zürich": {"carrier", "contract", "run", "zurich"},
		"Kündigungsfrist ＡＢＣ café":                   {"kundigungsfrist", "abc", "cafe"},
		"解約通知":                                       {"解約", "約通", "通知"},
		"ISO-9001 v2.5":                              {"iso", "9001", "v2.5"},
	} {
		var got []string
		for _, token := range analyzer.Analyze([]byte(text)) {
			got = append(got, string(token.Term))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
