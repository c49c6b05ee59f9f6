package chunk

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"airfield/internal/id"
)

// words makes the texts of these tests: the same seed gives the same text.
type words struct{ *rand.Rand }

func newWords(seed uint64) words { return words{rand.New(rand.NewPCG(seed, 1))} }

func (w words) word() string {
	syllables := []string{"ka", "lo", "mi", "ter", "pan", "su", "ver", "ol", "int", "ge", "ro", "shi", "na", "fe", "du"}
	var out strings.Builder
	for range 1 + w.IntN(4) {
		out.WriteString(syllables[w.IntN(len(syllables))])
	}
	return out.String()
}

func (w words) sentence() string {
	var out []string
	for range 6 + w.IntN(18) {
		out = append(out, w.word())
	}
	s := strings.Join(out, " ")
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

func (w words) sentences(n int) []string {
	var out []string
	for range n {
		out = append(out, w.sentence())
	}
	return out
}

func (w words) paragraph(n int) string { return strings.Join(w.sentences(n), " ") }

// checkWhole fails unless every character is in exactly one chunk, in order, and every chunk is what it says it is.
func checkWhole(t *testing.T, cfg Config, blocks []Block, chunks []Chunk) {
	t.Helper()
	joined := Join(blocks)
	at := 0
	seen := map[string]bool{}
	for i, c := range chunks {
		if c.Start < at || c.End <= c.Start || c.End > len(joined) {
			t.Fatalf("chunk %d is %d to %d after %d, of %d", i, c.Start, c.End, at, len(joined))
		}
		if lost := strings.TrimSpace(joined[at:c.Start]); lost != "" {
			t.Fatalf("in no chunk: %q", lost)
		}
		if !strings.HasSuffix(c.Text, joined[c.Start:c.End]) {
			t.Fatalf("chunk %d does not end with its own text:\n%q\n%q", i, c.Text, joined[c.Start:c.End])
		}
		if c.Ordinal != i || c.Tokens != EstimateTokens(c.Text) || c.Kind == "" {
			t.Fatalf("chunk %d is %+v", i, c)
		}
		if c.Tokens > cfg.Max {
			t.Fatalf("chunk %d has %d tokens, above %d", i, c.Tokens, cfg.Max)
		}
		if seen[c.ID] || !id.Has(c.ID, "chk") {
			t.Fatalf("chunk %d has the bad or doubled id %q", i, c.ID)
		}
		seen[c.ID] = true
		at = c.End
	}
	if lost := strings.TrimSpace(joined[at:]); lost != "" {
		t.Fatalf("in no chunk: %q", lost)
	}
}

func TestChunksStayUnderTheirHeading(t *testing.T) {
	w := newWords(1)
	blocks := []Block{
		{Kind: KindHeading, Text: "Handbook", Level: 1, Anchor: "#handbook"},
		{Kind: KindHeading, Text: "Leave", Level: 2, Anchor: "#leave"},
		{Kind: KindText, Text: w.paragraph(3)},
		{Kind: KindHeading, Text: "Sick leave", Level: 3},
		{Kind: KindText, Text: w.paragraph(40)},
		{Kind: KindHeading, Text: "Travel", Level: 2},
		{Kind: KindText, Text: w.paragraph(2)},
	}
	chunks := Split(Default(), "doc_1", "Handbook", blocks)
	checkWhole(t, Default(), blocks, chunks)
	var paths []string
	for _, c := range chunks {
		paths = append(paths, strings.Join(c.Heading, " / "))
	}
	if want := []string{"Handbook / Leave", "Handbook / Leave / Sick leave", "Handbook / Travel"}; !reflect.DeepEqual(slices.Compact(slices.Clone(paths)), want) {
		t.Fatalf("paths are %q", paths)
	}
	if first := chunks[0]; !strings.HasPrefix(first.Text, "Handbook\n\nLeave\n\n") || first.Anchor != "#handbook" {
		t.Fatalf("the first chunk is %+v", first)
	}
	if len(chunks) < 5 || chunks[2].Heading[2] != "Sick leave" || strings.Contains(chunks[2].Text, "Sick leave") {
		t.Fatalf("a later chunk of a section repeats its heading: %+v", chunks[2])
	}
}

func TestAHeadingWithNothingUnderItIsNotLost(t *testing.T) {
	blocks := []Block{
		{Kind: KindHeading, Text: "One", Level: 1}, {Kind: KindHeading, Text: "Two", Level: 1}, {Kind: KindText, Text: "Body."},
		{Kind: KindHeading, Text: "Three", Level: 1},
	}
	chunks := Split(Default(), "doc_1", "", blocks)
	checkWhole(t, Default(), blocks, chunks)
	if len(chunks) != 3 || chunks[0].Kind != KindHeading || chunks[1].Text != "Two\n\nBody." || chunks[1].Kind != KindText {
		t.Fatalf("chunks are %+v", chunks)
	}
}

func TestATablesHeaderIsRepeatedInEachPiece(t *testing.T) {
	w := newWords(2)
	rows := []string{"Port | Fee | Note"}
	for i := range 120 {
		rows = append(rows, fmt.Sprintf("%s | %d | %s", w.word(), i, w.paragraph(1)))
	}
	blocks := []Block{{Kind: KindText, Text: "The fees of all ports."}, {Kind: KindTable, Text: strings.Join(rows, "\n"), Header: 1}}
	chunks := Split(Default(), "doc_1", "Fees", blocks)
	checkWhole(t, Default(), blocks, chunks)
	if len(chunks) < 5 {
		t.Fatalf("only %d chunks", len(chunks))
	}
	for i, c := range chunks {
		if strings.Count(c.Text, rows[0]) != 1 {
			t.Errorf("chunk %d does not hold the header once: %q", i, c.Text)
		}
		for _, line := range strings.Split(c.Text[strings.Index(c.Text, rows[0]):], "\n") {
			if strings.Count(line, " | ") != 2 {
				t.Errorf("chunk %d cuts a row: %q", i, line)
			}
		}
	}
	if chunks[0].Kind != KindText || chunks[1].Kind != KindTable {
		t.Errorf("kinds are %s, %s", chunks[0].Kind, chunks[1].Kind)
	}
}

func TestSmallRecordsArePackedAndNeverCut(t *testing.T) {
	w := newWords(3)
	var blocks []Block
	for i := range 100 {
		blocks = append(blocks, Block{Kind: KindRecord, Anchor: fmt.Sprintf("line %d", i+2),
			Text: fmt.Sprintf("id: %d\nname: %s\nnote: %s", i, w.word(), w.paragraph(2))})
	}
	chunks := Split(Default(), "doc_1", "Orders", blocks)
	checkWhole(t, Default(), blocks, chunks)
	if len(chunks) > 50 {
		t.Errorf("%d chunks: records were not packed", len(chunks))
	}
	for _, c := range chunks {
		if !strings.HasPrefix(c.Text, "id: ") || c.Kind != KindRecord || !strings.HasPrefix(c.Anchor, "line ") {
			t.Errorf("a chunk begins within a record: %+v", c)
		}
	}
}

func TestPagesAreMetadata(t *testing.T) {
	w := newWords(4)
	var blocks []Block
	for page := 1; page <= 8; page++ {
		blocks = append(blocks, Block{Kind: KindText, Text: w.paragraph(20), Page: page})
	}
	chunks := Split(Default(), "doc_1", "", blocks)
	checkWhole(t, Default(), blocks, chunks)
	moved := slices.Clone(blocks)
	for i := range moved {
		moved[i].Page += 3
	}
	for i, c := range Split(Default(), "doc_1", "", moved) {
		if c.ID != chunks[i].ID || c.PageFrom != chunks[i].PageFrom+3 || c.PageTo != chunks[i].PageTo+3 {
			t.Fatalf("chunk %d changed with its page: %+v, %+v", i, chunks[i], c)
		}
		if c.PageFrom > c.PageTo {
			t.Fatalf("chunk %d is on pages %d to %d", i, c.PageFrom, c.PageTo)
		}
	}
	if chunks[0].PageFrom != 1 || chunks[len(chunks)-1].PageTo != 8 {
		t.Fatalf("pages are %d to %d", chunks[0].PageFrom, chunks[len(chunks)-1].PageTo)
	}
}

func TestTheSameTextTwiceHasTwoIDs(t *testing.T) {
	same := newWords(5).paragraph(3)
	blocks := []Block{
		{Kind: KindHeading, Text: "A", Level: 1}, {Kind: KindText, Text: same},
		{Kind: KindHeading, Text: "A", Level: 1}, {Kind: KindText, Text: same},
	}
	a := Split(Default(), "doc_1", "", blocks)
	checkWhole(t, Default(), blocks, a)
	if b := Split(Default(), "doc_1", "", blocks); !reflect.DeepEqual(a, b) {
		t.Fatal("the same input gave other chunks")
	}
	if b := Split(Default(), "doc_2", "", blocks); b[0].ID == a[0].ID {
		t.Fatal("two documents share a chunk id")
	}
}

func TestOverlapRepeatsWholeUnitsWithinASection(t *testing.T) {
	cfg := Default()
	cfg.Overlap = 60
	blocks := []Block{{Kind: KindHeading, Text: "A", Level: 1}, {Kind: KindText, Text: newWords(6).paragraph(80)},
		{Kind: KindHeading, Text: "B", Level: 1}, {Kind: KindText, Text: newWords(7).paragraph(80)}}
	chunks := Split(cfg, "doc_1", "", blocks)
	checkWhole(t, cfg, blocks, chunks)
	joined := Join(blocks)
	for i := 1; i < len(chunks); i++ {
		repeated := strings.TrimSpace(strings.TrimSuffix(chunks[i].Text, joined[chunks[i].Start:chunks[i].End]))
		crosses := chunks[i].Heading[0] != chunks[i-1].Heading[0]
		if crosses != (repeated == "") || !strings.HasSuffix(chunks[i-1].Text, repeated) || EstimateTokens(repeated) > cfg.Overlap {
			t.Errorf("chunk %d repeats %q", i, repeated)
		}
	}
}

func TestSizesAreNearTheTarget(t *testing.T) {
	blocks := []Block{{Kind: KindText, Text: newWords(8).paragraph(3000)}}
	chunks := Split(Default(), "doc_1", "", blocks)
	checkWhole(t, Default(), blocks, chunks)
	total := 0
	for _, c := range chunks {
		total += c.Tokens
		if c.Tokens < 80 {
			t.Errorf("a chunk of %d tokens", c.Tokens)
		}
	}
	if mean := total / len(chunks); mean < 240 || mean > 400 {
		t.Errorf("chunks have %d tokens on average; the target is 320", mean)
	}
}

func TestHardTexts(t *testing.T) {
	for name, text := range map[string]string{
		"no spaces at all":           strings.Repeat("abcdefghij", 3000),
		"one character for ever":     strings.Repeat("a", 20000),
		"ideographs without a stop":  strings.Repeat("港口費用與貨物運輸條款", 800),
		"ideographs with stops":      strings.Repeat("港口費用很高。貨物運輸條款如下！", 800),
		"the same sentence for ever": strings.Repeat("This is it. ", 4000),
		"a log of short lines":       strings.Repeat("ok\n", 5000),
		"words without punctuation":  strings.Repeat("alpha beta gamma delta ", 3000),
		"marks only":                 strings.Repeat("- . ! ? ", 3000),
		"abbreviations":              strings.Repeat("See Sec. 3.2 e.g. Mr. Smith vs. J. Doe. ", 500),
		"broken bytes":               strings.Repeat("a\xff\xfe b\x00 ", 2000),
		"spaces only":                "   \n\n \t ",
		"a sentence of 5,000 words":  newWords(9).word() + strings.Repeat(" "+newWords(10).word(), 5000) + ".",
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []string{KindText, KindTable, KindList, KindCode, KindRecord, KindHeading} {
				blocks := []Block{{Kind: kind, Text: text, Header: 1, Level: 1}}
				checkWhole(t, Default(), blocks, Split(Default(), "doc_1", "t", blocks))
			}
		})
	}
}

