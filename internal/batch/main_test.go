package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/jobs"
)

// house is the feature on a real database and queue; the gateway, the files and the keys are the test's own.
type house struct {
	*Batches
	t *testing.T

	mu    sync.Mutex
	files map[string][]byte
	kept  map[string]Output
	made  map[string]int // calls by the custom id in them
	now   time.Time      // of the house's own clock; zero is the real one
	say   func(ctx context.Context, who *caller.Caller, c Call) Answer
	gone  error // why the key is no good
}

func newHouse(t *testing.T, d *db.DB, change ...func(*Config)) *house {
	t.Helper()
	q, err := jobs.New(context.Background(), d, jobs.Default(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, files: map[string][]byte{}, kept: map[string]Output{}, made: map[string]int{}}
	c := Default()
	for _, f := range change {
		f(&c)
	}
	h.Batches = New(c, Parts{DB: d, Jobs: q, Files: h, Calls: h, Keys: h, Audit: access.NewAudit(d), Log: slog.New(slog.DiscardHandler),
		Refusal: func(err error) (int, []byte) {
			return fault.As(err).Kind.Status(), []byte(`{"error":{"code":"` + fault.As(err).Code + `"}}`)
		}})
	h.clock = func() time.Time {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.now.IsZero() {
			return time.Now()
		}
		return h.now
	}
	h.Register()
	return h
}

// start makes the house a worker until the test ends.
func (h *house) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Jobs.Run(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Error(err)
		}
	})
}

func (h *house) Find(_ context.Context, fileID string) (File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, ok := h.files[fileID]
	if !ok {
		return File{}, fault.New(fault.NotFound, "file_not_found", "no file")
	}
	return File{ID: fileID, Purpose: strings.Split(fileID, "-")[0], Bytes: int64(len(b))}, nil
}

func (h *house) Open(ctx context.Context, fileID string) (io.ReadCloser, error) {
	if _, err := h.Find(ctx, fileID); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return io.NopCloser(bytes.NewReader(h.files[fileID])), nil
}

func (h *house) Keep(_ context.Context, o Output) error {
	b, err := io.ReadAll(o.Reader)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files[o.ID], h.kept[o.ID] = b, o
	return nil
}

func (h *house) Drop(_ context.Context, fileID string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.files, fileID)
	return nil
}

func (h *house) Caller(context.Context, string) (*caller.Caller, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &caller.Caller{Role: caller.Workflow, KeyID: "key_1", Workflow: "team", Clearance: caller.Internal}, h.gone
}

func (h *house) Make(ctx context.Context, c Call) Answer {
	var q struct{ User string }
	json.Unmarshal(c.Body, &q)
	h.mu.Lock()
	h.made[q.User]++
	say := h.say
	h.mu.Unlock()
	if say != nil {
		return say(ctx, caller.From(ctx), c)
	}
	return good(c)
}

func good(c Call) Answer {
	return Answer{CallID: "call_1", Status: 200, Body: c.Body, Cost: 7, Priced: true, Service: "flex"}
}

// input keeps a file of n lines and returns its id.
func (h *house) input(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"custom_id":"c%d","method":"POST","url":"/v1/chat/completions","body":{"model":"m","user":"c%d","messages":[]}}`+"\n", i, i)
	}
	return h.file(b.String())
}

func (h *house) file(text string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	fileID := fmt.Sprintf("batch-%d", len(h.files))
	h.files[fileID] = []byte(text)
	return fileID
}

func as(workflow string, t caller.Tier) context.Context {
	return caller.With(context.Background(), &caller.Caller{Role: caller.Workflow, KeyID: "key_1", Workflow: workflow, Clearance: t})
}

var team = as("team", caller.Internal)

func (h *house) create(fileID string) Batch {
	h.t.Helper()
	b, err := h.Create(team, NewBatch{InputFile: fileID, Endpoint: "/v1/chat/completions", Window: "24h"})
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// await waits for a batch to have a status.
func (h *house) await(batchID string, want Status) Batch {
	h.t.Helper()
	var b Batch
	h.until(string(want), func() bool {
		var err error
		if b, err = h.Get(team, batchID); err != nil {
			h.t.Fatal(err)
		}
		return b.Status == want
	})
	return b
}

func (h *house) until(what string, condition func() bool) {
	h.t.Helper()
	for end := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// results are the lines of a file by custom id.
func (h *house) results(fileID string) map[string]result {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string]result{}
	for text := range bytes.Lines(h.files[fileID]) {
		var r result
		if err := json.Unmarshal(text, &r); err != nil {
			h.t.Fatalf("%v: %q", err, text)
		}
		if _, twice := all[r.CustomID]; twice {
			h.t.Errorf("%s is answered twice", r.CustomID)
		}
		all[r.CustomID] = r
	}
	return all
}

func (h *house) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}
