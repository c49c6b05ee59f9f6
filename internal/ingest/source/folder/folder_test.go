package folder

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"airfield/internal/access"
	"airfield/internal/bucket"
	"airfield/internal/bucket/file"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/ingest"
	"airfield/internal/ingest/extract"
	"airfield/internal/ingest/source"
	"airfield/internal/telemetry"
)

// place is a folder, and the collection that is fed from it. Runs are worked on when the test says so.
type place struct {
	*ingest.Pipeline
	t        testing.TB
	db       *db.DB
	dir      string
	folder   *Folder
	embedded int
	runs     []string
}

type queue struct{ p *place }

func (q queue) Wake(_ context.Context, _ *db.Tx, w ingest.Wake) error {
	q.p.runs = append(q.p.runs, w.RunID)
	return nil
}

func (q queue) Refresh(context.Context, *db.Tx, string, time.Time) error { return nil }

// plainText stands for the extractor, whose formats are tested where it is: every file is one block.
type plainText struct{}

func (plainText) ExtractRecords(_ context.Context, path, _, _ string, _ *extract.Records, each func(extract.Page) error) (extract.Result, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return extract.Result{}, err
	}
	return extract.Result{MediaType: "text/plain"}, each(extract.Page{Blocks: []extract.Block{{Kind: extract.KindText, Text: string(b)}}})
}

func (p *place) Embed(_ context.Context, _ string, texts []string) ([][]float32, error) {
	p.embedded += len(texts)
	out := make([][]float32, len(texts))
	for i := range out {
		out[i] = []float32{1, float32(i)}
	}
	return out, nil
}

func (p *place) CatchUp(context.Context, string) error              { return nil }
func (p *place) Count(context.Context, string, string) (int, error) { return 0, nil }
func (p *place) Compacted(string, time.Time) bool                   { return true }

var system = caller.With(context.Background(), &caller.Caller{Role: caller.System, KeyName: "test", Clearance: caller.Restricted})

func open(t testing.TB, d *db.DB, change ...func(*ingest.SourceConfig)) *place {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	b, err := file.Open(t.TempDir(), bucket.Default(), log)
	must(t, err)
	p := &place{t: t, db: d, dir: filepath.Join(t.TempDir(), "root")}
	must(t, os.Mkdir(p.dir, 0o700))
	p.Pipeline = ingest.New(ingest.Default(), ingest.Parts{DB: d, Bucket: b, Queue: queue{p}, Extractor: plainText{}, Embedder: p, Index: p,
		Audit: access.NewAudit(d), Tracer: telemetry.NewTracer(nil), Log: log})
	c := ingest.DefaultCollection()
	s := ingest.SourceConfig{Folder: p.dir}
	for _, fn := range change {
		fn(&s)
	}
	c.Sources = map[string]ingest.SourceConfig{"disk": s}
	_, err = p.Sync(system, map[string]ingest.CollectionConfig{"docs": c})
	must(t, err)
	p.folder, err = New(s)
	must(t, err)
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes a file that is settled.
func (p *place) put(name, text string) {
	p.t.Helper()
	full := filepath.Join(p.dir, name)
	must(p.t, os.MkdirAll(filepath.Dir(full), 0o700))
	must(p.t, os.WriteFile(full, []byte(text), 0o600))
	old := time.Now().Add(-time.Minute)
	must(p.t, os.Chtimes(full, old, old))
}

func (p *place) remove(name string) {
	p.t.Helper()
	must(p.t, os.Remove(filepath.Join(p.dir, name)))
}

// scan scans, and does every run that waits.
func (p *place) scan() source.Report {
	p.t.Helper()
	r, err := source.Scan(system, p.Pipeline, p.folder, "docs", "disk")
	must(p.t, err)
	p.work()
	return r
}

func (p *place) work() {
	p.t.Helper()
	for len(p.runs) > 0 {
		id := p.runs[0]
		p.runs = p.runs[1:]
		must(p.t, p.Work(system, id))
	}
}

// documents are those that are live, by key.
func (p *place) documents() map[string]ingest.Document {
	p.t.Helper()
	list, err := p.ListDocuments(system, "docs", ingest.DocumentFilter{Limit: 1000})
	must(p.t, err)
	out := map[string]ingest.Document{}
	for _, d := range list {
		out[d.SourceKey] = d
	}
	return out
}

func (p *place) expect(want source.Report) {
	p.t.Helper()
	got := p.scan()
	if want.State == "" {
		want.State = ingest.SourceOK
	}
	got.Message = ""
	if got != want {
		p.t.Fatalf("the scan found %+v, not %+v", got, want)
	}
}

func TestAFolderIsFollowed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		p := open(t, d)
		p.put("a.txt", "alpha")
		p.put("sub/b.txt", "beta")
		p.put("sub/c.txt", "beta") // equal content: two documents
		for _, name := range []string{".hidden", "~$a.docx", "a.txt.swp", "big.part", "x~", ".git/config"} {
			p.put(name, "not a document")
		}
		p.expect(source.Report{Added: 3})
		before := p.documents()
		if len(before) != 3 || before["sub/b.txt"].Newest.State != ingest.Live || before["sub/b.txt"].ID == before["sub/c.txt"].ID {
			t.Fatalf("%+v", before)
		}
		embedded := p.embedded
		p.expect(source.Report{})

		p.put("a.txt", "alpha, changed")
		p.expect(source.Report{Changed: 1})
		if got := p.documents()["a.txt"]; got.ID != before["a.txt"].ID || got.Newest.Number != 2 || got.Newest.State != ingest.Live || p.embedded != embedded+1 {
			t.Errorf("%+v, %d embedded", got, p.embedded-embedded)
		}
		now := time.Now().Add(-30 * time.Second)
		must(t, os.Chtimes(filepath.Join(p.dir, "a.txt"), now, now))
		p.expect(source.Report{Touched: 1})

		must(t, os.Rename(filepath.Join(p.dir, "sub/b.txt"), filepath.Join(p.dir, "moved.txt")))
		p.expect(source.Report{Renamed: 1})
		if got := p.documents()["moved.txt"]; got.ID != before["sub/b.txt"].ID || got.Title != "moved" || got.Newest.Number != 1 || p.embedded != embedded+1 {
			t.Errorf("%+v, %d embedded", got, p.embedded-embedded)
		}
		p.remove("moved.txt")
		p.expect(source.Report{Removed: 1})
		if _, there := p.documents()["moved.txt"]; there {
			t.Error("a removed file is still a document")
		}
		if proof, err := p.Proof(system, before["sub/b.txt"].ID); err != nil || proof.Removed["chunks"] != 1 {
			t.Errorf("%+v %v", proof, err)
		}
		// A document deleted by hand does not come back as long as its file stays as it is.
		must(t, p.Delete(system, before["a.txt"].ID))
		p.work()
		p.expect(source.Report{})
		if len(p.documents()) != 1 {
			t.Errorf("%d documents", len(p.documents()))
		}
	})
}