func TestSentences(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"One. Two! Three? Four", []string{"One.", "Two!", "Three?", "Four"}},
		{"See Sec. 4 and J. Doe, e.g. the rest. Done.", []string{"See Sec. 4 and J. Doe, e.g. the rest.", "Done."}},
		{`He said "No." Then left.`, []string{`He said "No."`, "Then left."}},
		{"Version 1.2 costs 3.50 dollars. Next.", []string{"Version 1.2 costs 3.50 dollars.", "Next."}},
		{"1. First point. 2. Second.", []string{"1. First point.", "2. Second."}},
		{"第一句。第二句！", []string{"第一句。", "第二句！"}},
		{"ends without", []string{"ends without"}},
		{"Wait... what? Yes.", []string{"Wait... what?", "Yes."}},
	} {
		var got []string
		for _, s := range sentences(c.text, span{0, len(c.text)}) {
			got = append(got, c.text[s.start:s.end])
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %q", c.text, got)
		}
	}
}

func TestCheck(t *testing.T) {
	if warnings, err := Default().Check(); err != nil || len(warnings) != 0 {
		t.Fatalf("the default: %v, %v", warnings, err)
	}
	for name, change := range map[string]func(*Config){
		"unknown strategy":  func(c *Config) { c.Strategy = "magic" },
		"too small":         func(c *Config) { c.Tokens = 4 },
		"max under target":  func(c *Config) { c.Max = 100 },
		"overlap too large": func(c *Config) { c.Overlap = 200 },
	} {
		c := Default()
		change(&c)
		if _, err := c.Check(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("Heading", "One. Two three.\nFour", 1, 40)
	f.Add("", "a | b\n1 | 2\n3 | 4", 2, 16)
	f.Add("日本", strings.Repeat("語。", 200), 3, 20)
	f.Add("x", strings.Repeat("y", 5000), 4, 16)
	f.Add("\xa4\xa4日朌", strings.Repeat("語。", 200), 62, 1)
	f.Add("x", "\xff\x80 \u2028 a", 5, 100)
	f.Fuzz(func(t *testing.T, heading, text string, shape, tokens int) {
		cfg := Default()
		cfg.Tokens = 16 + (tokens&0x7fffffff)%400
		cfg.Max = cfg.Tokens * 2
		kinds := []string{KindText, KindTable, KindList, KindCode, KindRecord}
		half := len(text) / 2
		blocks := []Block{
			{Kind: KindHeading, Text: heading[:min(len(heading), 16)], Level: shape % 7},
			{Kind: kinds[(shape&0xff)%5], Text: text[:half], Header: shape % 3, Page: shape % 2},
			{Kind: kinds[(shape>>8&0xff)%5], Text: text[half:], Header: 1, Page: shape % 2 * 2},
		}
		cfg.Max += 32 // the heading's own
		checkWhole(t, cfg, blocks, Split(cfg, "doc", "title", blocks))
	})
}
