package crash

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/api/admin"
)

// exchange is what a client saw of one call.
type exchange struct {
	id    string // "" where no header came
	bytes int    // of the body
	whole bool
	text  string // of the body
}

// load keeps connections busy until ctx ends, half of them with streams, and returns what each call came to.
func (s *installation) load(ctx context.Context, connections int) []exchange {
	var mu sync.Mutex
	var all []exchange
	var wait sync.WaitGroup
	for c := range connections {
		wait.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				e, err := s.ask(question(n, c%2 == 0))
				mu.Lock()
				all = append(all, e)
				mu.Unlock()
				if err != nil {
					return // the server is gone
				}
			}
		})
	}
	wait.Wait()
	return all
}

// ask makes one chat call and reads what comes, to its end or to that of the server.
func (s *installation) ask(body []byte) (e exchange, err error) {
	res, err := s.Request(context.Background(), http.MethodPost, "/v1/chat/completions", body)
	if err != nil {
		return e, err
	}
	defer res.Body.Close()
	e.id = res.Header.Get("X-Airfield-Call-Id")
	var text bytes.Buffer
	n, err := io.Copy(&text, res.Body)
	e.bytes, e.text = int(n), text.String()
	e.whole = err == nil && res.StatusCode == http.StatusOK && (!bytes.Contains(body, []byte(`"stream":true`)) || strings.HasSuffix(strings.TrimSpace(e.text), "[DONE]"))
	return e, err
}

// calls are all rows of the call log for a model, by id.
func (s *installation) calls(model string) map[string]admin.Call {
	s.T.Helper()
	s.Call(http.MethodPost, "/api/flush", nil, nil)
	rows := map[string]admin.Call{}
	for before := ""; ; {
		var page admin.CallPage
		s.Call(http.MethodGet, "/api/calls?model="+model+"&limit=1000&before="+before, nil, &page)
		for _, c := range page.Calls {
			if _, twice := rows[c.ID]; twice {
				s.T.Errorf("call %s is listed twice", c.ID)
			}
			rows[c.ID] = c
		}
		if before = page.Next; before == "" {
			return rows
		}
	}
}

func TestKilledUnderLoadTheGatewayLosesNoCall(t *testing.T) {
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 2))
	u := newUpstream(t, 6, 10*time.Millisecond)
	s := install(t, "log: {level: warn}\n"+u.Models())
	var seen []exchange
	for round := range 3 {
		s.Start()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan []exchange, 1)
		go func() { done <- s.load(ctx, 64) }()
		time.Sleep(time.Duration(600+random.IntN(900)) * time.Millisecond)
		s.Kill()
		cancel()
		seen = append(seen, <-done...)

		s.Start()
		rows := s.calls("chat")
		answered, torn := 0, 0
		for _, e := range seen {
			if e.id == "" {
				continue
			}
			row, known := rows[e.id]
			switch {
			case !known:
				t.Errorf("round %d: the call %s, of which the client got %d bytes, is not in the log", round, e.id, e.bytes)
			case e.whole && row.Outcome != "ok":
				t.Errorf("round %d: the call %s was answered in full and is logged as %s", round, e.id, row.Outcome)
			}
			if e.whole {
				answered++
			} else {
				torn++
			}
		}
		cut := 0
		for id, row := range rows {
			switch row.Outcome {
			case "ok":
				if row.UsageSource != "reported" || row.InputTokens != 11 || row.OutputTokens != 7 || row.CostUSD == 0 {
					t.Errorf("%s: %s usage %d+%d at %s", id, row.UsageSource, row.InputTokens, row.OutputTokens, row.CostUSD)
				}
			case "cut":
				cut++
				if row.UsageSource != "estimated" || row.InputTokens == 0 || row.CostUSD == 0 || row.Error == "" {
					t.Errorf("%s was cut: %s usage %d+%d at %s", id, row.UsageSource, row.InputTokens, row.OutputTokens, row.CostUSD)
				}
			default:
				t.Errorf("%s ended as %s: %s", id, row.Outcome, row.Error)
			}
		}
		served := int(u.Chats().Begun)
		t.Logf("round %d: %d calls known to clients, %d of them torn; %d at the provider; %d rows, %d of them cut", round, answered+torn, torn, served, len(rows), cut)
		// A call is written down before it is sent: one more row for each connection at the most, and none less.
		if len(rows) < served || len(rows) > served+64*(round+1) {
			t.Errorf("round %d: %d rows for %d requests at the provider", round, len(rows), served)
		}
		if cut == 0 || torn == 0 {
			t.Errorf("round %d: no call was cut in two: the test proves little", round)
		}
		s.Stop()
	}
	s.isWhole()
}