func TestARenameAcrossFileSystemsIsSeenByItsContent(t *testing.T) {
	p := open(t, dbtest.Open(t, dbtest.SQLite(t)))
	p.put("a.txt", "alpha")
	p.put("b.txt", "gamma")
	p.expect(source.Report{Added: 2})
	id := p.documents()["a.txt"].ID
	p.put("new.txt", "alpha") // another inode
	p.remove("a.txt")
	p.expect(source.Report{Renamed: 1})
	if p.documents()["new.txt"].ID != id {
		t.Error("another document")
	}
}

func TestSidecars(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		p := open(t, d)
		p.put("a.txt", "alpha")
		p.put("a.txt"+ingest.SidecarSuffix, "tier: public\ntags: [x]\ndate: 2026-03-04\nregion: north\n")
		p.expect(source.Report{Added: 1})
		doc := p.documents()["a.txt"]
		if doc.Tier != caller.Public || doc.Tags[0] != "x" || doc.Date != "2026-03-04" || doc.Metadata["region"] != "north" {
			t.Fatalf("%+v", doc)
		}
		embedded := p.embedded
		p.put("a.txt"+ingest.SidecarSuffix, "tier: confidential\n")
		p.expect(source.Report{Changed: 1})
		if doc = p.documents()["a.txt"]; doc.Tier != caller.Confidential || p.embedded != embedded || doc.Newest.Number != 1 {
			t.Errorf("%+v", doc)
		}
		p.put("a.txt"+ingest.SidecarSuffix, "tier: public\ntier: internal\n")
		p.expect(source.Report{Changed: 1})
		if doc = p.documents()["a.txt"]; doc.Tier != caller.Restricted || doc.Newest.State != ingest.Dead {
			t.Errorf("tier %s, %s", doc.Tier, doc.Newest.State)
		}
		p.expect(source.Report{}) // and not again at every scan
		p.remove("a.txt" + ingest.SidecarSuffix)
		p.expect(source.Report{Changed: 1})
		if doc = p.documents()["a.txt"]; doc.Tier != caller.Confidential || doc.Newest.State != ingest.Live || p.embedded != embedded {
			t.Errorf("tier %s, %s: a sidecar that is gone opens nothing", doc.Tier, doc.Newest.State)
		}
		p.put("a.txt"+ingest.SidecarSuffix, "tier: internal\n")
		p.expect(source.Report{Changed: 1})
		if doc = p.documents()["a.txt"]; doc.Tier != caller.Internal {
			t.Errorf("tier %s", doc.Tier)
		}
	})
}

