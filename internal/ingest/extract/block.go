package extract

// The kinds of a block.
const (
	KindHeading = "heading"
	KindText    = "text"
	KindTable   = "table"
	KindCode    = "code"
	KindRecord  = "record"
	KindList    = "list"
)

// Block is one piece of a document in reading order: a heading, a paragraph, a table, a record. chunk.Block has the
// same fields in the same order, so that one converts into the other.
type Block struct {
	Kind   string `json:"kind"`
	Text   string `json:"text"`             // UTF-8; a table is one row a line, cells separated by " | "
	Level  int    `json:"level,omitempty"`  // 1 to 6, headings only
	Page   int    `json:"page,omitempty"`   // from 1; 0 where the format has no pages
	Header int    `json:"header,omitempty"` // how many leading lines of a table are its header row
	Anchor string `json:"anchor,omitempty"` // where in the source: "#section-2", "row 17", "$.items[3]"
	Title  string `json:"title,omitempty"`  // of a record
	Key    string `json:"key,omitempty"`    // of a record, where it has one: what tells it from the others
	Whole  bool   `json:"whole,omitempty"`  // a chunk of its own, whatever the strategy
}

// Page is what is delivered at once: one page of a paged format, a bounded batch of blocks of any other.
type Page struct {
	Number int     `json:"number"` // from 1; 0 where the format has no pages
	Blocks []Block `json:"blocks"`
}

// Result tells what became of a file once its pages are delivered.
type Result struct {
	Title     string            `json:"title,omitempty"`
	MediaType string            `json:"media_type"`           // what the content is, whatever the name says
	Pages     int               `json:"pages,omitempty"`      // of the file; 0 where the format has no pages
	PagesRead int               `json:"pages_read,omitempty"` // of them delivered
	Partial   bool              `json:"partial,omitempty"`    // some of the file could not be read; Warnings say what
	Warnings  []string          `json:"warnings,omitempty"`   // for users: what, where
	Metadata  map[string]string `json:"metadata,omitempty"`   // what the format holds: author, created, front matter…
	Language  string            `json:"language,omitempty"`   // ISO 639-1, "" when unsure

	Records *RecordsRead `json:"records,omitempty"` // where the collection says what records become

	RecognizedPages int `json:"recognized_pages,omitempty"` // whose text comes from text recognition
	Confidence      int `json:"ocr_confidence,omitempty"`   // of that, the mean of its words in percent
}
