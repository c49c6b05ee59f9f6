package builtin

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func cosine(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// The vectors are stored by every installation: one that changes makes searches wrong in silence. Where this fails, the
// change needs a new model name.
func TestVectorsAreWhatTheyWere(t *testing.T) {
	e := NewEmbedder()
	for text, want := range map[string]string{
		"The quick brown fox jumps over 1,250 lazy dogs.":           golden1,
		"Die Kündigungsfrist beträgt drei Monate zum Quartalsende.": golden2,
	} {
		v := e.Embed([]string{text})[0]
		var got []string
		for i, x := range v {
			if x != 0 && len(got) < 12 {
				got = append(got, fmt.Sprintf("%d:%.4f", i, x))
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s\n got %s\nwant %s", text, s, want)
		}
	}
}

func TestVectorsHaveLengthOneOrNone(t *testing.T) {
	e := NewEmbedder()
	texts := []string{"", "the and of", "word", "日本語の文章", "ภาษาไทย", "1 2 3", "ab\xff\xfecd", strings.Repeat("x", 100_000), strings.Repeat("different words every time ", 500)}
	for i, v := range e.Embed(texts) {
		want := 1.0
		if i < 2 {
			want = 0
		}
		if len(v) != Dimensions || math.Abs(cosine(v, v)-want) > 1e-5 {
			t.Errorf("%.20q: %d dimensions, length² %g", texts[i], len(v), cosine(v, v))
		}
		if alone := e.Embed(texts[i : i+1])[0]; !slices.Equal(alone, v) {
			t.Errorf("%.20q: another vector in another batch", texts[i])
		}
	}
}

func TestTextsAreNearByTheirWords(t *testing.T) {
	e := NewEmbedder()
	for _, c := range []struct{ name, text, nearer, farther string }{
		{"inflection", "cancelled contracts", "the cancellation of a contract", "the painting of a wall"},
		{"a typing error", "insurence certificate", "insurance certificate", "birth certificate"},
		{"German inflection", "Kündigungsfristen", "Die Kündigungsfrist beträgt drei Monate", "Die Lieferung erfolgt am Montag"},
		{"accents", "café résumé", "cafe resume", "cape result"},
		{"a phrase", "new york harbour", "the harbour of new york", "a new harbour near york"},
		{"a number", "invoice 1,250.00", "1250.00 on the invoice", "125 on the invoice"},
		{"Chinese", "北京大学", "北京大学的学生", "上海的天气"},
	} {
		v := e.Embed([]string{c.text, c.nearer, c.farther})
		if near, far := cosine(v[0], v[1]), cosine(v[0], v[2]); near <= far {
			t.Errorf("%s: %.3f to %q, %.3f to %q", c.name, near, c.nearer, far, c.farther)
		}
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"Hello, World!":             "hello world",
		"1,250.50 EUR and 1,25":     "1250.50 eur and 1.25",
		"NL-204 is A4":              "nl 204 is a4",
		"Straße Ærø Łódź":           "strasse aero lodz",
		"e\u0301te\u0301":           "ete",
		"10:30 h, 3.":               "10 30 h 3",
		"日本語":                       "日本 本語 語",
		"a\xffb":                    "a b",
		"don’t well-known über-all": "don t well known uber all",
	} {
		var got []string
		words(text, func(w word) { got = append(got, w.folded) })
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q: %q, want %q", text, s, want)
		}
	}
}

func FuzzEmbed(f *testing.F) {
	for _, s := range []string{"", "a b", "1,000.5", "日本", "\xff\u0301", "ẞ", "ﬁ Ⅷ"} {
		f.Add(s)
	}
	e := NewEmbedder()
	f.Fuzz(func(t *testing.T, s string) {
		last := 0
		words(s, func(w word) {
			if w.start < last-utf8.UTFMax || w.end <= w.start || w.end > len(s) {
				t.Errorf("%q: %+v", s, w)
			}
			last = w.end
		})
		for _, x := range e.Embed([]string{s})[0] {
			if x != x || x < -1.001 || x > 1.001 {
				t.Errorf("%q: %g", s, x)
			}
		}
	})
}

func BenchmarkEmbed(b *testing.B) {
	e := NewEmbedder()
	var texts []string
	size := 0
	for i := range 64 {
		var s strings.Builder
		for j := range 200 {
			h := mix(uint64(i*200 + j))
			// Words repeat as in a language: a few often, many seldom.
			fmt.Fprintf(&s, "%s%s ", []string{"ship", "contain", "deliver", "contract", "temper"}[h%5], []string{"ing", "ed", "s", "ment", "ature", "ation", ""}[h>>8%7])
		}
		texts = append(texts, s.String())
		size += s.Len()
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		e.Embed(texts)
	}
}

const (
	golden1 = "1:0.0533 28:0.0711 38:-0.0533 44:0.0711 46:0.3556 70:-0.0533 92:-0.0533 105:-0.0533 114:-0.0533 123:0.3556 139:-0.3556 154:-0.0533"
	golden2 = "6:0.4037 9:-0.0606 29:0.0807 32:-0.0606 35:-0.0807 51:-0.0606 53:-0.0606 55:-0.4037 69:0.0606 72:-0.0606 77:-0.0606 81:-0.0807"
)
