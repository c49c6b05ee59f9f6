package response

import (
	"fmt"
	"time"
)

// Config is the part of airfield.yaml that this package owns.
type Config struct {
	Keep         time.Duration `yaml:"keep" json:"keep" doc:"How long a response is kept after it was made or continued last; 0 keeps none."`
	MaxTurns     int           `yaml:"max_turns" json:"max_turns" doc:"How many responses a conversation may have."`
	MaxBytes     int64         `yaml:"max_bytes" json:"max_bytes" doc:"How large the items of a conversation may be together when it is sent on."`
	SearchRounds int           `yaml:"search_rounds" json:"search_rounds" doc:"How often a model may search with file_search before it must answer; each time is a call of its own."`
}

// Default keeps responses for thirty days, as OpenAI does.
func Default() Config {
	return Config{Keep: 30 * 24 * time.Hour, MaxTurns: 200, MaxBytes: 8 << 20, SearchRounds: 4}
}

// Check refuses what cannot work.
func (c Config) Check() (warnings []string, err error) {
	switch {
	case c.Keep < 0:
		return nil, fmt.Errorf("keep must not be negative")
	case c.MaxTurns < 1 || c.MaxTurns > 10_000:
		return nil, fmt.Errorf("max_turns must be between 1 and 10000, not %d", c.MaxTurns)
	case c.MaxBytes < 1<<10 || c.MaxBytes > 1<<30:
		return nil, fmt.Errorf("max_bytes must be between 1024 and 1073741824, not %d", c.MaxBytes)
	case c.SearchRounds < 1 || c.SearchRounds > 20:
		return nil, fmt.Errorf("search_rounds must be between 1 and 20, not %d", c.SearchRounds)
	}
	return nil, nil
}

// Keeping is what a workflow says of its responses.
type Keeping struct {
	Responses string `yaml:"responses" json:"responses" doc:"Whether its responses are kept, so that previous_response_id works: keep, the default, or none, the default where bodies is none."`
}

// Check refuses what is neither.
func (c Keeping) Check() error {
	if c.Responses != "" && c.Responses != "keep" && c.Responses != "none" {
		return fmt.Errorf("responses must be keep or none, not %q", c.Responses)
	}
	return nil
}

// Keeps reports whether responses are kept, of a workflow that keeps bodies or not.
func (c Keeping) Keeps(bodies bool) bool {
	return c.Responses == "keep" || c.Responses == "" && bodies
}
