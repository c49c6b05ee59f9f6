package scale

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"

	"airfield/internal/db/dbtest"
	"airfield/internal/ingest"
	"airfield/test/binary"
	"airfield/test/upstream"
)

const papers = "business_units: {product: {}}\nworkflows: {team: {business_unit: product, clearance: internal, collections: [papers]}}\ncollections: {papers: {}}\n"

// found are the documents of which a process finds passages, by words and by vectors.
func (f *fleet) found(s *binary.Server, query, mode string) map[string]int {
	f.t.Helper()
	var answer struct {
		Data []struct {
			Document string `json:"document_id"`
		} `json:"data"`
	}
	s.Call(http.MethodPost, "/v1/vector_stores/papers/search", map[string]any{"query": query, "mode": mode, "max_num_results": 50}, &answer)
	all := map[string]int{}
	for _, hit := range answer.Data {
		all[hit.Document]++
	}
	return all
}

func TestProcessesOnOneIndexFindWhatAnyOfThemTookIn(t *testing.T) {
	const each = 12
	url := dbtest.Postgres(t)
	f := launch(t, 2, upstream.New(t, upstream.Options{}), url, stores(t, url)+"index: {url: database}\n"+papers)
	ids := make([]string, 2*each)
	var taking sync.WaitGroup
	for i := range ids { // both processes take in, and both feed the index
		taking.Go(func() {
			s := f.all[i%2]
			res, err := s.Ask(context.Background(), http.MethodPost, fmt.Sprintf("/api/collections/papers/documents?name=paper%d.txt", i), fmt.Appendf(nil, "Every paper is about harbours. Paper number%d is about lighthouse%d.", i, i), "Content-Type", "text/plain")
			if err != nil || res.Status >= 300 {
				t.Error(res.Status, string(res.Body), err)
			}
		})
	}
	taking.Wait()
	f.all[0].Await("all papers to be live", func() bool {
		var list []ingest.Document
		f.all[0].Call(http.MethodGet, "/api/collections/papers/documents?limit=1000", nil, &list)
		live := 0
		for _, d := range list {
			var i int
			if n, _ := fmt.Sscanf(d.SourceKey, "paper%d.txt", &i); n == 1 && d.LiveVersion != "" {
				ids[i] = d.ID
				live++
			}
		}
		return live == len(ids)
	})
	for i, id := range ids {
		for _, s := range f.all {
			if got := f.found(s, fmt.Sprintf("lighthouse%d", i), "keyword"); got[id] != 1 || len(got) != 1 {
				t.Errorf("paper %d is %s; its word finds %v", i, id, got)
			}
		}
	}
	for _, s := range f.all {
		if got := f.found(s, "papers about harbours", "vector"); len(got) != len(ids) {
			t.Errorf("%d of %d papers are found by vectors", len(got), len(ids))
		}
		if _, err := os.Stat(s.Path("data", "index")); !os.IsNotExist(err) {
			t.Errorf("a process has an index of its own: %v", err)
		}
	}

	// What one deletes the other does not find with its very next search; while both go on taking in.
	for i, id := range ids[:each] {
		s, other := f.all[i%2], f.all[(i+1)%2]
		s.Call(http.MethodDelete, "/api/documents/"+id, nil, nil)
		for _, mode := range []string{"keyword", "vector"} {
			for _, one := range []*binary.Server{other, s} {
				if got := f.found(one, fmt.Sprintf("lighthouse%d harbours", i), mode); got[id] != 0 {
					t.Errorf("paper %d was deleted and is found by %s: %v", i, mode, got)
				}
			}
		}
	}
	f.all[0].Await("the proof that nothing is left", func() bool {
		for _, id := range ids[:each] {
			res, err := f.all[0].Ask(context.Background(), http.MethodGet, "/api/documents/"+id+"/proof", nil)
			if err != nil || res.Status != http.StatusOK {
				return false
			}
		}
		return true
	})
	if left, sequence := f.number("SELECT documents FROM airfield_index.spaces"), f.number("SELECT sequence FROM airfield_index.spaces"); left != each || sequence != f.number("SELECT sequence FROM collections") {
		t.Errorf("%d documents are left in the index, at %d", left, sequence)
	}

	// A process that starts finds the index as it is; one that ends takes nothing with it.
	f.all[1].Kill()
	if got := f.found(f.all[0], "papers about harbours", "vector"); len(got) != each {
		t.Errorf("%d of %d papers are found after a process died", len(got), each)
	}
	f.all[1].Start()
	if got := f.found(f.all[1], "papers about harbours", "vector"); len(got) != each {
		t.Errorf("%d of %d papers are found by a process that was started again", len(got), each)
	}
}
