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
	if !c.Priced && c.Usage.Total() > 0 {
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

// rollUp sums the calls of a batch by hour and series. Calls without a deployment (refused before one was chosen) have
// series of their own, so that their quick failures do not flatter a deployment's latency. What they called a model is
// in their rows only: a series for every name that somebody makes up would have no end.
func rollUp(calls []llm.Call) map[series]*sums {
	out := map[series]*sums{}
	for i := range calls {
		c := &calls[i]
		key := series{hour: db.Micros(c.Start.Truncate(time.Hour)), environment: c.Environment, businessUnit: c.BusinessUnit, workflow: c.Workflow, surface: string(c.Surface), deployment: c.Deployment}
		if c.Deployment != "" {
			key.model = c.Model
		}
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
		s := rolled[k]
		if _, err := tx.Exec(ctx, "INSERT INTO usage_hourly (hour, environment, business_unit, workflow, surface, model, deployment, calls, errors, unpriced, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, nanos_usd, latency) VALUES (?,?,?,?,?,?,?,0,0,0,0,0,0,0,0,0,'{}') ON CONFLICT DO NOTHING", k.args()...); err != nil {
			return fmt.Errorf("roll up usage: %w", err)
		}
		var was sums
		var text string
		if err := tx.QueryRow(ctx, "SELECT calls, errors, unpriced, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, nanos_usd, latency FROM usage_hourly WHERE "+usageKey+tx.ForUpdate(), k.args()...).
			Scan(&was.calls, &was.errors, &was.unpriced, &was.usage.Input, &was.usage.CacheRead, &was.usage.CacheWrite, &was.usage.Output, &was.usage.Reasoning, &was.nanos, &text); err != nil {
			return fmt.Errorf("roll up usage: %w", err)
		}
		var err error
		if was.latency, err = ParseHistogram(text); err != nil {
			return fmt.Errorf("roll up usage: %w", err)
		}
		was.merge(s)
		args := []any{was.calls, was.errors, was.unpriced, was.usage.Input, was.usage.CacheRead, was.usage.CacheWrite, was.usage.Output, was.usage.Reasoning, int64(was.nanos), was.latency.String()}
		if _, err := tx.Exec(ctx, "UPDATE usage_hourly SET calls = ?, errors = ?, unpriced = ?, input_tokens = ?, cache_read_tokens = ?, cache_write_tokens = ?, output_tokens = ?, reasoning_tokens = ?, nanos_usd = ?, latency = ? WHERE "+usageKey, append(args, k.args()...)...); err != nil {
			return fmt.Errorf("roll up usage: %w", err)
		}
	}
	return nil
}
