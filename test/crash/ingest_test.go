package crash

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"airfield/internal/ingest"
	"airfield/test/binary"
)

// seed makes the moments of a run repeatable.
var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the moments at which servers are killed")

const watchedFolder = `
log: {level: info}
ingest: {sweep_every: 1s}
collections:
  papers:
    defaults: {tier: internal}
    sources:
      folder: {folder: documents, interval: 2s}
`

func TestKilledAgainAndAgainWhileDocumentsComeChangeMoveAndGo(t *testing.T) {
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 1))
	s := install(t, watchedFolder)
	pages := make([]page, 200)
	for i := range pages {
		pages[i] = generate(i, 0)
	}

	const kills = 20
	inWork := 0
	for part := range slices.Chunk(pages, len(pages)/kills) {
		for _, p := range part {
			s.settled(p.name, p.text)
		}
		s.Launch()
		time.Sleep(time.Duration(100+random.IntN(1100)) * time.Millisecond) // any moment, also of the start
		s.Kill()
		if s.unfinished() > 0 {
			inWork++
		}
	}
	t.Logf("killed %d times, %d of them with runs on their way", kills, inWork)
	if inWork < kills/4 {
		t.Errorf("only %d of %d kills met work: the test proves little", inWork, kills)
	}
	s.Start()
	began := time.Now()
	s.Await("200 documents to be live", func() bool { return s.atRest(len(pages)) })
	t.Logf("everything was live %s after the last start", time.Since(began).Round(time.Millisecond))
	s.holds(pages)
	ids := map[string]string{}
	for name, d := range s.documents() {
		ids[name] = d.ID
	}
	s.restAndCheck()

	t.Run("and 20 change, 20 move and 20 go", func(t *testing.T) {
		s.T = t
		var old []page
		renamed := map[string]string{} // new to old name
		for i := range 60 {
			p := &pages[i]
			switch i % 3 {
			case 0:
				old = append(old, *p)
				text := generate(i, 1)
				p.text, p.word = text.text, text.word
				s.settled(p.name, p.text)
			case 1:
				to := filepath.ToSlash(filepath.Join("moved", filepath.Base(p.name)))
				renamed[to] = p.name
				if err := os.MkdirAll(s.Path("documents", "moved"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(s.Path("documents", p.name), s.Path("documents", to)); err != nil {
					t.Fatal(err)
				}
				p.name = to
			case 2:
				old = append(old, *p)
				if err := os.Remove(s.Path("documents", p.name)); err != nil {
					t.Fatal(err)
				}
				p.name = ""
			}
			if i%12 == 11 {
				s.Launch()
				time.Sleep(time.Duration(150+random.IntN(700)) * time.Millisecond)
				s.Kill()
			}
		}
		pages = slices.DeleteFunc(pages, func(p page) bool { return p.name == "" })
		s.Start()
		s.Await("180 documents to be live", func() bool { return s.atRest(len(pages)) && s.source().State == ingest.SourceOK })
		s.holds(pages)
		for _, p := range old {
			if got := s.found(p.word); len(got) > 0 {
				t.Errorf("%q of an old %s is still found, in %q", p.word, p.name, got)
			}
		}
		documents := s.documents()
		for to, from := range renamed {
			if documents[to].ID != ids[from] {
				t.Errorf("%s is another document than %s was", to, from)
			}
			if n := documents[to].Newest.Number; n != 1 {
				t.Errorf("moving %s made version %d of it", from, n)
			}
		}
		s.restAndCheck()
	})
}

// unfinished counts the runs of a killed server that have not ended, in a copy: what the next start has to recover is
// left as it is.
func (s *installation) unfinished() int {
	s.T.Helper()
	copied := &installation{&binary.Server{T: s.T, Dir: s.T.TempDir()}}
	for _, name := range []string{"airfield.db", "airfield.db-wal"} {
		text, err := os.ReadFile(s.Path("data", name))
		if os.IsNotExist(err) {
			return 0 // killed before there was a database
		}
		if err != nil {
			s.T.Fatal(err)
		}
		copied.Write(filepath.Join("data", name), text)
	}
	var n int
	db := copied.database()
	defer db.Close()
	if err := db.QueryRow("SELECT COUNT(*) FROM runs WHERE state IN ('waiting', 'running')").Scan(&n); err != nil {
		return 0 // killed before there was a schema
	}
	return n
}

// restAndCheck lets the sweep come by, stops the server and looks at its stores.
func (s *installation) restAndCheck() {
	s.T.Helper()
	time.Sleep(2500 * time.Millisecond) // longer than two sweeps
	s.Stop()
	s.isWhole()
}
