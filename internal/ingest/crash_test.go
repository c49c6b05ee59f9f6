package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airfield/internal/access"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/ingest"
)

// The load of the crash test: documents, of which the first get a second version and the last are deleted again.
const (
	crashDocuments = 60
	crashEdited    = 10
	crashDeleted   = 5
)

func crashText(i, version int) string {
	return prose(fmt.Sprintf("number %d edition %d", i, version), 2)
}

// crashWorker is the process that is killed: it brings the load in, as far as it is not there yet, and works on it.
func crashWorker(dir string) {
	t := &process{}
	ctx := context.Background()
	d := dbtest.Open(t, "sqlite:"+filepath.Join(dir, "airfield.db"))
	h := open(t, d, filepath.Join(dir, "bucket"), quick())
	must(t, h.Recover(ctx))
	h.collection("docs")
	h.start()
	key := func(i int) string { return fmt.Sprintf("%02d.md", i) }
	known := func(i int) int {
		return h.count("SELECT COALESCE(MAX(last_number), 0) FROM documents WHERE source_key = ?", key(i))
	}
	for i := range crashDocuments {
		if known(i) == 0 {
			h.upload("docs", key(i), crashText(i, 1), ingest.Metadata{})
		}
	}
	for i := range crashEdited {
		if known(i) == 1 {
			h.upload("docs", key(i), crashText(i, 2), ingest.Metadata{})
		}
	}
	for i := crashDocuments - crashDeleted; i < crashDocuments; i++ {
		if doc, err := h.FindDocument(system(), "docs", ingest.SourceUpload, key(i)); err == nil {
			must(t, h.Delete(system(), doc.ID))
		}
	}
	for h.count("SELECT COUNT(*) FROM runs WHERE state IN ('waiting','running')") > 0 {
		time.Sleep(5 * time.Millisecond)
	}
	os.Exit(0)
}

// process stands for the test where there is none.
type process struct{ testing.TB }

func (*process) Helper()        {}
func (*process) Cleanup(func()) {}
func (*process) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(3)
}
func (p *process) Fatalf(format string, args ...any) { p.Fatal(fmt.Sprintf(format, args...)) }

func TestKilledAtRandomMomentsNothingIsLostAndNothingIsTwice(t *testing.T) {
	dir := t.TempDir()
	exe, err := os.Executable()
	must(t, err)
	start := func() (*exec.Cmd, *bytes.Buffer) {
		var out bytes.Buffer
		c := exec.Command(exe, "crash-worker", dir)
		c.Stderr = &out
		must(t, c.Start())
		return c, &out
	}
	killed := 0
	for range 8 {
		c, out := start()
		time.Sleep(time.Duration(80+rand.IntN(250)) * time.Millisecond)
		must(t, c.Process.Kill())
		err := c.Wait()
		if c.ProcessState.Exited() { // it was done before
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			break
		}
		killed++
	}
	c, out := start()
	end := time.AfterFunc(90*time.Second, func() { c.Process.Kill() })
	defer end.Stop()
	if err := c.Wait(); err != nil {
		t.Fatalf("the last worker did not finish: %v: %s", err, out)
	}
	t.Logf("killed %d times", killed)

	d := dbtest.Open(t, "sqlite:"+filepath.Join(dir, "airfield.db"))
	h := open(t, d, filepath.Join(dir, "bucket"), quick())
	h.sound()
	if n := h.count("SELECT COUNT(*) FROM documents"); n != crashDocuments {
		t.Errorf("%d documents", n)
	}
	if n := h.count("SELECT COUNT(*) FROM versions WHERE state = 'live'"); n != crashDocuments-crashDeleted {
		t.Errorf("%d live versions", n)
	}
	if n := h.count("SELECT COUNT(*) FROM versions"); n != crashDocuments+crashEdited {
		t.Errorf("%d versions", n)
	}
	if n := h.count("SELECT COUNT(*) FROM runs WHERE state NOT IN ('done','cancelled')"); n != 0 {
		t.Errorf("%d runs did not end", n)
	}
	for i := range crashDocuments - crashDeleted {
		doc, err := h.FindDocument(system(), "docs", ingest.SourceUpload, fmt.Sprintf("%02d.md", i))
		must(t, err)
		chunks, err := h.ListChunks(system(), doc.ID, 0)
		must(t, err)
		var text strings.Builder
		for j, c := range chunks {
			if c.Ordinal != j {
				t.Fatalf("document %d has chunk %d at %d", i, c.Ordinal, j)
			}
			text.WriteString(c.Text)
		}
		edition := 1
		if i < crashEdited {
			edition = 2
		}
		if want := fmt.Sprintf("number %d edition %d", i, edition); strings.Count(text.String(), "what the "+want+" freight") != 2*6*12 {
			t.Errorf("document %d does not hold %q as often as it should", i, want)
		}
	}
	for _, id := range h.texts("SELECT id FROM documents WHERE deleted_at IS NOT NULL") {
		if _, err := h.Proof(system(), id); err != nil {
			t.Error(err)
		}
	}
	must(t, h.Sweep(system()))
	if n := h.count("SELECT COUNT(*) FROM versions WHERE derived = 1"); n != 0 {
		t.Errorf("%d versions still have extracted blocks", n)
	}
	if report, err := h.audit.Verify(system(), access.Head{}); err != nil || !report.Whole {
		t.Errorf("%+v %v", report, err)
	}
}

