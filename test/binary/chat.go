package binary

import (
	"bytes"
	"context"
	"net/http"
	"sync"
)

// Exchange is what a client saw of one chat call.
type Exchange struct {
	ID     string // the call's; "" where no header came
	Status int    // 0 likewise
	Header http.Header
	Text   string // of the body, as far as it came
	Whole  bool   // it is a good answer, to its end
}

// Chat makes one chat call and reads what comes, to its end or to that of the server. An error is one of the connection.
func (s *Server) Chat(ctx context.Context, body []byte, header ...string) (Exchange, error) {
	a, err := s.Ask(ctx, http.MethodPost, "/v1/chat/completions", body, header...)
	e := Exchange{ID: a.Header.Get("X-Airfield-Call-Id"), Status: a.Status, Header: a.Header, Text: string(a.Body)}
	stream := bytes.Contains(body, []byte(`"stream":true`))
	e.Whole = err == nil && a.Status == http.StatusOK && (!stream || bytes.HasSuffix(bytes.TrimSpace(a.Body), []byte("[DONE]")))
	return e, err
}

// Load keeps connections busy until ctx ends and returns what each call came to. question makes the body of the nth call of a
// connection. A connection ends when the server is gone; calls in flight go on when ctx ends.
func (s *Server) Load(ctx context.Context, connections int, question func(connection, n int) []byte, header ...string) []Exchange {
	var mu sync.Mutex
	var all []Exchange
	var wait sync.WaitGroup
	for c := range connections {
		wait.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				e, err := s.Chat(context.WithoutCancel(ctx), question(c, n), header...)
				mu.Lock()
				all = append(all, e)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wait.Wait()
	return all
}
