package jobs

import (
	"encoding/json"
	"time"

	"github.com/riverqueue/river"
)

// Job is one try of a piece of work.
type Job struct {
	ID          int64
	Kind        string
	Args        json.RawMessage
	Attempt     int // from 1
	MaxAttempts int
	Priority    int
}

// Options say when and how often a job runs. The zero value is: now, with the middle priority, repeatable.
type Options struct {
	Priority int       // 1 first … 4 last; 0 is 2
	At       time.Time // not before; the zero time is now

	// UniqueKey makes the job the only one of its kind and key that waits or runs: while there is one, Enqueue does
	// nothing. What must not be missed by a job that is already running goes without a key.
	UniqueKey   string
	MaxAttempts int // 0 is the configuration's
}

// Snooze is what a handler returns to be called again after d, without having used up an attempt.
func Snooze(d time.Duration) error { return river.JobSnooze(max(d, 0)) }

// Cancel is what a handler returns when another try is useless; err is logged.
func Cancel(err error) error { return river.JobCancel(err) }

// envelope is a job's arguments as River keeps them. Only Key takes part in uniqueness.
type envelope struct {
	kind string
	Key  string          `json:"key,omitempty" river:"unique"`
	Args json.RawMessage `json:"args"`
}

func (e envelope) Kind() string { return e.kind }
