package chunk

import "fmt"

// Config says how documents are cut.
type Config struct {
	Strategy string `yaml:"strategy" json:"strategy" doc:"How documents are cut: headings (within the document's headings)."`
	Tokens   int    `yaml:"tokens" json:"tokens" doc:"The size in tokens that chunks are packed to."`
	Max      int    `yaml:"max_tokens" json:"max_tokens" doc:"The most tokens a chunk may have."`
	Overlap  int    `yaml:"overlap_tokens" json:"overlap_tokens" doc:"Tokens of the preceding chunk of the same section that are repeated at the start of a chunk."`
}

// Default returns chunks of about 320 tokens without overlap. The maximum is twice the target: measured over inserted
// sentences, a third changed chunk is four times as frequent at 1.6 times.
func Default() Config {
	return Config{Strategy: "headings", Tokens: 320, Max: 640}
}

// Check refuses sizes that cannot be met.
func (c Config) Check() (warnings []string, err error) {
	switch {
	case c.Strategy != "headings":
		return nil, fmt.Errorf("strategy %q is not known; use headings", c.Strategy)
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
	if c.Max < c.Tokens+c.Tokens/2 {
		warnings = append(warnings, "max_tokens under 1.5 times tokens leaves no room for stable boundaries: an edit changes more chunks")
	}
	return warnings, nil
}
