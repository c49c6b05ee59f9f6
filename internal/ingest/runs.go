package ingest

import (
	"context"
	"fmt"
)

// RunStates are the states of runs that are not done.
var RunStates = []string{runWaiting, runRunning, runDead}

// Runs counts the runs that are not done, by state: for the metrics.
func (p *Pipeline) Runs(ctx context.Context) (map[string]float64, error) {
	counts := map[string]float64{}
	rows, err := p.DB.Query(ctx, "SELECT state, COUNT(*) FROM runs WHERE state IN (?, ?, ?) GROUP BY state", runWaiting, runRunning, runDead)
	if err != nil {
		return nil, fmt.Errorf("count runs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var state string
		var n float64
		if err := rows.Scan(&state, &n); err != nil {
			return nil, fmt.Errorf("count runs: %w", err)
		}
		counts[state] = n
	}
	return counts, rows.Err()
}
