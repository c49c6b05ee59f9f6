package crash

import (
	"context"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"airfield/test/binary"
)

func TestAskedToEndInMidWorkTheServerLosesNothing(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, 20, 25*time.Millisecond) // a stream takes half a second, and one worker brings 40 documents in one
	s := install(t, u.Models()+strings.Replace(watchedFolder, "defaults:", "embedding_model: vectors\n    defaults:", 1)+"jobs: {workers: 1}\n")
	pages := make([]page, 100)
	for i := range pages {
		pages[i] = generate(i, 0)
		s.settled(pages[i].name, pages[i].text)
	}
	s.Start()
	var wait sync.WaitGroup
	streams := make([]binary.Exchange, 16)
	for i := range streams {
		wait.Go(func() { streams[i], _ = s.Chat(context.Background(), question(i, true)) })
	}
	s.Await("streams and documents to be on their way", func() bool {
		return u.Chats().Begun == int64(len(streams)) && s.status().Status.Versions["running"] > 0
	})
	took := s.Stop()
	wait.Wait()
	t.Logf("it ended %s after SIGTERM", took.Round(time.Millisecond))
	for i, e := range streams {
		if !e.Whole && !strings.Contains(e.Text, `"error"`) {
			t.Errorf("stream %d ended after %d bytes with neither [DONE] nor an error: …%q", i, len(e.Text), binary.Tail(e.Text, 100))
		}
	}
	db := s.open()
	live := s.count(db, "SELECT COUNT(*) FROM versions WHERE state = 'live'")
	if open := s.count(db, "SELECT COUNT(*) FROM runs WHERE state = 'running'"); open != 0 || live == len(pages) {
		t.Errorf("%d runs are held by a process that is gone; %d of %d documents were live before the end", open, live, len(pages))
	}
	db.Close()
	s.Start()
	rows := s.calls("chat")
	for i, e := range streams {
		if row, known := rows[e.ID]; !known || (e.Whole && row.Outcome != "ok") {
			t.Errorf("stream %d is in the log: %t, as %q", i, known, row.Outcome)
		}
	}
	s.Await("100 documents to be live", func() bool { return s.atRest(len(pages)) })
	s.holds(pages)
	s.restAndCheck()
}

func TestASecondSignalEndsTheServerAtOnce(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, 1000, 20*time.Millisecond) // a stream takes 20 seconds, as long as the server waits
	s := install(t, u.Models())
	s.Start()
	done := make(chan binary.Exchange, 1)
	go func() {
		e, _ := s.Chat(context.Background(), question(1, true))
		done <- e
	}()
	s.Await("the stream", func() bool { return u.Chats().Begun == 1 })
	s.Signal(syscall.SIGTERM)
	select {
	case <-s.Ended():
		t.Fatalf("it ended while a stream was in flight: %v", s.AwaitEnd())
	case <-time.After(500 * time.Millisecond):
	}
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	err := s.AwaitEnd()
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %s", took)
	}
	if exit, ok := err.(*exec.ExitError); !ok || exit.ProcessState.Success() {
		t.Errorf("it ended with %v", err)
	}
	e := <-done
	s.Start()
	if row := s.calls("chat")[e.ID]; row.Outcome != "cut" {
		t.Errorf("the call is logged as %q", row.Outcome)
	}
	s.Stop()
}
