package observe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// UsageFilter chooses hours and how they are summed.
type UsageFilter struct {
	From, To time.Time // whole hours; To is exclusive; zero is open
	Workflow string    // only this one's
	By       []string  // hour, environment, business_unit, workflow, surface, model, deployment; none is one sum of all
	Latency  bool      // also the percentiles, which takes longer
}

// UsageRow is the sum of a group of hourly figures.
type UsageRow struct {
	Group    map[string]string `json:"group,omitempty"` // by the names of By; an hour is RFC 3339
	Calls    int64             `json:"calls"`
	Errors   int64             `json:"errors"`
	Unpriced int64             `json:"unpriced"` // calls whose cost is not known and not in the sum
	Usage    llm.Usage         `json:"usage"`
	Cost     money.Nanos       `json:"cost_usd"`
	P50      time.Duration     `json:"p50_ns,omitempty"` // within 1 %, like the others
	P95      time.Duration     `json:"p95_ns,omitempty"`
	P99      time.Duration     `json:"p99_ns,omitempty"`

	latency Histogram
}

var dimensions = []string{"hour", "environment", "business_unit", "workflow", "surface", "model", "deployment"}

// Usage sums the hourly roll-ups; it never reads calls. Groups come in the order of their names.
func (s *Store) Usage(ctx context.Context, f UsageFilter) ([]UsageRow, error) {
	for _, by := range f.By {
		if !slices.Contains(dimensions, by) {
			return nil, fault.New(fault.Invalid, "usage_group", "usage cannot be grouped by %q", by).Hinted("by %s", strings.Join(dimensions, ", ")).At("by")
		}
	}
	q := where{}
	q.add(!f.From.IsZero(), "hour >= ?", db.Micros(f.From.Truncate(time.Hour)))
	q.add(!f.To.IsZero(), "hour < ?", db.Micros(f.To))
	q.add(f.Workflow != "", "workflow = ?", f.Workflow)
	columns := slices.Clone(usageFigures)
	query := "SELECT "
	for _, by := range f.By {
		query += by + ", "
	}
	if f.Latency {
		query += strings.Join(columns, ", ") + ", latency FROM usage_hourly" + q.String()
	} else {
		for i, name := range columns {
			columns[i] = "CAST(COALESCE(SUM(" + name + "), 0) AS BIGINT)"
		}
		query += strings.Join(columns, ", ") + ", '{}' FROM usage_hourly" + q.String()
		if len(f.By) > 0 {
			query += " GROUP BY " + strings.Join(f.By, ", ")
		}
	}
	if len(f.By) > 0 {
		query += " ORDER BY " + strings.Join(f.By, ", ")
	}
	rows, err := s.db.Query(ctx, query, q.args...)
	if err != nil {
		return nil, fmt.Errorf("read usage: %w", err)
	}
	defer rows.Close()
	list := []UsageRow{}
	names := make([]string, len(f.By))
	for rows.Next() {
		row := UsageRow{}
		values := make([]any, 0, len(f.By)+len(columns)+1)
		for i := range names {
			values = append(values, &names[i])
		}
		var latency string
		values = append(values, figures(&row.Calls, &row.Errors, &row.Unpriced, &row.Usage, &row.Cost)...)
		if err := rows.Scan(append(values, &latency)...); err != nil {
			return nil, fmt.Errorf("read usage: %w", err)
		}
		if row.latency, err = ParseHistogram(latency); err != nil {
			return nil, fmt.Errorf("read usage: %w", err)
		}
		row.Group = groupOf(f.By, names)
		if n := len(list); n > 0 && maps.Equal(list[n-1].Group, row.Group) {
			list[n-1].add(&row)
		} else {
			list = append(list, row)
		}
	}
	if len(f.By) == 0 && len(list) == 0 {
		list = append(list, UsageRow{})
	}
	if f.Latency {
		for i := range list {
			p := list[i].latency.Quantiles(0.5, 0.95, 0.99)
			list[i].P50, list[i].P95, list[i].P99 = p[0], p[1], p[2]
		}
	}
	return list, rows.Err()
}

func groupOf(by, names []string) map[string]string {
	if len(by) == 0 {
		return nil
	}
	g := make(map[string]string, len(by))
	for i, name := range by {
		g[name] = names[i]
		if name == "hour" {
			micros, _ := strconv.ParseInt(names[i], 10, 64) // a BIGINT of the database
			g[name] = db.Time(micros).Format(time.RFC3339)
		}
	}
	return g
}

func (r *UsageRow) add(o *UsageRow) {
	r.Calls, r.Errors, r.Unpriced = r.Calls+o.Calls, r.Errors+o.Errors, r.Unpriced+o.Unpriced
	r.Usage, r.Cost = r.Usage.Add(o.Usage), r.Cost.Add(o.Cost)
	r.latency.Merge(o.latency)
}
