// Package observe keeps what happened: the log of calls, the spans of traces and the hourly roll-ups. The gateway
// hands each call to the Recorder twice, at admission and at its end; the Recorder appends to the journal, which
// outlives a crash and a database outage; the Drain brings the journal into the database, each call exactly once. The
// Store answers the questions of the doors: which calls, what was this trace, how many and how slow.
package observe

import (
	"fmt"
	"time"

	"airfield/internal/observe/body"
)

// Config is the part of airfield.yaml that this package owns.
type Config struct {
	BatchCalls int           `yaml:"batch_calls" json:"batch_calls" doc:"Calls that are brought into the database in one transaction at the most."`
	Linger     time.Duration `yaml:"linger" json:"linger" doc:"How long a transaction waits for more calls to share it; a call shows in the log this much later."`
	KeepCalls  time.Duration `yaml:"keep_calls" json:"keep_calls" doc:"How long the metadata of calls is kept; hourly figures and the ledger stay. 0 keeps them for ever."`
	KeepSpans  time.Duration `yaml:"keep_spans" json:"keep_spans" doc:"How long the spans of traces are kept. 0 keeps them for ever."`
	Bodies     body.Config   `yaml:"bodies" json:"bodies" doc:"What was asked and answered, kept apart from the calls' metadata."`
}

// Default keeps calls for 90 days and spans for 14.
func Default() Config {
	return Config{BatchCalls: 1000, Linger: 100 * time.Millisecond, KeepCalls: 90 * 24 * time.Hour, KeepSpans: 14 * 24 * time.Hour, Bodies: body.Default()}
}

// Check reports what is wrong or unwise.
func (c Config) Check() (warnings []string, err error) {
	switch {
	case c.BatchCalls < 1 || c.BatchCalls > 20_000:
		return nil, fmt.Errorf("batch_calls: between 1 and 20000, not %d", c.BatchCalls)
	case c.Linger < 0 || c.Linger > 10*time.Second:
		return nil, fmt.Errorf("linger: between 0s and 10s, not %s", c.Linger)
	case c.KeepCalls < 0 || c.KeepSpans < 0:
		return nil, fmt.Errorf("keep_calls and keep_spans: 0s or more")
	}
	w, err := c.Bodies.Check()
	if err != nil {
		return nil, fmt.Errorf("bodies.%w", err)
	}
	for _, text := range w {
		warnings = append(warnings, "bodies."+text)
	}
	if c.KeepCalls > 0 && (c.Bodies.Keep > c.KeepCalls || c.Bodies.Keep == 0) {
		warnings = append(warnings, "bodies.keep is longer than keep_calls: what is kept of older calls is not shown, because their rows are gone")
	}
	if c.KeepCalls > 0 && c.KeepCalls < 24*time.Hour {
		warnings = append(warnings, fmt.Sprintf("keep_calls: a call can be looked up for %s only", c.KeepCalls))
	}
	if c.KeepSpans > c.KeepCalls && c.KeepCalls > 0 {
		warnings = append(warnings, "keep_spans is longer than keep_calls: older traces will lack their calls")
	}
	return warnings, nil
}
