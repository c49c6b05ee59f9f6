package observe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"airfield/internal/db"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// series is what an hourly roll-up is about.
type series struct {
	hour                                                            int64
	environment, businessUnit, workflow, surface, model, deployment string
}

// compare orders series as the primary key does: gateways that lock rows in one order do not deadlock.
func (s series) compare(o series) int {
	return cmp.Or(cmp.Compare(s.hour, o.hour), strings.Compare(s.environment, o.environment), strings.Compare(s.businessUnit, o.businessUnit),
		strings.Compare(s.workflow, o.workflow), strings.Compare(s.surface, o.surface), strings.Compare(s.model, o.model), strings.Compare(s.deployment, o.deployment))
}

func (s series) args() []any {
	return []any{s.hour, s.environment, s.businessUnit, s.workflow, s.surface, s.model, s.deployment}
}

// sums are the figures of a series.
type sums struct {
	calls, errors, unpriced int64
	usage                   llm.Usage
	nanos                   money.Nanos
	latency                 Histogram
}

func (s *sums) add(c *llm.Call) {
	s.calls++
	if c.Outcome != llm.OK && c.Outcome != llm.Cancelled {
		s.errors++
	}
	if !c.Priced && !c.Usage.Empty() {
		s.unpriced++
	}
	s.usage = s.usage.Add(c.Usage)
	s.nanos = s.nanos.Add(c.Cost)
	if c.Outcome != llm.Cut { // nobody knows how long it took
		s.latency.Add(c.Duration)
	}
}

// merge adds the figures of the same series. Sums stay within what the database holds, whatever a provider reported: one
// that did not fit would hold up every call after it.
func (s *sums) merge(o *sums) {
	s.calls, s.errors, s.unpriced = s.calls+o.calls, s.errors+o.errors, s.unpriced+o.unpriced
	s.usage, s.nanos = s.usage.Add(o.usage), s.nanos.Add(o.nanos)
	s.latency.Merge(o.latency)
}

// seriesOf is where a call is counted. What a call without a deployment called a model is not part of it.
func seriesOf(c *llm.Call) series {
	key := series{hour: db.Micros(c.Start.Truncate(time.Hour)), environment: c.Environment, businessUnit: c.BusinessUnit, workflow: c.Workflow, surface: string(c.Surface), deployment: c.Deployment}
	if c.Deployment != "" {
		key.model = c.Model
	}
	return key
}

// rollUp sums the calls of a batch by hour and series. Calls without a deployment (refused before one was chosen) have
// series of their own, so that their quick failures do not flatter a deployment's latency. What they called a model is
// in their rows only: a series for every name that somebody makes up would have no end.
func rollUp(calls []llm.Call) map[series]*sums {
	out := map[series]*sums{}
	for i := range calls {
		c := &calls[i]
		key := seriesOf(c)
		s := out[key]
		if s == nil {
			s = &sums{latency: Histogram{}}
			out[key] = s
		}
		s.add(c)
	}
	return out
}

const usageKey = "hour = ? AND environment = ? AND business_unit = ? AND workflow = ? AND surface = ? AND model = ? AND deployment = ?"

// usageFigures are the columns that add up, in the order of figures.
var usageFigures = []string{"calls", "errors", "unpriced", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "nanos_usd",
	"cache_write_long_tokens", "audio_input_tokens", "audio_output_tokens", "images",
	"image_input_tokens", "characters", "seconds"}

func figures(calls, errors, unpriced *int64, u *llm.Usage, nanos *money.Nanos) []any {
	return []any{calls, errors, unpriced, &u.Input, &u.CacheRead, &u.CacheWrite, &u.Output, &u.Reasoning, (*int64)(nanos), &u.CacheWriteLong, &u.AudioInput, &u.AudioOutput, &u.Images,
		&u.ImageInput, &u.Characters, &u.Seconds}
}

func (s *sums) figures() []any { return figures(&s.calls, &s.errors, &s.unpriced, &s.usage, &s.nanos) }

var (
	makeUsage = "INSERT INTO usage_hourly (hour, environment, business_unit, workflow, surface, model, deployment, " + strings.Join(usageFigures, ", ") +
		", latency) VALUES (?,?,?,?,?,?,?," + strings.Repeat("0,", len(usageFigures)) + "'{}') ON CONFLICT DO NOTHING"
	readUsage  = "SELECT " + strings.Join(usageFigures, ", ") + ", latency FROM usage_hourly WHERE " + usageKey
	writeUsage = "UPDATE usage_hourly SET " + strings.Join(usageFigures, " = ?, ") + " = ?, latency = ? WHERE " + usageKey
)

// postUsage adds a batch's sums to the hourly rows. The row is made first where there is none, then locked, because a
// histogram cannot be added up by the database, nor sums with a bound.
func postUsage(ctx context.Context, tx *db.Tx, calls []llm.Call) error {
	rolled := rollUp(calls)
	keys := make([]series, 0, len(rolled))
	for k := range rolled {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, series.compare)
	for _, k := range keys {
		if _, err := tx.Exec(ctx, makeUsage, k.args()...); err != nil {
			return fmt.Errorf("roll up usage: %w", err)
		}
		if err := changeUsage(ctx, tx, k, func(was *sums) { was.merge(rolled[k]) }); err != nil {
			return fmt.Errorf("roll up usage: %w", err)
		}
	}
	return nil
}

// changeUsage locks the row of a series, which must be there, and writes what change makes of it.
func changeUsage(ctx context.Context, tx *db.Tx, k series, change func(*sums)) error {
	var was sums
	var text string
	if err := tx.QueryRow(ctx, readUsage+tx.ForUpdate(), k.args()...).Scan(append(was.figures(), &text)...); err != nil {
		return err
	}
	var err error
	if was.latency, err = ParseHistogram(text); err != nil {
		return err
	}
	change(&was)
	args := make([]any, 0, len(usageFigures)+8)
	for _, figure := range was.figures() {
		args = append(args, *figure.(*int64))
	}
	_, err = tx.Exec(ctx, writeUsage, append(append(args, was.latency.String()), k.args()...)...)
	return err
}
