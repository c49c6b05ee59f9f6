package chunk

import (
	"fmt"
	"slices"
	"strings"
)

// The strategies. All but tokens keep their cuts where text elsewhere changes.
const (
	Headings  = "headings"
	Tables    = "tables"
	Recursive = "recursive"
	Sentences = "sentences"
	Record    = "record"
	Tokens    = "tokens"
)

// Strategies lists them, the default first.
func Strategies() []string { return []string{Headings, Tables, Recursive, Sentences, Record, Tokens} }

// Config says how documents are cut.
type Config struct {
	Strategy string `yaml:"strategy" json:"strategy" doc:"How documents are cut: headings (within the document's headings), tables (so, and never a table with the text around it), recursive (the whole document, at its sections' ends first, then at paragraphs', then at sentences'), sentences (the whole document, at any sentence's end), record (each row and each object of CSV, JSON and XLSX by itself, all else as headings), tokens (after so many tokens, wherever that is)."`
	Tokens   int    `yaml:"tokens" json:"tokens" doc:"The size in tokens that chunks are packed to."`
	Max      int    `yaml:"max_tokens" json:"max_tokens" doc:"The most tokens a chunk may have."`
	Overlap  int    `yaml:"overlap_tokens" json:"overlap_tokens" doc:"Tokens of the preceding chunk of the same section that are repeated at the start of a chunk."`
}

// Default returns chunks of about 320 tokens without overlap. The maximum is twice the target: measured over inserted
// sentences, a third changed chunk is four times as frequent at 1.6 times.
func Default() Config {
	return Config{Strategy: Headings, Tokens: 320, Max: 640}
}

// Check refuses sizes that cannot be met.
func (c Config) Check() (warnings []string, err error) {
	switch {
	case !slices.Contains(Strategies(), c.Strategy):
		return nil, fmt.Errorf("strategy %q is not known; use one of %s", c.Strategy, strings.Join(Strategies(), ", "))
	case c.Tokens < 16:
		return nil, fmt.Errorf("tokens must be at least 16, not %d", c.Tokens)
	case c.Max < c.Tokens:
		return nil, fmt.Errorf("max_tokens (%d) must not be under tokens (%d)", c.Max, c.Tokens)
	case c.Overlap < 0 || c.Overlap > c.Tokens/2:
		return nil, fmt.Errorf("overlap_tokens must be between 0 and half of tokens (%d), not %d", c.Tokens/2, c.Overlap)
	}
	if c.Overlap > 0 {
		warnings = append(warnings, "with overlap_tokens above 0 a changed chunk also changes the one after it")
	}
	if c.Strategy == Tokens {
		warnings = append(warnings, "with the strategy tokens an edit changes every chunk after it, and all of them are embedded again")
	}
	if c.Max < c.Tokens+c.Tokens/2 {
		warnings = append(warnings, "max_tokens under 1.5 times tokens leaves no room for stable boundaries: an edit changes more chunks")
	}
	return warnings, nil
}
