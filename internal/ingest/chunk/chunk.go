// Package chunk cuts a document's blocks into the pieces that are embedded and found: within headings, near a target
// size, with ids that stay when the text around them changes. Pure functions; the ingest feature calls them.
package chunk

// Block is one piece of a document in reading order. It has the fields of extract.Block in the same order, so that
// chunk.Block(b) converts one.
type Block struct {
	Kind   string `json:"kind"`
	Text   string `json:"text"`
	Level  int    `json:"level,omitempty"`
	Page   int    `json:"page,omitempty"`
	Header int    `json:"header,omitempty"`
	Anchor string `json:"anchor,omitempty"`
}

// Chunk is one piece. Text ends with Join(blocks)[Start:End]; what precedes that is a repeated table header or overlap.
type Chunk struct {
	ID       string   // "chk_…", of document, heading path, text and occurrence: pages and position are not part of it
	Ordinal  int      // from 0, in reading order
	Text     string   //
	Heading  []string // the path of headings it stands under, the document's title first
	PageFrom int      // from 1; 0 where the format has no pages
	PageTo   int
	Start    int    // byte offset in Join(blocks)
	End      int    // byte offset in Join(blocks), exclusive
	Tokens   int    // estimated, of Text
	Kind     string // of its blocks, "text" when mixed
	Anchor   string // of its first block that has one
}

// Split cuts the blocks. The same input gives the same chunks.
func Split(cfg Config, documentID, title string, blocks []Block) []Chunk { return nil }

// Join is the document's text that Start and End point into: the blocks' texts, one empty line between them.
func Join(blocks []Block) string { return "" }

// EstimateTokens estimates what the text costs a model.
func EstimateTokens(text string) int { return len(text) / 4 }
