package providertest

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// upstream is a provider on loopback that answers as it is told.
type upstream struct {
	*httptest.Server
	mu      sync.Mutex
	answer  http.HandlerFunc
	arrived *arrived
	left    chan struct{} // told when somebody whose answer hangs has gone
}

// arrived is a request as it came.
type arrived struct {
	path   string // with its query
	header http.Header
	body   []byte
}

func newUpstream(t *testing.T) *upstream {
	u := &upstream{left: make(chan struct{}, 16)}
	u.Server = httptest.NewServer(http.HandlerFunc(u.serve))
	u.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	u.mu.Lock()
	u.arrived = &arrived{r.URL.RequestURI(), r.Header.Clone(), body}
	answer := u.answer
	u.mu.Unlock()
	answer(w, r)
}

// will says how the next requests are answered.
func (u *upstream) will(answer http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer, u.arrived = answer, nil
}

// last is the request that came last; nil where none did.
func (u *upstream) last() *arrived {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.arrived
}

// begin writes the head of a recorded answer.
func (r *recording) begin(w http.ResponseWriter, streamType string) {
	for name, values := range r.header {
		w.Header()[name] = values
	}
	if w.Header().Get("Content-Type") == "" {
		switch r.kind {
		case "json":
			w.Header().Set("Content-Type", "application/json")
		default:
			w.Header().Set("Content-Type", streamType)
		}
	}
	w.WriteHeader(r.status)
}

// gives answers with so many bytes of a body, all of them where n is below 0, and then ends as it should.
func (b *bench) gives(r *recording, body []byte, n int) http.HandlerFunc {
	if n < 0 {
		n = len(body)
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		r.begin(w, b.streamType())
		w.Write(body[:n])
	}
}

// breaks is the same, and ends the connection without ceremony.
func (b *bench) breaks(r *recording, body []byte, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		r.begin(w, b.streamType())
		w.Write(body[:n])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// dribbles sends each byte for itself.
func (b *bench) dribbles(r *recording, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		r.begin(w, b.streamType())
		for i := range body {
			w.Write(body[i : i+1])
			w.(http.Flusher).Flush()
		}
	}
}

// hangs sends so many bytes, none of the head where n is below 0, and then waits for the other side to leave.
func (b *bench) hangs(r *recording, body []byte, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		if n >= 0 {
			r.begin(w, b.streamType())
			w.Write(body[:n])
			w.(http.Flusher).Flush()
		}
		<-q.Context().Done()
		b.upstream.left <- struct{}{}
	}
}
