package chunk

import (
	"slices"
	"strings"
	"testing"
)

func by(strategy string) Config {
	c := Default()
	c.Strategy = strategy
	return c
}

// manual is sections of prose, every third with a table.
func manual(w words, sections int) (blocks []Block) {
	for s := range sections {
		blocks = append(blocks, Block{Kind: KindHeading, Level: 2, Text: "Section " + w.sentence()}, Block{Kind: KindText, Text: w.paragraph(3)}, Block{Kind: KindText, Text: w.paragraph(6)})
		if s%3 == 0 {
			blocks = append(blocks, Block{Kind: KindTable, Header: 1, Text: "What | Where\n" + strings.Join(w.sentences(60), " | x\n")}, Block{Kind: KindText, Text: w.paragraph(2)})
		}
	}
	return blocks
}

func TestEveryStrategyLosesNothingAndKeepsToTheMaximum(t *testing.T) {
	for _, strategy := range Strategies() {
		t.Run(strategy, func(t *testing.T) {
			for name, build := range kinds {
				blocks := build(newWords(7).sentences(300))
				checkWhole(t, by(strategy), blocks, Split(by(strategy), "doc_1", "Report", blocks))
				if t.Failed() {
					t.Fatal(name)
				}
			}
			blocks := manual(newWords(8), 30)
			chunks := Split(by(strategy), "doc_1", "Manual", blocks)
			checkWhole(t, by(strategy), blocks, chunks)
			for _, c := range chunks {
				if len(c.Heading) < 2 || c.Heading[0] != "Manual" {
					t.Fatalf("a chunk stands under %q", c.Heading)
				}
				if strings.Contains(c.Text, " | x") && !strings.Contains(c.Text, "What | Where") {
					t.Fatalf("rows without their header: %q", c.Text)
				}
			}
		})
	}
}

func TestByEveryStrategyThatCanAnInsertedSentenceChangesFewChunks(t *testing.T) {
	for _, strategy := range []string{Tables, Recursive, Sentences} {
		for name, build := range kinds {
			t.Run(strategy+" "+name, func(t *testing.T) {
				w := newWords(100)
				text := w.sentences(fortyPages)
				old := Split(by(strategy), "doc_1", "Report", build(text))
				allowed := max(2, len(old)*3/100)
				worst, above, sum := 0, 0, 0
				for range 15 {
					n := fresh(old, Split(by(strategy), "doc_1", "Report", build(slices.Insert(slices.Clone(text), w.IntN(len(text)+1), w.sentence()))))
					if n > allowed {
						above++
					}
					worst, sum = max(worst, n), sum+n
				}
				t.Logf("15 edits of %d chunks: %.2f each, at worst %d", len(old), float64(sum)/15, worst)
				if sum == 0 || worst > 3 || above > 1 {
					t.Errorf("%d of 15 edits changed more than %d of %d chunks, one of them %d", above, allowed, len(old), worst)
				}
			})
		}
	}
}

func TestTablesStandAlone(t *testing.T) {
	blocks := manual(newWords(9), 12)
	mixed := 0
	for _, c := range Split(by(Headings), "doc_1", "", blocks) {
		if strings.Contains(c.Text, "What | Where") && c.Kind == KindText {
			mixed++
		}
	}
	if mixed == 0 {
		t.Fatal("the sample has no chunk of a table and text, so the test cannot fail")
	}
	tables := 0
	for _, c := range Split(by(Tables), "doc_1", "", blocks) {
		if strings.Contains(c.Text, "What | Where") {
			if tables++; c.Kind != KindTable {
				t.Errorf("a table with text around it: %q", c.Text)
			}
		}
	}
	if tables == 0 {
		t.Error("no table came out")
	}
}

func TestRecursiveCutsAtTheEndsOfSectionsFirst(t *testing.T) {
	starts := func(strategy string) (share float64) {
		chunks := Split(by(strategy), "doc_1", "", manual(newWords(10), 60))
		n := 0
		for _, c := range chunks {
			if strings.HasPrefix(c.Text, "Section ") {
				n++
			}
		}
		return float64(n) / float64(len(chunks))
	}
	recursive, sentences := starts(Recursive), starts(Sentences)
	t.Logf("chunks that begin with a heading: recursive %.2f, sentences %.2f", recursive, sentences)
	if recursive < 2*sentences {
		t.Errorf("recursive begins %.2f of its chunks with a heading, sentences %.2f", recursive, sentences)
	}
}

func TestTokensFillsEveryChunkButTheLast(t *testing.T) {
	c := by(Tokens)
	c.Overlap = 32
	chunks := Split(c, "doc_1", "", []Block{{Kind: KindText, Text: newWords(11).paragraph(800)}})
	for i, chunk := range chunks[:len(chunks)-1] {
		if own := EstimateTokens(chunk.Text); own < c.Tokens-2*pieceMin || own > c.Tokens+c.Overlap {
			t.Errorf("chunk %d has %d tokens", i, own)
		}
	}
	for i := range chunks[1:] {
		if tail := chunks[i].Text[len(chunks[i].Text)-60:]; !strings.Contains(chunks[i+1].Text, tail) {
			t.Errorf("chunk %d does not repeat the end of the one before", i+1)
		}
	}
}