func TestWhatCannotBeReadRemovesNothing(t *testing.T) {
	p := open(t, dbtest.Open(t, dbtest.SQLite(t)))
	p.put("a.txt", "alpha")
	p.put("sub/b.txt", "beta")
	p.expect(source.Report{Added: 2})

	away := p.dir + "-away"
	must(t, os.Rename(p.dir, away))
	p.expect(source.Report{Away: true, Missed: true, State: ingest.SourceWarning})
	if len(p.documents()) != 2 {
		t.Fatal("a folder that vanished took its documents along")
	}
	// An empty mount point in its stead.
	must(t, os.Mkdir(p.dir, 0o700))
	p.expect(source.Report{State: ingest.SourceHeld})
	if len(p.documents()) != 2 {
		t.Fatal("an empty mount point took the documents along")
	}
	must(t, os.Remove(p.dir))
	must(t, os.Rename(away, p.dir))
	p.expect(source.Report{})

	if os.Getuid() == 0 {
		// root reads everything: a name that no document can have makes the listing incomplete as well
		must(t, os.WriteFile(filepath.Join(p.dir, "bad\xff.txt"), nil, 0o600))
	} else {
		must(t, os.Chmod(filepath.Join(p.dir, "sub"), 0))
		defer os.Chmod(filepath.Join(p.dir, "sub"), 0o700)
	}
	p.remove("a.txt")
	p.expect(source.Report{State: ingest.SourceWarning, Missed: true})
	if len(p.documents()) != 2 {
		t.Fatal("an incomplete listing removed documents")
	}
}

func TestTheLastFilesOfAFolderMayGo(t *testing.T) {
	p := open(t, dbtest.Open(t, dbtest.SQLite(t)))
	p.put("a.txt", "alpha")
	p.put("b.txt", "beta")
	p.expect(source.Report{Added: 2})
	p.remove("a.txt")
	p.remove("b.txt")
	p.expect(source.Report{Removed: 2})
}

func TestALargeRemovalIsHeldUntilConfirmed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		p := open(t, d)
		for i := range 40 {
			p.put(fmt.Sprintf("%02d.txt", i), fmt.Sprintf("document %d", i))
		}
		p.expect(source.Report{Added: 40})
		for i := range 21 {
			p.remove(fmt.Sprintf("%02d.txt", i))
		}
		p.put("new.txt", "additions go on")
		p.expect(source.Report{Added: 1, State: ingest.SourceHeld})
		s, err := p.GetSource(system, "docs", "disk")
		must(t, err)
		if s.Held.Missing != 21 || s.Held.Of != 40 || len(s.Held.Examples) == 0 || !strings.Contains(s.Message, "airfield ingest confirm docs/disk") {
			t.Errorf("%+v", s)
		}
		must(t, p.Confirm(system, "docs", "disk"))
		for i := range 5 {
			p.remove(fmt.Sprintf("%02d.txt", 30+i)) // more than was confirmed
		}
		p.expect(source.Report{State: ingest.SourceHeld})
		if n := len(p.documents()); n != 41 {
			t.Fatalf("%d documents", n)
		}
		must(t, p.Confirm(system, "docs", "disk"))
		p.expect(source.Report{Removed: 26})
		if err := p.Confirm(system, "docs", "disk"); err == nil {
			t.Error("confirmed twice")
		}
	})
}

func TestAFileThatIsBeingWrittenIsReadLater(t *testing.T) {
	p := open(t, dbtest.Open(t, dbtest.SQLite(t)))
	must(t, os.WriteFile(filepath.Join(p.dir, "a.txt"), []byte("half"), 0o600))
	p.expect(source.Report{Unsettled: 1})
	p.put("a.txt", "whole")
	e := list(t, p.folder)["a.txt"]
	r, verify, err := p.folder.Open(system, e)
	must(t, err)
	defer r.Close()
	must(t, verify())
	must(t, os.WriteFile(filepath.Join(p.dir, "a.txt"), []byte("other"), 0o600))
	if verify() == nil {
		t.Error("a change while reading was not noticed")
	}
	if _, _, err := p.folder.Open(system, e); err == nil {
		t.Error("a change before reading was not noticed")
	}
}

func list(t *testing.T, f *Folder) map[string]source.Entry {
	t.Helper()
	l, err := f.List(system)
	must(t, err)
	return l.Entries
}

