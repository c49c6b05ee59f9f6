package observe

import (
	"encoding/json"
	"fmt"

	"airfield/internal/db"
	"airfield/internal/llm"
	"airfield/internal/telemetry"
)

// callColumns are in the order of callArgs and scanCall.
var callColumns = []string{"id", "started_at", "duration_us", "workflow", "model", "outcome", "nanos_usd", "priced", "trace_id", "detail", "recorded_at", "prompt", "prompt_version"}

// callArgs appends a call's values; scratch is reused from call to call.
func callArgs(c *llm.Call, recorded int64, scratch *[]byte, args []any) []any {
	*scratch = appendDetail((*scratch)[:0], c)
	return append(args, c.ID, db.Micros(c.Start), c.Duration.Microseconds(), c.Workflow, c.Model, string(c.Outcome), int64(c.Cost), flag(c.Priced), c.TraceID,
		string(*scratch), recorded, c.Prompt, c.Version)
}

func scanCall(row interface{ Scan(...any) error }) (c llm.Call, recorded int64, err error) {
	c, _, recorded, err = scanRow(row)
	return c, recorded, err
}

// scanRow also returns the detail as it is written.
func scanRow(row interface{ Scan(...any) error }) (c llm.Call, text []byte, recorded int64, err error) {
	var started, duration, priced int64
	if err := row.Scan(&c.ID, &started, &duration, &c.Workflow, &c.Model, &c.Outcome, &c.Cost, &priced, &c.TraceID, &text, &recorded); err != nil {
		return c, nil, 0, err
	}
	var d detail
	if err := json.Unmarshal(text, &d); err != nil {
		return c, nil, 0, fmt.Errorf("detail of %s: %w", c.ID, err)
	}
	c.Start, c.Duration, c.Priced = db.Time(started), micros(duration), priced != 0
	d.fill(&c)
	return c, text, recorded, nil
}

var spanColumns = []string{"trace_id", "span_id", "parent_id", "name", "started_at", "ended_at", "error", "attributes"}

func spanArgs(s *telemetry.Span, args []any) []any {
	attributes := []byte("{}")
	if len(s.Attributes) > 0 {
		attributes, _ = json.Marshal(s.Attributes) // a map of strings is never refused
	}
	return append(args, s.TraceID, s.SpanID, s.ParentID, s.Name, db.Micros(s.Start), db.Micros(s.End), s.Error, string(attributes))
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
