package binary

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// Request makes a request with the local key and returns the answer as it is. header are names and values in turn, which come
// before what is sent by default.
func (s *Server) Request(ctx context.Context, method, path string, body []byte, header ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.Local.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.Local.Key)
	if strings.HasPrefix(path, "/v1/") { // and not on uploads, whose type it would say
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return s.HTTP.Do(req)
}

// As is the header of a key, for Request and Ask.
func As(key string) []string { return []string{"Authorization", "Bearer " + key} }

// Answer is a whole answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Ask makes a request and reads the answer whole, whatever it is; an error is one of the connection.
func (s *Server) Ask(ctx context.Context, method, path string, body []byte, header ...string) (Answer, error) {
	res, err := s.Request(ctx, method, path, body, header...)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return Answer{res.StatusCode, res.Header, text}, err
}

// Call makes a request that must succeed, with body as JSON unless it is nil, and reads the answer into out, unless that is nil.
func (s *Server) Call(method, path string, body, out any) {
	s.T.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			s.T.Fatal(err)
		}
	}
	answer, err := s.Ask(context.Background(), method, path, text)
	if err != nil || answer.Status >= 300 {
		s.T.Fatalf("%s %s: %d: %s %v", method, path, answer.Status, answer.Body, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		s.T.Fatalf("%s %s: %v in %s", method, path, err, answer.Body)
	}
}

// Key makes a key of a workflow and returns its text. more are further fields and values in turn: "clearance", "public".
func (s *Server) Key(workflow string, more ...string) string {
	s.T.Helper()
	body := map[string]string{"name": "a key of " + workflow, "role": "workflow", "workflow": workflow}
	for i := 0; i+1 < len(more); i += 2 {
		body[more[i]] = more[i+1]
	}
	var made struct{ Key string }
	s.Call(http.MethodPost, "/api/keys", body, &made)
	return made.Key
}
