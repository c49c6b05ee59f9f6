package crash

import (
	"context"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"airfield/internal/api/admin"
	"airfield/test/binary"
)

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

// half of the connections ask for streams.
func half(connection, n int) []byte { return question(n, connection%2 == 0) }

func TestKilledUnderLoadTheGatewayLosesNoCall(t *testing.T) {
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 2))
	u := newUpstream(t, 6, 10*time.Millisecond)
	s := install(t, "log: {level: warn}\n"+u.Models())
	var seen []binary.Exchange
	for round := range 3 {
		s.Start()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan []binary.Exchange, 1)
		go func() { done <- s.Load(ctx, 64, half) }()
		time.Sleep(time.Duration(600+random.IntN(900)) * time.Millisecond)
		s.Kill()
		cancel()
		seen = append(seen, <-done...)

		s.Start()
		rows := s.calls("chat")
		answered, torn := 0, 0
		for _, e := range seen {
			if e.ID == "" {
				continue
			}
			row, known := rows[e.ID]
			switch {
			case !known:
				t.Errorf("round %d: the call %s, of which the client got %d bytes, is not in the log", round, e.ID, len(e.Text))
			case e.Whole && row.Outcome != "ok":
				t.Errorf("round %d: the call %s was answered in full and is logged as %s", round, e.ID, row.Outcome)
			}
			if e.Whole {
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
