package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"airfield/internal/db"
)

// Schedule says when a recurring job is next due.
type Schedule interface {
	Next(after time.Time) time.Time
}

// Period is a schedule of equal periods, counted from 1970, so that every process agrees on where they begin.
type Period time.Duration

// Next is the beginning of the next period.
func (p Period) Next(after time.Time) time.Time {
	d := max(time.Duration(p), time.Second)
	return after.Truncate(d).Add(d)
}

// Cron reads a schedule of five fields (minute, hour, day, month, weekday; UTC), or one of @hourly, @daily, @weekly.
func Cron(spec string) (Schedule, error) {
	s, err := cron.ParseStandard("CRON_TZ=UTC " + spec)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w", spec, err)
	}
	return s, nil
}

type schedule struct {
	name string
	when Schedule
}

const scheduleAttempts = 3

// Every has fn called once per period, in one of the processes that Run, and never twice at the same time. Periods
// that went by while nobody ran are made up for by one call. The first call is at the end of the first period.
func (q *Queue) Every(name string, when Schedule, fn func(ctx context.Context) error) {
	q.Handle(scheduleKind(name), func(ctx context.Context, _ Job) error { return fn(ctx) })
	q.mu.Lock()
	defer q.mu.Unlock()
	q.schedules = append(q.schedules, &schedule{name, when})
}

func scheduleKind(name string) string { return "schedule." + name }

// keepSchedules enqueues what is due until ctx ends.
func (q *Queue) keepSchedules(ctx context.Context) error {
	const again = 5 * time.Second // after a failure
	for {
		wake := time.Now().Add(time.Hour)
		for _, s := range q.schedules {
			next, err := q.begin(ctx, s, time.Now())
			if err != nil {
				if ctx.Err() != nil {
					return nil
				}
				q.log.Warn("a schedule could not be kept", "schedule", s.name, "error", err)
				next = time.Now().Add(again)
			}
			if next.Before(wake) {
				wake = next
			}
		}
		timer := time.NewTimer(time.Until(wake))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// begin enqueues the schedule's job if a period has begun that no process has taken, and returns when the next begins.
func (q *Queue) begin(ctx context.Context, s *schedule, now time.Time) (next time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err = q.db.Tx(ctx, func(tx *db.Tx) error {
		next = s.when.Next(now)
		var last int64
		err := tx.QueryRow(ctx, "SELECT last_at FROM schedules WHERE name = ?"+tx.ForUpdate(), s.name).Scan(&last)
		if db.IsNone(err) {
			_, err = tx.Exec(ctx, "INSERT INTO schedules (name, last_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", s.name, db.Micros(now))
			return err
		}
		if err != nil {
			return err
		}
		if due := s.when.Next(db.Time(last)); due.After(now) {
			next = due
			return nil
		}
		if _, err := tx.Exec(ctx, "UPDATE schedules SET last_at = ? WHERE name = ?", db.Micros(now), s.name); err != nil {
			return err
		}
		return q.Enqueue(ctx, tx, scheduleKind(s.name), struct{}{}, Options{Priority: 1, UniqueKey: s.name, MaxAttempts: scheduleAttempts})
	})
	return next, err
}
