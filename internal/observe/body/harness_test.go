package body

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/bucket/file"
	"airfield/internal/db"
	"airfield/internal/id"
	"airfield/internal/llm"
)

var quiet = slog.New(slog.DiscardHandler)

// mask stands in for the rules of redaction: it replaces one word.
type mask struct{ word, version string }

func (m mask) JSON(dst, body []byte) []byte {
	return append(dst, bytes.ReplaceAll(body, []byte(m.word), []byte("[gone]"))...)
}
func (m mask) Version() string { return m.version }

// world is a store in folders that outlive it.
type world struct {
	t      *testing.T
	db     *db.DB
	dir    string
	config Config
	bucket bucket.Bucket
	redact func(string) Redactor
	*Store
	stop func()
}

func newWorld(t *testing.T, d *db.DB, change ...func(*world)) *world {
	t.Helper()
	w := &world{t: t, db: d, dir: t.TempDir(), config: Default()}
	b, err := file.Open(filepath.Join(w.dir, "bucket"), bucket.Default(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	w.bucket = b
	for _, c := range change {
		c(w)
	}
	w.open()
	return w
}

// open begins, or begins again on what is there.
func (w *world) open() {
	w.t.Helper()
	s, err := Open(w.config, Parts{DB: w.db, Bucket: w.bucket, Dir: filepath.Join(w.dir, "bodies"), Redact: w.redact, Log: quiet})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Store = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
		w.stop = func() {}
	}
	w.t.Cleanup(func() { w.stop() })
}

// call is an exchange that was begun and ended.
func (w *world) call(workflow, request, answer string) *llm.Exchange {
	w.t.Helper()
	e := &llm.Exchange{CallID: id.New("call"), Environment: "test", Workflow: workflow, Surface: llm.ChatCompletions, Request: []byte(request), RequestSize: int64(len(request))}
	w.put(e, answer)
	return e
}

func (w *world) put(e *llm.Exchange, answer string) {
	w.t.Helper()
	if got := w.Begin(e); got != llm.BodiesKept {
		w.t.Fatalf("begun: %s", got)
	}
	room := len(answer) + 1024
	if !w.Room(room) {
		w.t.Fatal("there is no room")
	}
	e.Answer, e.AnswerSize, e.AnswerType = []byte(answer), int64(len(answer)), "application/json"
	w.End(e, room)
}

// shows checks what is kept of a call.
func (w *world) shows(e *llm.Exchange, request, answer string) {
	w.t.Helper()
	k, err := w.Read(context.Background(), e.CallID)
	if err != nil {
		w.t.Errorf("%s: %v", e.CallID, err)
		return
	}
	if k.Request == nil || string(k.Request.Bytes) != request {
		w.t.Errorf("%s: the request is %s, want %.500q", e.CallID, show(k.Request), request)
	}
	if k.Answer == nil || string(k.Answer.Bytes) != answer {
		w.t.Errorf("%s: the answer is %s, want %s", e.CallID, show(k.Answer), answer)
	}
}

func show(t *Text) string {
	if t == nil {
		return "nothing"
	}
	return fmt.Sprintf("%.500q", t.Bytes)
}

func (w *world) flush() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := w.Flush(ctx); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) count(query string, args ...any) (n int64) {
	w.t.Helper()
	if err := w.db.QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}
