package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/db/dbtest"
	"airfield/internal/ingest"
	"airfield/test/binary"
	"airfield/test/upstream"
)

const embedBatch = 16

// readers ask a collection twenty times a second, and hold every answer against what must be true of it.
type readers struct {
	f    *fleet
	stop chan struct{}
	wait sync.WaitGroup

	mu          sync.Mutex
	down        map[*binary.Server]bool
	asked       int
	generations map[string]int // answers by the generation that they are from
	wrong       []string
}

func (f *fleet) read() *readers {
	r := &readers{f: f, stop: make(chan struct{}), down: map[*binary.Server]bool{}, generations: map[string]int{}}
	r.wait.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-r.stop:
				return
			case <-tick.C:
			}
			s := f.all[n%len(f.all)]
			r.mu.Lock()
			if r.down[s] {
				s = nil
			}
			r.mu.Unlock()
			if s != nil {
				r.wait.Go(func() { r.one(s, n) })
			}
		}
	})
	return r
}

// one asks a question by vectors alone, or by both: a vector of one model finds nothing among those of the other, whose size
// is another one.
func (r *readers) one(s *binary.Server, n int) string {
	body, _ := json.Marshal(map[string]any{"query": fmt.Sprintf("how lot %d is stored", n%50), "mode": []string{"vector", "hybrid"}[n/len(r.f.all)%2], "max_num_results": 10})
	a, err := s.Ask(context.Background(), http.MethodPost, "/v1/vector_stores/shelf/search", body)
	var found struct {
		Data []struct{ Generation string }
	}
	said, generation := "", ""
	switch {
	case err != nil:
		said = err.Error()
	case a.Status != http.StatusOK:
		said = string(a.Body)
	case json.Unmarshal(a.Body, &found) != nil || len(found.Data) != 10:
		said = fmt.Sprintf("%d passages: %s", len(found.Data), a.Body)
	default:
		generation = found.Data[0].Generation
		for _, p := range found.Data {
			if p.Generation != generation || generation == "" {
				said = fmt.Sprintf("generations %q and %q in one answer", generation, p.Generation)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if said != "" && r.down[s] {
		return "" // it was killed with the question in hand
	}
	r.asked++
	r.generations[generation]++
	if said != "" {
		r.wrong = append(r.wrong, binary.Tail(said, 300))
	}
	return generation
}

// kill ends a process at a moment at which nobody is told to ask it.
func (r *readers) kill(s *binary.Server) {
	r.mu.Lock()
	r.down[s] = true
	r.mu.Unlock()
	s.Kill()
}

func (r *readers) again(s *binary.Server) {
	s.Start()
	r.mu.Lock()
	delete(r.down, s)
	r.mu.Unlock()
}

func (f *fleet) generation() ingest.Generation {
	f.t.Helper()
	var list []ingest.Generation
	f.running().Call(http.MethodGet, "/api/collections/shelf/refresh", nil, &list)
	return list[0]
}

// lotDocument is a file of two sections, and so of two passages.
func lotDocument(n int, what string) []byte {
	return fmt.Appendf(nil, "# Lot %d %s\n\n## Storage of lot %d\n\nLot %d is stored in hall %d on rack %d %s.\n\n## Freight of lot %d\n\nLot %d weighs %d kilograms and leaves on day %d %s.\n",
		n, what, n, n, n%9, n%77, what, n, n, n*13%997, n%28, what)
}

// A model changes while twenty questions a second are asked and a process is killed: none fails, none is answered from two
// generations, what was done is not done again, a document that is rewritten meanwhile is in both, and the way back is instant.
func changeOfModel(t *testing.T, processes int, url string) {
	documents := 300
	if os.Getenv("AIRFIELD_LONG") != "" {
		documents = 5000
	}
	folder := t.TempDir()
	put := func(n int, what string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("lot-%04d.md", n)), lotDocument(n, what), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for n := range documents {
		put(n, "as it came")
	}
	u := upstream.New(t, upstream.Options{})
	u.Behave(func(r *upstream.Request) upstream.Behaviour {
		if len(r.Inputs) > 1 {
			return upstream.Behaviour{Delay: 40 * time.Millisecond} // so that there is something to interrupt
		}
		return upstream.Behaviour{}
	})
	config := u.Models() + workflow + fmt.Sprintf("ingest: {lease_for: 2s, embed_batch: %d}\nretrieve: {vector_weights: {builtin-embed: 0.2, vectors: 0.5}}\n", embedBatch) +
		fmt.Sprintf("collections:\n  shelf:\n    defaults: {tier: public}\n    refresh: {min_overlap: 0}\n    sources: {folder: {folder: %q, interval: 1s}}\n", folder)
	if url != "" {
		config = stores(t, url) + config
	}
	f := launch(t, processes, u, url, config)
	live := func() int64 {
		return f.number("SELECT COUNT(*) FROM documents WHERE live_version_id IS NOT NULL AND deleted_at IS NULL")
	}
	f.all[0].AwaitFor(10*time.Minute, 100*time.Millisecond, "the documents to be live", func() bool { return live() == int64(documents) })

	var plan ingest.RefreshPlan
	f.all[0].Call(http.MethodPost, "/api/collections/shelf/refresh/plan", map[string]any{"embedding_model": "vectors"}, &plan)
	if plan.Documents != int64(documents) || plan.Chunks < int64(documents) || !plan.Priced || int64(plan.CostUSD) != plan.Tokens*1000 {
		t.Errorf("%+v", plan)
	}
	before := f.number("SELECT COUNT(*) FROM generations")
	var old string
	if err := f.db.QueryRow(t.Context(), "SELECT generation_id FROM collections WHERE name = 'shelf'").Scan(&old); err != nil {
		t.Fatal(err)
	}
	r := f.read()
	u.Embedded()
	var started ingest.Generation
	f.all[0].Call(http.MethodPost, "/api/collections/shelf/refresh", map[string]any{"embedding_model": "vectors", "auto_switch": false}, &started)

	// A third of the way a process dies, at the batch it has in hand.
	victim := f.all[len(f.all)-1]
	f.all[0].AwaitFor(5*time.Minute, 5*time.Millisecond, "a third to be built", func() bool { return f.generation().Embedded >= plan.Chunks/3 })
	r.kill(victim)
	done := f.number("SELECT embedded FROM generations WHERE id = ?", started.ID)
	if done >= plan.Chunks {
		t.Fatalf("%d of %d passages were embedded before the process was killed", done, plan.Chunks)
	}
	put(7, "written anew")
	r.again(victim)
	f.all[0].AwaitFor(10*time.Minute, 50*time.Millisecond, "the generation to be ready", func() bool {
		g := f.generation()
		if g.State == ingest.GenerationHeld || g.State == ingest.GenerationFailed {
			t.Fatalf("%+v %+v", g, g.Gate)
		}
		return g.State == ingest.GenerationReady
	})
	f.all[0].Await("the rewritten document to be live", func() bool {
		return f.number("SELECT COUNT(*) FROM versions WHERE number = 2 AND state = 'live'") == 1
	})

	var now ingest.Generation
	begun := time.Now()
	f.all[0].Call(http.MethodPost, "/api/collections/shelf/refresh/switch", map[string]any{}, &now)
	switched := time.Since(begun)
	if now.ID != started.ID || now.State != ingest.GenerationLive {
		t.Fatalf("%+v", now)
	}
	if got := r.one(f.all[0], 0); processes == 1 && got != now.ID {
		t.Errorf("after the switch an answer is from %q and not from %q", got, now.ID)
	}
	for _, s := range f.all { // one that did not build it answers from the one before until its own index has it
		s.AwaitFor(20*time.Second, 50*time.Millisecond, "the process to answer from what is live", func() bool { return r.one(s, 0) == now.ID })
	}
	for name, generation := range map[string]string{"before": old, "now": now.ID} {
		missing := f.number(`SELECT COUNT(*) FROM documents d JOIN manifests m ON m.version_id = d.live_version_id WHERE NOT EXISTS
			(SELECT 1 FROM vectors v WHERE v.generation_id = ? AND v.chunk_id = m.chunk_id)`, generation)
		anew := f.number(`SELECT COUNT(*) FROM versions w JOIN manifests m ON m.version_id = w.id JOIN vectors v ON v.chunk_id = m.chunk_id AND v.generation_id = ? WHERE w.number = 2 AND w.state = 'live'`, generation)
		if missing != 0 || anew == 0 {
			t.Errorf("the generation %s lacks %d passages and has %d of the rewritten document", name, missing, anew)
		}
	}
	time.Sleep(time.Second) // of questions to the new one
	begun = time.Now()
	f.all[0].Call(http.MethodPost, "/api/collections/shelf/refresh/rollback", nil, &now)
	back := time.Since(begun)
	if now.ID != old || back > time.Second {
		t.Errorf("the way back took %s, to %+v", back, now)
	}
	for _, s := range f.all {
		if got := r.one(s, 0); got != old {
			t.Errorf("after the way back an answer is from %q and not from %q", got, old)
		}
	}
	close(r.stop)
	r.wait.Wait()

	// Nothing that was committed was embedded twice: what the dead process had in hand was.
	times, twice := map[string]int{}, 0
	for _, text := range u.Embedded() {
		if strings.HasPrefix(text, "how lot") || !strings.Contains(text, "\n") {
			continue // questions: of the readers, and of the gate
		}
		if times[text]++; times[text] > 1 {
			twice++
		}
	}
	if twice > embedBatch || len(times) < int(plan.Chunks) {
		t.Errorf("%d texts were embedded twice, where a batch is %d; %d of %d at all", twice, embedBatch, len(times), plan.Chunks)
	}
	if len(r.wrong) > 0 {
		t.Errorf("%d of %d answers are wrong, the first: %s", len(r.wrong), r.asked, r.wrong[0])
	}
	if r.generations[old] == 0 || r.generations[started.ID] == 0 || len(r.generations) != 2 || f.number("SELECT COUNT(*) FROM generations") != before+1 {
		t.Errorf("answers by generation: %v", r.generations)
	}
	t.Logf("%d documents, %d passages, killed at %d, %d embedded twice; %d questions, %v by generation; switch %s, back %s", documents, plan.Chunks, done, twice, r.asked, r.generations, switched, back)
}

func TestAModelChangesUnderQuestionsAndAKill(t *testing.T) { changeOfModel(t, 1, "") }

func TestAModelChangesInTwoProcessesOfWhichOneIsKilled(t *testing.T) {
	changeOfModel(t, 2, dbtest.Postgres(t))
}
