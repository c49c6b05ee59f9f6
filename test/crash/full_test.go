package crash

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"airfield/internal/ingest"
	"airfield/test/binary"
)

// small puts the data folder on a file system of its own.
func (s *installation) small(size string) {
	s.T.Helper()
	if err := os.Mkdir(s.Path("data"), 0o700); err != nil {
		s.T.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", s.Path("data"), "tmpfs", 0, "size="+size+",mode=700"); err != nil {
		if errors.Is(err, syscall.EPERM) {
			s.T.Skip("a small file system can only be mounted by root, in a sandbox that lets it: ", err)
		}
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() {
		s.Kill()
		if err := syscall.Unmount(s.Path("data"), 0); err != nil {
			s.T.Error(err)
		}
	})
}

// fill leaves not one free block in the data folder; the returned function gives the space back.
func (s *installation) fill() (free func()) {
	s.T.Helper()
	f, err := os.Create(s.Path("data", "filler"))
	if err != nil {
		s.T.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		s.T.Fatal(err)
	}
	return func() {
		if err := os.Remove(f.Name()); err != nil {
			s.T.Fatal(err)
		}
	}
}

// upload sends a file to the collection.
func (s *installation) upload(p page) (status int, answer string) {
	s.T.Helper()
	res, err := s.Request(context.Background(), http.MethodPost, "/api/collections/"+collection+"/documents?name="+strings.ReplaceAll(p.name, "/", "-"), p.text)
	if err != nil {
		s.T.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestAFullDiskRefusesClearlyAndHurtsNothing(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, 3, time.Millisecond)
	s := install(t, u.Models()+watchedFolder)
	s.small("24m")
	s.Start()
	var pages []page
	for n := range 8 { // no PDF
		pages = append(pages, generate(n, 0))
	}
	for _, p := range pages[:4] {
		s.settled(p.name, p.text)
	}
	s.Await("4 documents to be live", func() bool { return s.atRest(4) })

	free := s.fill()
	for _, p := range pages[4:6] {
		s.settled(p.name, p.text) // into the watched folder, which is elsewhere
	}
	for range 3 {
		if status, answer := s.upload(pages[6]); status != http.StatusServiceUnavailable || !strings.Contains(answer, `"disk_full"`) || !strings.Contains(answer, `"hint"`) {
			t.Fatalf("an upload to a full disk: %d %s", status, answer)
		}
	}
	var answered []string
	refused := 0
	for n := 0; refused < 5; n++ { // until the block that the journal has begun is full, calls are taken
		res, err := s.Request(context.Background(), http.MethodPost, "/v1/chat/completions", question(n, n%2 == 0))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		switch {
		case res.StatusCode == http.StatusOK && err == nil && n < 500:
			answered = append(answered, res.Header.Get("X-Airfield-Call-Id"))
		case res.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(text), "disk_full"):
			refused++
		default:
			t.Fatalf("call %d on a full disk: %d %s %v", n, res.StatusCode, text, err)
		}
	}
	if n := int(u.Chats().Begun); n != len(answered) {
		t.Errorf("%d calls were answered and %d were made: a refused one was sent", len(answered), n)
	}
	s.Await("the log to say that the source waits", func() bool { // in the database nothing can be said
		return strings.Contains(s.Log(), `"a scan failed"`) && strings.Contains(s.Log(), "the disk that holds the database is full")
	})
	if res, err := s.Request(context.Background(), http.MethodGet, "/readyz", nil); err != nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("it says that it is ready: %v %v", res, err)
	}
	if got := len(s.documents()); got != 4 {
		t.Errorf("%d documents are listed", got)
	}
	t.Logf("full: %d calls were taken before the journal's block was full, then %d of %d refused", len(answered), refused, refused)

	free()
	s.Await("the source to go on by itself", func() bool { return s.atRest(6) && s.source().State == ingest.SourceOK })
	status, answer := s.upload(pages[6])
	if status != http.StatusAccepted {
		t.Errorf("an upload after space was freed: %d %s", status, answer)
	}
	pages[6].name = strings.ReplaceAll(pages[6].name, "/", "-")
	s.Await("the upload to be live", func() bool { return s.atRest(7) })
	if e, err := s.Chat(context.Background(), question(1000, true)); err != nil || !e.Whole {
		t.Errorf("a call after space was freed: %+v %v", e, err)
	}
	s.holds(pages[:7])
	rows := s.calls("chat")
	for _, id := range answered {
		if o := rows[id].Outcome; o != "ok" { // also where its end had to wait for space
			t.Errorf("call %s is logged as %q", id, o)
		}
	}
	s.Stop()
	s.isWhole()

	// What a full disk meets in mid-work, and a start on it.
	s.Start()
	for n := 100; n < 109; n++ {
		pages = append(pages, generate(n, 0))
		s.settled(pages[len(pages)-1].name, pages[len(pages)-1].text)
	}
	s.Await("a run to be on its way", func() bool { return s.status().Status.Documents > 7 })
	free = s.fill()
	time.Sleep(500 * time.Millisecond)
	s.Kill()
	s.Launch()
	select {
	case <-s.Ended():
		s.AwaitEnd()
		if !strings.Contains(binary.Tail(s.Log(), 500), "full") && !strings.Contains(binary.Tail(s.Log(), 500), "no space left") {
			t.Errorf("it does not say why it does not start: %s", binary.Tail(s.Log(), 500))
		}
	case <-time.After(2 * time.Second): // it may as well run
		s.Kill()
	}
	free()
	s.Start()
	pages = slices.Delete(pages, 7, 8) // never sent
	s.Await("everything to be live", func() bool { return s.atRest(len(pages)) })
	s.holds(pages)
	s.restAndCheck()
}
