// Package body keeps what was asked and answered, apart from the metadata of calls. The gateway hands each exchange over
// without waiting; one worker redacts it, cuts the request into its messages, leaves out those that the same workflow
// said before, and appends the rest, compressed, to a block of about a megabyte in a local folder (the spool). A block
// that is full, or old enough, goes to the bucket, where every process of the installation can read it, and then gets its
// rows in the database. All blocks of a day that are kept equally long end at the same moment, and go by unlink.
package body

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/db"
	"airfield/internal/llm"
)

// Config is the part of airfield.yaml that this package owns.
type Config struct {
	Mode       string        `yaml:"mode" json:"mode" doc:"Whether requests and answers are kept: keep or none. A workflow may say otherwise with bodies."`
	Keep       time.Duration `yaml:"keep" json:"keep" doc:"How long they are kept, from the end of their day (UTC). 0 keeps them for ever. A workflow may say otherwise with keep_bodies."`
	MaxBytes   int64         `yaml:"max_bytes" json:"max_bytes" doc:"Of a longer request or answer only the beginning is kept, and the row says so."`
	QueueBytes int64         `yaml:"queue_bytes" json:"queue_bytes" doc:"Memory for what is on its way to the disk; what finds no room is dropped, and its row says so."`
	SpoolBytes int64         `yaml:"spool_bytes" json:"spool_bytes" doc:"Disk in the data folder for what is on its way to the bucket, while that or the database is away; what finds no room is dropped, and its row says so."`
	SealAfter  time.Duration `yaml:"seal_after" json:"seal_after" doc:"How old a block gets before it goes to the bucket: so much later other processes can show what is in it."`
}

// The modes.
const (
	keep = "keep"
	none = "none"
)

// Default keeps everything for 30 days.
func Default() Config {
	return Config{Mode: keep, Keep: 30 * 24 * time.Hour, MaxBytes: 1 << 20, QueueBytes: 64 << 20, SpoolBytes: 1 << 30, SealAfter: time.Minute}
}

// Check reports what is wrong or unwise.
func (c Config) Check() (warnings []string, err error) {
	switch {
	case c.Mode != keep && c.Mode != none:
		return nil, fmt.Errorf("mode: keep or none, not %q", c.Mode)
	case c.Keep < 0:
		return nil, fmt.Errorf("keep: 0s or more, not %s", c.Keep)
	case c.MaxBytes < 1<<10 || c.MaxBytes > 64<<20:
		return nil, fmt.Errorf("max_bytes: between 1024 and %d, not %d", 64<<20, c.MaxBytes)
	case c.QueueBytes < 2*c.MaxBytes:
		return nil, fmt.Errorf("queue_bytes: at least twice max_bytes (%d), not %d", c.MaxBytes, c.QueueBytes)
	case c.SpoolBytes < 16<<20:
		return nil, fmt.Errorf("spool_bytes: at least %d, not %d", 16<<20, c.SpoolBytes)
	case c.SealAfter < 100*time.Millisecond || c.SealAfter > time.Hour:
		return nil, fmt.Errorf("seal_after: between 100ms and 1h, not %s", c.SealAfter)
	}
	if c.Mode == keep && c.Keep == 0 {
		warnings = append(warnings, "keep is 0: requests and answers are kept for ever")
	}
	return warnings, nil
}

// Redactor takes secrets and personal data out of what is kept.
type Redactor interface {
	// JSON appends to dst what body is without them. What is JSON stays JSON.
	JSON(dst, body []byte) []byte
	// Version names the rules, for the record.
	Version() string
}

// Parts are what a store is made of. Redact may be nil: then nothing is taken out. Dropped may be nil.
type Parts struct {
	DB      *db.DB
	Bucket  bucket.Bucket
	Dir     string                         // the spool
	Redact  func(workflow string) Redactor // called by one goroutine
	Dropped func(reason string)            // told of each call whose bodies are not kept for want of room
	Log     *slog.Logger
}

// Store keeps and shows bodies. It is safe for concurrent use.
type Store struct {
	config Config
	Parts
	queue  queue
	ask    chan asking
	spool  spool
	failed complaint
	since  time.Time
}

// Open takes over what an earlier process left in the spool.
func Open(c Config, p Parts) (*Store, error) {
	if _, err := c.Check(); err != nil {
		return nil, fmt.Errorf("bodies: %w", err)
	}
	p.Log = p.Log.With("part", "bodies")
	if p.Dropped == nil {
		p.Dropped = func(string) {}
	}
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for bodies: %w", err)
	}
	s := &Store{config: c, Parts: p, ask: make(chan asking), since: time.Now()}
	s.spool.init()
	if err := s.recover(); err != nil {
		return nil, fmt.Errorf("take over the bodies of an earlier process: %w", err)
	}
	return s, nil
}

// lastTime bounds what is done when the process ends. What is not in the bucket then goes there after the next start.
const lastTime = 5 * time.Second

// Run works until ctx ends, and then on what was handed over before.
func (s *Store) Run(ctx context.Context) error {
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var uploads sync.WaitGroup
	uploads.Go(func() { s.upload(own) })
	w := newWorker(s)
	w.run(ctx)
	s.queue.close()
	left := w.finish()
	last, cancel := context.WithTimeoutCause(own, lastTime, errors.New("the process ends"))
	defer cancel()
	s.spool.wait(last) // what does not get there is taken over by the next start
	stop()
	uploads.Wait()
	if left > 0 {
		s.Log.Error("bodies were lost: the disk did not take them before the process ended", "calls", left)
	}
	return nil
}

// Waiting is how many bytes are on their way: in memory, and in the spool.
func (s *Store) Waiting() (memory, disk int64) { return s.queue.bytes.Load(), s.spool.bytes() }

// Close gives the spool's files back. What is in them is taken over by the next Open.
func (s *Store) Close() error { return s.spool.close() }

var _ interface {
	Most() int
	Begin(*llm.Exchange) string
	Room(int) bool
	End(*llm.Exchange, int)
} = (*Store)(nil)