func (h *house) texts(query string, args ...any) (list []string) {
	h.t.Helper()
	rows, err := h.db.Query(context.Background(), query, args...)
	must(h.t, err)
	defer rows.Close()
	for rows.Next() {
		var s string
		must(h.t, rows.Scan(&s))
		list = append(list, s)
	}
	must(h.t, rows.Err())
	return list
}

func TestAWorkerThatLostItsLeaseChangesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		r := h.upload("docs", "a.md", prose("a", 1), ingest.Metadata{})
		run := h.texts("SELECT id FROM runs")[0]
		h.embedder.fail = func([]string) error {
			// While it embeds, the lease ends and the sweep gives the run to others.
			_, err := d.Exec(context.Background(), "UPDATE runs SET leased_until = 1 WHERE id = ?", run)
			must(t, err)
			must(t, h.Sweep(context.Background()))
			return nil
		}
		must(t, h.Work(context.Background(), run))
		if n := h.count("SELECT COUNT(*) FROM vectors"); n != 0 {
			t.Errorf("%d vectors were kept without the lease", n)
		}
		if n := h.count("SELECT COUNT(*) FROM runs WHERE state = 'waiting' AND crashes = 1 AND step = 'embed'"); n != 1 {
			t.Error("the run does not wait for another worker")
		}
		h.embedder.fail = nil
		must(t, h.Work(context.Background(), run))
		h.settled(r.VersionID, ingest.Live)
		h.sound()
	})
}

func TestWorkersThatDieOverAndOverMakeADeadLetter(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c := quick()
		c.MaxCrashes = 3
		h := open(t, d, t.TempDir(), c)
		h.collection("docs")
		r := h.upload("docs", "a.md", prose("a", 1), ingest.Metadata{})
		for range c.MaxCrashes {
			_, err := d.Exec(context.Background(), "UPDATE runs SET state = 'running', leased_by = 'gone', leased_until = 5 WHERE state = 'waiting'")
			must(t, err)
			before := db.Micros(time.Now())
			must(t, h.Recover(context.Background()))
			// The first goes on at once, the next waits: a server that is killed in a loop does not use the tries up.
			if at := h.count("SELECT COALESCE(MAX(due_at), 0) FROM runs WHERE state = 'waiting' AND crashes = 2"); at != 0 && int64(at) < before+c.Backoff.Microseconds() {
				t.Error("after its second crash the run is due at once")
			}
		}
		v := h.settled(r.VersionID, ingest.Dead)
		if v.Run.ErrorCode != "worker_died" {
			t.Errorf("%+v", v.Run)
		}
	})
}
