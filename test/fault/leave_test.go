package fault

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"airfield/internal/cost"
	"airfield/internal/gateway"
	"airfield/internal/money"
	"airfield/test/binary"
	"airfield/test/upstream"
)

// guarded is a server on which a call takes from a slot, a rate, a hard budget and the cache.
func guarded(t *testing.T, more string) (*site, *upstream.Upstream) {
	u := upstream.New(t, upstream.Options{Events: 100, CompletionTokens: 200})
	s := open(t, quick+"providers:\n"+u.Provider("mock")+"models:\n"+
		"  chat: {max_output_tokens: 1000, limits: {parallel: 8}, deployments: [{provider: mock, model: chat, limits: {parallel: 8, tokens_per_minute: 10000000}, prices: {input: 1, output: 2}}]}\n"+
		team+"workflows: {team: {business_unit: product, clearance: internal, "+more+"}}\n"+
		"budgets: {day: {scope: workflow, of: team, usd: 1, period: day, hard: true}}\n")
	return s, u
}

// departure is a call whose client leaves.
type departure struct {
	id     string
	text   string
	leave  func() time.Time // and returns when
	header chan struct{}    // closed when the header is there
	over   chan struct{}
}

func (s *site) start(body []byte, header ...string) *departure {
	ctx, cancel := context.WithCancel(s.T.Context())
	d := &departure{header: make(chan struct{}), over: make(chan struct{})}
	d.leave = func() time.Time {
		at := time.Now()
		cancel()
		<-d.over
		return at
	}
	go func() {
		defer close(d.over)
		res, err := s.Request(ctx, http.MethodPost, "/v1/chat/completions", body, append(binary.As(s.key), header...)...)
		if err != nil {
			return
		}
		defer res.Body.Close()
		d.id = res.Header.Get("X-Airfield-Call-Id")
		close(d.header)
		text, _ := io.ReadAll(res.Body)
		d.text = string(text)
	}()
	return d
}

// idle waits until nothing is in flight, no slot is taken, nobody waits, and no money is held beyond what the process
// keeps for calls to come, which it gives back when none do.
func (s *site) idle() {
	s.T.Helper()
	s.AwaitFor(10*time.Second, 20*time.Millisecond, "slots and the queue to be free", func() bool {
		var r gateway.RouteState
		s.Call(http.MethodGet, "/api/route", nil, &r)
		for _, l := range r.Limits {
			if l.Unit == "parallel" && l.Used != 0 {
				return false
			}
		}
		for _, n := range r.Waiting {
			if n != 0 {
				return false
			}
		}
		return !slices.ContainsFunc(r.Deployments, func(d gateway.DeploymentState) bool { return d.InFlight != 0 })
	})
}

// budgets is how all of them stand once what has ended is counted.
func (s *site) budgets() (list []cost.BudgetState) {
	s.T.Helper()
	s.Call(http.MethodPost, "/api/flush", nil, nil)
	s.Call(http.MethodGet, "/api/budgets", nil, &list)
	return list
}

// account is the only budget's only one.
func (s *site) account() cost.AccountState {
	s.T.Helper()
	list := s.budgets()
	if len(list) != 1 || len(list[0].Accounts) != 1 {
		s.T.Fatalf("%+v", list)
	}
	return list[0].Accounts[0]
}

