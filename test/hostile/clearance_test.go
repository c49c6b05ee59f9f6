package hostile

import (
	"strings"
	"testing"
	"time"
)

// Whatever a key of less clearance, or of another workflow, asks: of a document above it there is no word, no id, no
// name and no number in any answer.
func TestNothingTellsOfADocumentAboveTheClearance(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		var key struct{ Key string }
		s.send("POST", "/api/keys", []byte(`{"name":"team","role":"workflow","workflow":"team"}`)).read(t, &key)
		var made struct {
			DocumentID string `json:"document_id"`
			VersionID  string `json:"version_id"`
		}
		s.send("POST", "/api/collections/papers/documents?name=tangerine.txt", []byte("The merger is called Tangerine and closes in May."),
			"Content-Type", "text/plain", "Airfield-Metadata", `{"tier":"restricted","codename":"zz9"}`).read(t, &made)
		var versions []struct{ State string }
		for end := time.Now().Add(20 * time.Second); len(versions) == 0 || versions[0].State != "live"; time.Sleep(20 * time.Millisecond) {
			s.send("POST", "/api/versions", []byte(`{"ids":["`+made.VersionID+`"]}`)).read(t, &versions)
			if time.Now().After(end) {
				t.Fatalf("the document is not live: %+v", versions)
			}
		}
		secrets := []string{"angerine.txt", "zz9", "closes in May", s.Dir}
		asked := 0
		for _, route := range routes() {
			method, path, _ := strings.Cut(route, " ")
			if method == "DELETE" || strings.Contains(path, "{batch}") || path == "/v1/chat/completions" || path == "/v1/embeddings" {
				continue
			}
			for _, name := range []string{"papers", made.DocumentID, made.VersionID} {
				body := `{"query":"merger","question":"merger","collection":"papers","ids":["` + made.VersionID + `"],"filters":{"type":"eq","key":"codename","value":"zz9"}}`
				if method == "GET" {
					body = ""
				}
				filled := strings.Replace(fill(strings.Replace(path, "{store}", "papers", 1), name), "{", "", 1)
				a := s.send(method, filled+"?document="+made.DocumentID+"&collection=papers", []byte(body), "Authorization", "Bearer "+key.Key)
				asked++
				for _, secret := range secrets {
					if strings.Contains(string(a.body), secret) {
						t.Errorf("%s %s tells %q: %d %s", method, filled, secret, a.status, a.body)
					}
				}
				// An id that was asked for may be repeated in the refusal.
				if a.status < 300 && strings.Contains(string(a.body), made.DocumentID) {
					t.Errorf("%s %s tells of the document: %s", method, filled, a.body)
				}
			}
		}
		if asked < 60 {
			t.Errorf("only %d requests were made", asked)
		}
		var papers struct {
			Sequence int
			Status   struct{ Documents, Live, Chunks, Bytes int }
		}
		s.send("GET", "/api/collections/papers", nil, "Authorization", "Bearer "+key.Key).read(t, &papers)
		if papers.Sequence != 0 || papers.Status.Documents+papers.Status.Live+papers.Status.Chunks+papers.Status.Bytes != 0 {
			t.Errorf("it is counted: %+v", papers)
		}
		var store struct {
			Bytes  int            `json:"usage_bytes"`
			Counts map[string]int `json:"file_counts"`
		}
		s.send("GET", "/v1/vector_stores/papers", nil, "Authorization", "Bearer "+key.Key).read(t, &store)
		if store.Bytes != 0 || store.Counts["total"] != 0 {
			t.Errorf("it is counted: %+v", store)
		}
		a := s.send("GET", "/api/why?document=tangerine.txt", nil, "Authorization", "Bearer "+key.Key)
		b := s.send("GET", "/api/why?document=absent.txt", nil, "Authorization", "Bearer "+key.Key)
		if a.status != 404 || strings.ReplaceAll(string(a.body), "tangerine", "absent") != string(b.body) {
			t.Errorf("a hidden document is told from one that is not there: %s, %s", a.body, b.body)
		}
	})
}
