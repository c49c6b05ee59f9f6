package cost

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/money"
)

// Filter chooses what is summed.
type Filter struct {
	From, To time.Time // whole hours; To is exclusive; zero is open
	Workflow string    // only this one's
	Group    string    // one of Groups; empty is one sum of all
}

// Groups are what spend can be grouped by.
var Groups = []string{"workflow", "business_unit", "model", "environment"}

// Spend is what a group cost. Tokens are all of them, cached and reasoning included.
type Spend struct {
	Group    string      `json:"group,omitempty"`
	Calls    int64       `json:"calls"`
	Tokens   int64       `json:"tokens"`
	Input    int64       `json:"input_tokens"`  // all that went in, cached or not
	Output   int64       `json:"output_tokens"` // all that came out
	Cost     money.Nanos `json:"cost_usd"`
	Unpriced int64       `json:"unpriced_calls"` // whose cost is unknown, and not in the sum
}

// Spend sums the hourly roll-ups, the dearest group first. It never reads calls.
func (l *Ledger) Spend(ctx context.Context, f Filter) ([]Spend, error) {
	group := "''"
	if f.Group != "" {
		if !slices.Contains(Groups, f.Group) {
			return nil, fault.New(fault.Invalid, "cost_group", "costs cannot be grouped by %q", f.Group).Hinted("by %s", strings.Join(Groups, ", ")).At("group")
		}
		group = f.Group
	}
	where, args := "", []any{}
	add := func(clause string, arg any) {
		where, args = where+" AND "+clause, append(args, arg)
	}
	if !f.From.IsZero() {
		add("hour >= ?", db.Micros(f.From.Truncate(time.Hour)))
	}
	if !f.To.IsZero() {
		add("hour < ?", db.Micros(f.To))
	}
	if f.Workflow != "" {
		add("workflow = ?", f.Workflow)
	}
	rows, err := l.db.Query(ctx, `SELECT `+group+`, CAST(SUM(calls) AS BIGINT), CAST(SUM(input_tokens + cache_read_tokens + cache_write_tokens) AS BIGINT),
		CAST(SUM(output_tokens + reasoning_tokens) AS BIGINT), CAST(SUM(nanos_usd) AS BIGINT) AS nanos, CAST(SUM(unpriced) AS BIGINT)
		FROM usage_hourly WHERE calls > 0`+where+` GROUP BY 1 ORDER BY nanos DESC, 1`, args...)
	if err != nil {
		return nil, fmt.Errorf("sum costs: %w", err)
	}
	defer rows.Close()
	list := []Spend{}
	for rows.Next() {
		var s Spend
		if err := rows.Scan(&s.Group, &s.Calls, &s.Input, &s.Output, &s.Cost, &s.Unpriced); err != nil {
			return nil, fmt.Errorf("sum costs: %w", err)
		}
		s.Tokens = s.Input + s.Output
		list = append(list, s)
	}
	return list, rows.Err()
}