func TestAClientWhoLeavesAtAnyMomentStopsTheProviderAndLeavesNothingHeld(t *testing.T) {
	s, u := guarded(t, "cache: {ttl: 1m}")
	slow := upstream.Behaviour{Between: 20 * time.Millisecond}
	for name, c := range map[string]struct {
		is     upstream.Behaviour
		stream bool
		moment func(d *departure)
	}{
		"before the header of an answer": {upstream.Behaviour{Kind: upstream.Hang}, false, func(*departure) {}},
		"before the header of a stream":  {upstream.Behaviour{Kind: upstream.Hang}, true, func(*departure) {}},
		"in mid-stream":                  {slow, true, func(d *departure) { <-d.header; time.Sleep(150 * time.Millisecond) }},
		"at the first event":             {slow, true, func(d *departure) { <-d.header }},
		"in a silence in mid-stream":     {upstream.Behaviour{Kind: upstream.HangMid, After: 5}, true, func(d *departure) { <-d.header }},
		"in the middle of an answer":     {upstream.Behaviour{Kind: upstream.HangMid}, false, func(*departure) { time.Sleep(150 * time.Millisecond) }},
	} {
		u.Behave(func(*upstream.Request) upstream.Behaviour { return c.is })
		var took []time.Duration
		for range 5 {
			begun := u.Chats().Begun
			d := s.start(question("chat", c.stream, name+polite, `"max_tokens":300`), "X-Airfield-Cache", "off")
			s.AwaitFor(5*time.Second, time.Millisecond, "the provider to be asked", func() bool { return u.Chats().Begun == begun+1 })
			c.moment(d)
			left := d.leave()
			s.AwaitFor(5*time.Second, time.Millisecond, "the provider to be stopped, "+name, func() bool { return u.Chats().Now == 0 })
			all := u.Exchanges()
			x := all[len(all)-1]
			if x.End != upstream.Left || c.stream && x.Output >= 200 {
				t.Errorf("%s: at the provider it is %s after %d tokens", name, x.End, x.Output)
			}
			took = append(took, x.LeftAt.Sub(left))
			s.idle()
			row := s.rows()[0]
			if row.Outcome != "cancelled" || row.InputTokens < 11 || row.OutputTokens < x.Output || row.OutputTokens > x.Output+100 || row.CostUSD < money.Nanos(11000) || row.UsageSource != "estimated" {
				t.Errorf("%s: logged as %s, %d+%d tokens %s at %s; %d came out", name, row.Outcome, row.InputTokens, row.OutputTokens, row.UsageSource, row.CostUSD, x.Output)
			}
			if strings.Contains(d.text, "[DONE]") {
				t.Errorf("%s: an end was invented", name)
			}
		}
		slices.Sort(took)
		t.Logf("%s: the provider knew after %s", name, took)
		if took[2] > 100*time.Millisecond { // the middle one: others use this machine too
			t.Errorf("%s: the provider knew after %s", name, took[2])
		}
	}
	u.Behave(nil)
	sum := money.Nanos(0)
	for _, row := range s.rows() {
		sum += row.CostUSD
	}
	if a := s.account(); a.Spent != sum.Decimal() {
		t.Errorf("spent is %s, the rows cost %s", a.Spent, sum.Decimal())
	}
	s.Stop() // gives back what is not held for a call
	s.Start()
	if a := s.account(); a.Held != "0" {
		t.Errorf("%s is held by nobody: %+v", a.Held, a.Holders)
	}
	s.Stop()
}

func TestAClientWhoLeavesWhileItWaitsIsNeitherSentNorCharged(t *testing.T) {
	s, u := guarded(t, "cache: {ttl: 1m}, limits: {parallel: 2}")
	u.Behave(always("hang"))
	waiting := func(n int) {
		t.Helper()
		s.Await("calls to wait", func() bool {
			var r gateway.RouteState
			s.Call(http.MethodGet, "/api/route", nil, &r)
			return r.Waiting["team"] == n
		})
	}

	// In the queue, for one of two slots.
	held := []*departure{s.start(question("chat", true, "one"+polite)), s.start(question("chat", false, "two"+polite))}
	s.Await("both to be sent", func() bool { return u.Chats().Now == 2 })
	queued := []*departure{s.start(question("chat", true, "three"+polite)), s.start(question("chat", false, "four"+polite))}
	waiting(2)
	for _, d := range queued {
		d.leave()
	}
	waiting(0)
	if n := u.Chats().Begun; n != 2 {
		t.Errorf("%d calls were sent", n)
	}

	// For the answer of the same request in flight: who leaves does not take the others' answer along, and where the first
	// leaves, another one is sent in its place.
	for _, d := range held {
		d.leave()
	}
	s.idle()
	for _, r := range s.rows() {
		sent := len(r.Attempts) > 0
		if r.Outcome != "cancelled" || sent != (r.CostUSD > 0) || !sent && r.WaitedMS == 0 {
			t.Errorf("logged as %s at %s with %d attempts after a wait of %v ms", r.Outcome, r.CostUSD, len(r.Attempts), r.WaitedMS)
		}
	}
	before := u.Chats().Begun
	u.Behave(upstream.Sequence(upstream.Behaviour{Kind: upstream.Hang}, upstream.Behaviour{Delay: 300 * time.Millisecond}))
	same := question("chat", false, "the same"+polite)
	first := s.start(same)
	s.Await("the first to be sent", func() bool { return u.Chats().Begun == before+1 })
	leaver, stayer := s.start(same), s.start(same)
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { // nothing shows that they wait but that nothing is sent
		if n := u.Chats().Begun; n != before+1 {
			t.Fatalf("%d of three equal calls were sent", n-before)
		}
	}
	leaver.leave()
	first.leave()
	<-stayer.over
	if stayer.id == "" || !strings.Contains(stayer.text, "choices") {
		t.Errorf("who stayed got %q", stayer.text)
	}
	if n := u.Chats().Begun; n != before+2 {
		t.Errorf("%d requests for three equal calls", n-before)
	}
	s.idle()
	counts := map[string]int{}
	for _, r := range s.rows()[:3] {
		counts[r.Outcome]++
	}
	if counts["ok"] != 1 || counts["cancelled"] != 2 {
		t.Errorf("three equal calls are logged as %v", counts)
	}
	s.Stop()
}
