package observe

import (
	"context"
	"fmt"
	"time"

	"airfield/internal/db"
	"airfield/internal/llm"
)

// Refused lists the newest calls, of those that began after a time, that a rule of a kind refused: budget, limit. name
// chooses one rule; empty is all. The log is walked, so the time must not be long ago.
func (s *Store) Refused(ctx context.Context, rule, name string, since time.Time, limit int) ([]llm.Call, error) {
	like := `%"decision":{"rule":"` + rule + `","name":"`
	if name != "" {
		like += name + `"`
	}
	rows, err := s.db.Query(ctx, selectCalls+" WHERE outcome = 'error' AND id >= ? AND started_at >= ? AND detail LIKE ? ORDER BY id DESC LIMIT ?",
		idAt(since.Add(-slack)), db.Micros(since), like+"%", max(1, min(limit, 1000)))
	if err != nil {
		return nil, fmt.Errorf("list refused calls: %w", err)
	}
	list, _, err := readCalls(rows)
	return list, err
}
