package hostile

import (
	"encoding/json"
	"sync"
	"testing"
	"time"
)

func TestListsHoldWhileCollectionsComeAndGo(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		end := time.Now().Add(time.Second)
		var work sync.WaitGroup
		for range 4 {
			work.Go(func() {
				for time.Now().Before(end) {
					var made struct{ ID string }
					a := s.send("POST", "/v1/vector_stores", []byte(`{"name":"passing"}`))
					if err := json.Unmarshal(a.body, &made); err != nil || a.status != 200 {
						t.Errorf("%d %s %v", a.status, a.body, err)
						return
					}
					s.send("DELETE", "/v1/vector_stores/"+made.ID, nil)
				}
			})
		}
		for time.Now().Before(end) {
			for _, list := range []string{"/v1/vector_stores?limit=1000", "/api/collections"} {
				if a := s.send("GET", list, nil); a.status != 200 {
					t.Errorf("%s: %d %s", list, a.status, a.body)
				}
			}
		}
		work.Wait()
		if a := s.send("GET", "/v1/vector_stores?after=col_gone", nil); a.status != 404 {
			t.Errorf("a list goes on after what is not there: %d %s", a.status, a.body)
		}
	})
}
