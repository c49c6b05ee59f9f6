package jobs

import (
	"context"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
)

func TestEachPeriodIsBegunOnceWhoeverAsks(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, open func() *db.DB) {
		ctx := context.Background()
		now := time.Date(2026, 3, 2, 10, 30, 0, 0, time.UTC)
		got := make(chan struct{}, 10)
		var queues []*Queue
		for range 2 {
			q := newQueue(t, open(), nil)
			q.Every("report", Period(time.Hour), func(context.Context) error { return nil })
			queues = append(queues, q)
		}
		begin := func(at time.Time, want time.Time) {
			t.Helper()
			for _, q := range queues {
				next, err := q.begin(ctx, q.schedules[0], at)
				if err != nil {
					t.Fatal(err)
				}
				if !next.Equal(want) {
					t.Errorf("at %s the next is %s, not %s", at, next, want)
				}
			}
		}
		worker := newQueue(t, open(), nil) // keeps no schedule itself
		worker.Handle(scheduleKind("report"), func(context.Context, Job) error { got <- struct{}{}; return nil })
		eleven := now.Truncate(time.Hour).Add(time.Hour)
		begin(now, eleven) // known from now on
		start(t, worker)
		nothing(t, got, 100*time.Millisecond)
		begin(eleven, eleven.Add(time.Hour))
		receive(t, got)
		nothing(t, got, 100*time.Millisecond)
		finished(t, worker)
		three := eleven.Add(4*time.Hour + time.Minute) // four periods went by
		begin(three, eleven.Add(5*time.Hour))
		receive(t, got)
		nothing(t, got, 100*time.Millisecond)
	})
}

func TestASlowScheduleDoesNotOverlapItself(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		q := newQueue(t, d, nil)
		got, finish := make(chan struct{}, 10), make(chan struct{})
		q.Every("slow", Period(time.Second), func(context.Context) error {
			got <- struct{}{}
			<-finish
			return nil
		})
		now := time.Now().Add(-time.Hour)
		for i := range 3 {
			if _, err := q.begin(ctx, q.schedules[0], now.Add(time.Duration(i)*time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		start(t, q)
		receive(t, got)
		nothing(t, got, 2200*time.Millisecond) // two more periods begin meanwhile
		close(finish)
		receive(t, got)
	})
}

func TestSchedules(t *testing.T) {
	at := time.Date(2026, 3, 2, 10, 30, 0, 0, time.UTC) // a Monday
	daily, err := Cron("15 3 * * *")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		s    Schedule
		want time.Time
	}{
		{"a period ends at a multiple of itself", Period(15 * time.Minute), at.Add(15 * time.Minute)},
		{"a period below a second is a second", Period(0), at.Add(time.Second)},
		{"cron counts in UTC", daily, time.Date(2026, 3, 3, 3, 15, 0, 0, time.UTC)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.s.Next(at); !got.Equal(tc.want) {
				t.Error(got)
			}
		})
	}
	if _, err := Cron("15 3"); err == nil {
		t.Error("two fields are no schedule")
	}
}