func TestLinksDoNotLeadOut(t *testing.T) {
	for _, follow := range []bool{false, true} {
		p := open(t, dbtest.Open(t, dbtest.SQLite(t)), func(c *ingest.SourceConfig) { c.FollowSymlinks = follow })
		secret := filepath.Join(t.TempDir(), "secret.txt")
		must(t, os.WriteFile(secret, []byte("secret"), 0o600))
		p.put("real/a.txt", "alpha")
		must(t, os.Symlink(secret, filepath.Join(p.dir, "out.txt")))
		must(t, os.Symlink(filepath.Dir(secret), filepath.Join(p.dir, "outside")))
		must(t, os.Symlink("real/a.txt", filepath.Join(p.dir, "in.txt")))
		must(t, os.Symlink("..", filepath.Join(p.dir, "real/loop")))
		got := list(t, p.folder)
		want := 1
		if follow {
			want = 2
		}
		if _, out := got["out.txt"]; out || len(got) != want {
			t.Errorf("follow %v: %v", follow, got)
		}
		// A link put in a file's place between listing and reading.
		e := got["real/a.txt"]
		p.remove("real/a.txt")
		must(t, os.Symlink(secret, filepath.Join(p.dir, "real/a.txt")))
		if r, _, err := p.folder.Open(system, e); err == nil {
			r.Close()
			t.Error("followed")
		}
	}
}

func TestIncludeAndExclude(t *testing.T) {
	p := open(t, dbtest.Open(t, dbtest.SQLite(t)), func(c *ingest.SourceConfig) {
		c.Include, c.Exclude = []string{"*.txt", "in/**"}, []string{"in/drafts/"}
	})
	for _, name := range []string{"a.txt", "b.pdf", "sub/c.txt", "in/d.pdf", "in/drafts/e.txt"} {
		p.put(name, name)
	}
	got := list(t, p.folder)
	if len(got) != 3 || got["in/d.pdf"].Key == "" || got["sub/c.txt"].Key == "" {
		t.Errorf("%v", got)
	}
}

func TestTenThousandUnchangedFilesCostLittle(t *testing.T) {
	p := open(t, dbtest.Open(t, dbtest.SQLite(t)))
	old := time.Now().Add(-time.Hour)
	for i := range 10_000 {
		dir := filepath.Join(p.dir, fmt.Sprint(i/250))
		if i%250 == 0 {
			must(t, os.Mkdir(dir, 0o700))
		}
		name := filepath.Join(dir, fmt.Sprintf("%05d.txt", i))
		must(t, os.WriteFile(name, []byte("document "+fmt.Sprint(i)), 0o600))
		must(t, os.Chtimes(name, old, old))
	}
	// What a first scan would have left behind, without its ten thousand uploads.
	s, err := p.GetSource(system, "docs", "disk")
	must(t, err)
	var items []ingest.Item
	for _, e := range list(t, p.folder) {
		items = append(items, ingest.Item{SourceID: s.ID, Key: e.Key, Fingerprint: e.Fingerprint, Identity: e.Identity, SHA256: strings.Repeat("0", 64), DocumentID: "doc_x"})
	}
	must(t, p.SeeItems(system, items))
	before := cpu()
	p.expect(source.Report{})
	took := cpu() - before
	t.Logf("a scan of %d unchanged files: %s of CPU", len(items), took)
	if took > 2*time.Second || p.embedded != 0 {
		t.Errorf("%s of CPU, %d embedded", took, p.embedded)
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestAWatchedFolderIsFollowedByItself(t *testing.T) {
	p := open(t, dbtest.Open(t, dbtest.SQLite(t)), func(c *ingest.SourceConfig) { c.Interval = time.Hour })
	ctx, cancel := context.WithCancel(context.Background())
	var logged bytes.Buffer
	r := source.NewRunner(p.Pipeline, map[string]source.Keep{"folder": Run}, slog.New(slog.NewTextHandler(&logged, nil)))
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	until := func(what string, ok func(map[string]ingest.Document) bool) {
		t.Helper()
		for end := time.Now().Add(15 * time.Second); !ok(p.documents()); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				cancel()
				<-done
				t.Fatalf("waited in vain until %s: %s", what, logged.String())
			}
		}
	}
	p.put("a.txt", "alpha")
	until("a file is found", func(d map[string]ingest.Document) bool { return len(d) == 1 })
	must(t, os.MkdirAll(filepath.Join(p.dir, "new/deep"), 0o700))
	must(t, os.WriteFile(filepath.Join(p.dir, "new/deep/b.txt"), []byte("beta"), 0o600))
	until("a file in a new folder is found", func(d map[string]ingest.Document) bool { return d["new/deep/b.txt"].ID != "" })
	must(t, os.WriteFile(filepath.Join(p.dir, "new/deep/b.txt"), []byte("beta, changed"), 0o600))
	until("a change in the new folder is found", func(d map[string]ingest.Document) bool { return d["new/deep/b.txt"].Newest.Number == 2 })
	p.remove("a.txt")
	until("a removal is found", func(d map[string]ingest.Document) bool { return len(d) == 1 })
	cancel()
	must(t, <-done)
}
