package fault

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the rows are counted beside the server

	"airfield/internal/money"
	"airfield/test/binary"
	"airfield/test/upstream"
)

const soakRate = 300 // calls a second

// soakFor is how long the soak lasts: AIRFIELD_SOAK, or ten minutes.
func soakFor(t *testing.T) time.Duration {
	text := os.Getenv("AIRFIELD_SOAK")
	if text == "" {
		return 10 * time.Minute
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 10*time.Second || d > time.Hour {
		t.Fatalf("AIRFIELD_SOAK is from 10s to 1h, not %q", text)
	}
	return d
}

// away answers as usual, but in a part of each period not at all.
func away(usual func(*upstream.Request) upstream.Behaviour, period, part time.Duration) func(*upstream.Request) upstream.Behaviour {
	began := time.Now()
	return func(r *upstream.Request) upstream.Behaviour {
		if since := time.Since(began); since > period/2 && (since+period/2)%period < part {
			return upstream.Named["503"]
		}
		return usual(r)
	}
}

// traffic is what the clients of a soak know.
type traffic struct {
	mu                sync.Mutex
	ids               []string
	sent, left, whole int64
	now               atomic.Int64
}

// one makes a call: a stream or not, questions that come again among new ones, and one in twenty leaves before the end.
func (f *traffic) one(s *site, n int, random *rand.Rand) func() {
	text := fmt.Sprintf("Question %d of all%s", n, polite)
	if random.IntN(5) == 0 {
		text = "A question that comes again" + polite
	}
	stays := time.Hour
	if random.IntN(20) == 0 {
		stays = time.Duration(random.IntN(100)) * time.Millisecond
	}
	if random.IntN(10) == 0 {
		text = "How long does a parcel to Norway take?" // which the documents say, too
	}
	body := question("chat", random.IntN(2) == 0, text, `"max_tokens":40`, fmt.Sprintf(`"seed":%d`, random.IntN(500)))
	return func() {
		defer f.now.Add(-1)
		ctx, cancel := context.WithTimeout(context.Background(), stays)
		defer cancel()
		id, whole := "", false
		res, err := s.Request(ctx, http.MethodPost, "/v1/chat/completions", body, binary.As(s.key)...)
		if err == nil {
			id = res.Header.Get("X-Airfield-Call-Id")
			_, err = io.Copy(io.Discard, res.Body)
			whole = err == nil && res.StatusCode == http.StatusOK
			res.Body.Close()
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if id != "" {
			f.ids = append(f.ids, id)
		}
		if ctx.Err() != nil {
			f.left++
		}
		if whole {
			f.whole++
		}
	}
}

// sample is the server at a moment.
type sample struct {
	at         time.Duration
	rss        int64
	goroutines int
}

func TestASoakWithRandomFaultsLosesNothingAndGrowsNowhere(t *testing.T) {
	if os.Getenv("AIRFIELD_LONG") == "" {
		t.Skip("it takes ten minutes: AIRFIELD_LONG=1, and AIRFIELD_SOAK=60s for less")
	}
	last := soakFor(t)
	well := upstream.Behaviour{Delay: 2 * time.Millisecond, Between: 2 * time.Millisecond}
	var faults []upstream.Behaviour
	for _, name := range []string{"429", "500", "502", "503", "wrong-type", "hang", "hang-mid", "die", "die-mid", "cut-mid", "broken-json", "half-event", "error-event", "empty", "no-usage", "no-done", "slow", "limits"} {
		faults = append(faults, upstream.Named[name])
	}
	first, second := upstream.New(t, upstream.Options{Forget: true, Default: well}), upstream.New(t, upstream.Options{Forget: true, Default: well})
	first.Behave(away(upstream.Random(7, 0.15, well, faults...), 20*time.Second, 3*time.Second))
	second.Behave(away(upstream.Random(8, 0.05, well, faults...), 40*time.Second, 2*time.Second)) // both are, every other time
	times := "timeouts: {first_byte: 500ms, between_chunks: 500ms}"
	s := &site{Server: binary.Install(t, "log: {level: error}\nrouting: {deadline: 15s, backoff: 20ms, max_backoff: 200ms, breaker: {failures: 5, open: 1s}}\nproviders:\n"+
		first.Provider("first", times)+second.Provider("second", times)+
		"models:\n"+model("chat", "tier: standard, max_output_tokens: 100, ", "first", "a", "first", "b")+model("small", "tier: economy, max_output_tokens: 100, ", "second", "small")+team+
		"workflows:\n  team:\n    business_unit: product\n    clearance: internal\n    collections: [papers]\n    limits: {requests_per_minute: 60000, parallel: 400}\n    key_limits: {parallel: 400}\n"+
		"    cache: {ttl: 2s, stale: 1m}\n    degrade: [{queue: 1s}, {tier: economy, within: 2s}, {stale: true, within: 1s}, {extractive: [papers], within: 2s}]\n"+
		"budgets:\n  month: {scope: environment, usd: 10000, period: month, hard: true}\n  team: {scope: workflow, of: team, usd: 1000, period: day, hard: true}\n  tokens: {scope: key, tokens: 1000000000, period: day, hard: true}\n"+papers)}
	s.shelf(map[string]string{"parcels.md": "# Parcels\n\nA parcel to Norway takes four working days and is insured up to 500 euros.\n"})
	s.HTTP.Transport.(*http.Transport).MaxIdleConns = 1024
	s.Start()
	s.key = s.Key("team")
	idle := s.Goroutines()

	random, clients := rand.New(rand.NewPCG(1, 2)), &traffic{}
	var samples []sample
	var wait sync.WaitGroup
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n, next := 0, time.Duration(0); ; {
		<-tick.C
		now := time.Since(began)
		if now >= last {
			break
		}
		for ; n < int(now.Seconds()*soakRate); n++ { // a rate that does not wait for answers
			if clients.now.Load() >= 2000 {
				t.Fatalf("2000 calls are in flight after %s", now)
			}
			clients.now.Add(1)
			clients.sent++
			wait.Go(clients.one(s, n, random))
		}
		if now >= next {
			next += max(time.Second, last/60)
			rss, _ := s.RSS()
			samples = append(samples, sample{now, rss, s.Goroutines()})
		}
	}
	wait.Wait()
	s.idle()
	s.HTTP.CloseIdleConnections()
	s.AwaitFor(time.Minute, 250*time.Millisecond, "goroutines to end", func() bool { return s.Goroutines() <= idle+20 })
	for _, rung := range []string{"economy", "stale", "extractive"} {
		t.Logf("%.0f calls were served by the rung %s", s.Metric("airfield_degraded_calls_total", `rung="`+rung+`"`), rung)
	}
	for _, result := range []string{"hit", "shared", "miss"} {
		t.Logf("%.0f calls were a %s in the cache", s.Metric("airfield_cache_calls_total", `result="`+result+`"`), result)
	}
	spent := map[string]string{}
	for _, b := range s.budgets() {
		if b.Unit == "usd" {
			for _, a := range b.Accounts {
				spent[b.Name] = a.Spent
			}
		}
	}
	after := s.Goroutines()
	s.Stop()
	flat(t, samples)

	rows, costs, ledger := s.ledger()
	t.Logf("%s: %d calls, %d whole answers, %d clients left, %d rows; outcomes %v; goroutines idle %d, afterwards %d", last, clients.sent, clients.whole, clients.left, len(rows), tally(rows), idle, after)
	lost := 0
	for _, id := range clients.ids {
		if _, known := rows[id]; !known {
			lost++
		}
	}
	if lost > 0 || int64(len(rows)) > clients.sent || int64(len(rows)) < clients.sent-clients.left {
		t.Errorf("%d of the calls that clients know have no row; %d rows for %d calls, of which %d were left", lost, len(rows), clients.sent, clients.left)
	}
	billed := money.Nanos(0)
	for _, u := range []*upstream.Upstream{first, second} {
		c := u.Chats()
		billed += money.Nanos(1000*c.Input + 2000*c.Output)
		t.Logf("provider: %+v", c)
	}
	t.Logf("ledger %s, rows %s, budgets %v, billed by the providers %s", ledger, costs, spent, billed)
	for name, amount := range spent {
		if amount != ledger.Decimal() {
			t.Errorf("budget %s has spent %s, the ledger holds %s", name, amount, ledger)
		}
	}
	if len(spent) != 2 || costs != ledger || ledger < billed {
		t.Errorf("the ledger holds %s, the rows cost %s, billed were %s, budgets %v", ledger, costs, billed, spent)
	}
	if clients.whole < clients.sent*8/10 {
		t.Errorf("%d of %d calls were answered", clients.whole, clients.sent)
	}
}

// flat holds the last third of the samples against the second: what is warm does not grow.
func flat(t *testing.T, samples []sample) {
	third := len(samples) / 3
	middle := func(list []sample) (rss int64, goroutines int) {
		var a []int64
		var b []int
		for _, s := range list {
			a, b = append(a, s.rss), append(b, s.goroutines)
		}
		slices.Sort(a)
		slices.Sort(b)
		return a[len(a)/2], b[len(b)/2]
	}
	r0, g0 := middle(samples[:third])
	r1, g1 := middle(samples[third : 2*third])
	r2, g2 := middle(samples[2*third:])
	t.Logf("RSS %d, %d, %d MB and %d, %d, %d goroutines, medians of the thirds; first %+v, last %+v", r0>>20, r1>>20, r2>>20, g0, g1, g2, samples[0], samples[len(samples)-1])
	if r2 > r1+r1/5+(16<<20) {
		t.Errorf("memory grew from %d to %d MB", r1>>20, r2>>20)
	}
	if g2 > g1+g1/2+100 {
		t.Errorf("goroutines grew from %d to %d", g1, g2)
	}
}

func tally(rows map[string]string) map[string]int {
	counts := map[string]int{}
	for _, outcome := range rows {
		counts[outcome]++
	}
	return counts
}

// ledger reads the stopped server's database: the outcomes of the clients' calls by id, what all calls cost, and the ledger.
func (s *site) ledger() (rows map[string]string, costs, ledger money.Nanos) {
	s.T.Helper()
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: s.Path("data", "airfield.db")}).EscapedPath()+"?mode=ro")
	if err != nil {
		s.T.Fatal(err)
	}
	defer db.Close()
	list, err := db.Query("SELECT id, outcome FROM calls WHERE model = 'chat'")
	if err != nil {
		s.T.Fatal(err)
	}
	defer list.Close()
	rows = map[string]string{}
	for list.Next() {
		var id, outcome string
		if err := list.Scan(&id, &outcome); err != nil {
			s.T.Fatal(err)
		}
		rows[id] = outcome
	}
	for query, into := range map[string]*money.Nanos{"SELECT COALESCE(SUM(nanos_usd), 0) FROM calls": &costs, "SELECT COALESCE(SUM(nanos_usd), 0) FROM ledger": &ledger} {
		if err := db.QueryRow(query).Scan((*int64)(into)); err != nil {
			s.T.Fatal(err)
		}
	}
	return rows, costs, ledger
}
