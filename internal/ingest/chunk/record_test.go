package chunk

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func rows(n int, whole bool) (blocks []Block) {
	for i := range n {
		b := Block{Kind: KindRecord, Text: fmt.Sprintf("sku: A-%d\nname: Part %d", i, i), Anchor: fmt.Sprintf("line %d", i+2)}
		if whole {
			b.Whole, b.Title, b.Key = true, fmt.Sprintf("Part %d", i), fmt.Sprintf(`["A-%d"]`, i)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

func TestARecordIsAChunkOfItsOwn(t *testing.T) {
	for _, strategy := range Strategies() {
		blocks := append([]Block{{Kind: KindHeading, Level: 1, Text: "Prices"}, {Kind: KindText, Text: "As of March."}, {Kind: KindHeading, Level: 1, Text: "Sheet"}}, rows(3, true)...)
		blocks = append(blocks, Block{Kind: KindText, Text: "The end."})
		chunks := Split(by(strategy), "doc_1", "Catalogue", blocks)
		var texts, paths []string
		for _, c := range chunks {
			texts, paths = append(texts, c.Text), append(paths, strings.Join(c.Heading, "/"))
		}
		// The heading of records alone is in their paths.
		want := []string{"Prices\n\nAs of March.", blocks[3].Text, blocks[4].Text, blocks[5].Text, "The end."}
		if !slices.Equal(texts, want) || paths[1] != "Catalogue/Sheet/Part 0" || chunks[1].Anchor != "line 2" || chunks[1].Kind != KindRecord {
			t.Errorf("%s: %q %q", strategy, texts, paths)
		}
	}
	// As they are read without a word about them, the strategy says it.
	if n := len(Split(by(Record), "doc_1", "", rows(50, false))); n != 50 {
		t.Errorf("%d chunks", n)
	}
	if n := len(Split(by(Headings), "doc_1", "", rows(50, false))); n > 10 {
		t.Errorf("%d chunks", n)
	}
}

func TestALongRecordRepeatsItsTitle(t *testing.T) {
	w := newWords(3)
	long := Block{Kind: KindRecord, Whole: true, Title: "Pump P-17", Text: strings.Join(w.sentences(200), "\n")}
	blocks := []Block{long}
	chunks := Split(by(Record), "doc_1", "Catalogue", blocks)
	checkWhole(t, by(Record), blocks, chunks)
	if len(chunks) < 3 {
		t.Fatalf("%d chunks", len(chunks))
	}
	for i, c := range chunks {
		if strings.HasPrefix(c.Text, "Pump P-17\n") != (i > 0) || c.Tokens > Default().Max {
			t.Errorf("chunk %d of %d tokens begins with %q", i, c.Tokens, c.Text[:40])
		}
	}
	// One that is as long as a chunk may be is one chunk; a title that would take much of each is not repeated.
	if fits := Split(by(Record), "doc_1", "", []Block{{Kind: KindRecord, Whole: true, Text: strings.Repeat("word ", 600)}}); len(fits) != 1 || fits[0].Tokens != 600 {
		t.Errorf("%d chunks", len(fits))
	}
	long.Title = strings.Repeat("word ", 100)
	for _, c := range Split(by(Record), "doc_1", "", []Block{long})[1:] {
		if strings.HasPrefix(c.Text, "word word") {
			t.Error("a long title is repeated")
		}
	}
}

func TestOneChangedRowIsOneNewChunk(t *testing.T) {
	ids := func(blocks []Block) map[string]bool {
		all := map[string]bool{}
		for _, c := range Split(by(Headings), "doc_1", "Catalogue", blocks) {
			all[c.ID] = true
		}
		return all
	}
	missing := func(from, in map[string]bool) (n int) {
		for id := range from {
			if !in[id] {
				n++
			}
		}
		return n
	}
	before := ids(rows(1000, true))
	if len(before) != 1000 {
		t.Fatalf("%d ids", len(before))
	}
	edited := rows(1000, true)
	edited[500].Text += "\nprice: 3"
	if n := missing(ids(edited), before); n != 1 {
		t.Errorf("%d chunks are new after an edit", n)
	}
	moved := rows(1000, true)
	slices.Reverse(moved)
	if n := missing(ids(moved), before); n != 0 {
		t.Errorf("%d chunks are new after a change of the order", n)
	}
	// Records of the same words keep apart by their keys, whichever of them goes.
	twins := []Block{{Kind: KindRecord, Whole: true, Key: "1", Text: "same"}, {Kind: KindRecord, Whole: true, Key: "2", Text: "same"}}
	both, second := ids(twins), ids(twins[1:])
	if len(both) != 2 || missing(second, both) != 0 {
		t.Errorf("%v %v", both, second)
	}
}
