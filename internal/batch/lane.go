package batch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"airfield/internal/db"
	"airfield/internal/id"
)

// The states of a line.
const (
	lineWaiting   = "waiting"
	lineRunning   = "running"
	lineDone      = "done"
	lineExpired   = "expired"
	lineCancelled = "cancelled"
)

// slice is how long a worker goes on with one batch before others, and documents, have their turn.
const slice = 20 * time.Second

// line is one in a worker's hands.
type line struct {
	number        int64
	customID      string
	request       string
	attempts, cut int64
}

// lane makes calls of a batch, several at a time, until its turn is over or nothing is due.
func (s *Batches) lane(ctx context.Context, b Batch) (again time.Duration, err error) {
	lease := id.New("lane")
	held, stop := context.WithCancel(ctx)
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		s.heartbeat(held, b.ID, lease)
	}()
	slots := make(chan struct{}, s.config.Parallel)
	var wait sync.WaitGroup
	var mu sync.Mutex
	var failed error
	broken := func() error {
		mu.Lock()
		defer mu.Unlock()
		return failed
	}
	turn := s.clock().Add(slice)
	for ctx.Err() == nil && broken() == nil && s.clock().Before(turn) {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			continue
		}
		free := 1
		for more := true; more; {
			select {
			case slots <- struct{}{}:
				free++
			default:
				more = false
			}
		}
		var lines []line
		lines, err = s.claim(ctx, b.ID, lease, free)
		for range free - len(lines) {
			<-slots
		}
		if err != nil || len(lines) == 0 {
			break
		}
		for _, l := range lines {
			wait.Go(func() {
				defer func() { <-slots }()
				if err := s.make(ctx, b, lease, l); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			})
		}
	}
	wait.Wait()
	stop()
	<-beats
	if err == nil {
		err = broken()
	}
	if err != nil || ctx.Err() != nil {
		return time.Second, err
	}
	return s.due(ctx, b.ID)
}

// claim takes lines that are due.
func (s *Batches) claim(ctx context.Context, batchID, lease string, n int) (lines []line, err error) {
	err = s.DB.Tx(ctx, func(tx *db.Tx) error {
		lines = nil
		b, err := s.locked(ctx, tx, batchID) // two workers take turns
		now := s.clock()
		if err != nil || b.Status != InProgress || b.endsAs != Completed || !now.Before(b.ExpiresAt) {
			return err
		}
		rows, err := tx.Query(ctx, "SELECT number, custom_id, request, attempts, cut FROM batch_lines WHERE batch_id = ? AND state = ? AND due_at <= ? ORDER BY number LIMIT ?", batchID, lineWaiting, db.Micros(now), n)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var l line
			if err := rows.Scan(&l.number, &l.customID, &l.request, &l.attempts, &l.cut); err != nil {
				return err
			}
			lines = append(lines, l)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		rows.Close()
		for _, l := range lines {
			if _, err := tx.Exec(ctx, "UPDATE batch_lines SET state = ?, leased_by = ?, leased_until = ? WHERE batch_id = ? AND number = ?",
				lineRunning, lease, db.Micros(now.Add(s.config.LeaseFor)), batchID, l.number); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("take lines of batch %s: %w", batchID, err)
	}
	return lines, nil
}

// heartbeat keeps the leases of a worker's lines. One that is lost is noticed when the line is written: it is then another's.
func (s *Batches) heartbeat(ctx context.Context, batchID, lease string) {
	tick := time.NewTicker(s.config.LeaseFor / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := s.DB.Exec(ctx, "UPDATE batch_lines SET leased_until = ? WHERE batch_id = ? AND leased_by = ? AND state = ?", db.Micros(s.clock().Add(s.config.LeaseFor)), batchID, lease, lineRunning); err != nil && ctx.Err() == nil {
			s.Log.Warn("the lease of lines could not be renewed", "batch", batchID, "error", err)
		}
	}
}

// The bounds of a look at a batch that waits.
const (
	soonest = 200 * time.Millisecond
	latest  = 15 * time.Second
)

// due is when the next line that waits is to be made; 0 where none waits.
func (s *Batches) due(ctx context.Context, batchID string) (time.Duration, error) {
	var n, first int64
	err := s.DB.QueryRow(ctx, "SELECT COUNT(*), COALESCE(MIN(due_at), 0) FROM batch_lines WHERE batch_id = ? AND state = ?", batchID, lineWaiting).Scan(&n, &first)
	if err != nil || n == 0 {
		return 0, err
	}
	return min(max(db.Time(first).Sub(s.clock()), soonest), latest), nil
}
