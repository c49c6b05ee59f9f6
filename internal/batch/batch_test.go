package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/llm"
)

func TestAThousandLinesAreMadeOnceEachByTwoWorkers(t *testing.T) {
	for name, address := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(name, func(t *testing.T) {
			url := address(t)
			h := newHouse(t, dbtest.Open(t, url))
			var most, now atomic.Int64
			h.say = func(_ context.Context, who *caller.Caller, c Call) Answer {
				for n := now.Add(1); ; {
					if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
						break
					}
				}
				defer now.Add(-1)
				if who.Workflow != "team" || who.KeyID != "key_1" || c.Surface != llm.ChatCompletions || c.Service != "flex" || c.Tags["batch"] == "" || c.Tags["batch_line"] == "" {
					t.Errorf("%+v %+v", who, c)
				}
				return good(c)
			}
			if name == "postgres" { // another worker on the same database, of the same world
				other := newHouse(t, dbtest.Open(t, url))
				other.Parts.Files, other.Parts.Calls, other.Parts.Keys = h, h, h
				other.start()
			}
			h.start()
			b := h.await(h.create(h.input(1000)).ID, Completed)
			if b.Total != 1000 || b.Completed != 1000 || b.Failed != 0 || b.Cost != 7000 || b.Tiers["flex"] != 1000 || b.ErrorFile != "" || b.EndedAt.IsZero() {
				t.Errorf("%+v", b)
			}
			got := h.results(b.OutputFile)
			for i := range 1000 {
				r := got[fmt.Sprintf("c%d", i)]
				if r.Response == nil || r.Response.Status != 200 || !strings.Contains(string(r.Response.Body), fmt.Sprintf(`"c%d"`, i)) || r.Own.Service != "flex" || *r.Own.CostUSD != "0.000000007" {
					t.Fatalf("c%d: %+v", i, r)
				}
				if h.made[fmt.Sprintf("c%d", i)] != 1 {
					t.Errorf("c%d was made %d times", i, h.made[fmt.Sprintf("c%d", i)])
				}
			}
			if o := h.kept[b.OutputFile]; o.Workflow != "team" || o.Tier != caller.Internal || o.Purpose != PurposeOutput || len(got) != 1000 {
				t.Errorf("%+v, %d lines", o, len(got))
			}
			if m := most.Load(); m > lanes*8 {
				t.Errorf("%d lines in flight", m)
			}
			var left int
			if err := h.DB.QueryRow(t.Context(), "SELECT COUNT(*) FROM batch_lines").Scan(&left); err != nil || left != 0 {
				t.Error(left, err)
			}
		})
	}
}

func TestABadInputSaysWhatIsWrongWithWhichLine(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d, func(c *Config) { c.MaxLines = 4 })
		h.start()
		fine := `{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}}`
		for name, c := range map[string]struct{ text, want string }{
			"no JSON":            {fine + "\nnonsense\n", "2 invalid_json_line"},
			"twice the id":       {fine + "\n\n" + fine, "3 duplicate_custom_id"},
			"another url":        {strings.Replace(fine, "chat/completions", "embeddings", 1), "1 invalid_url"},
			"another method":     {strings.Replace(fine, "POST", "GET", 1), "1 invalid_method"},
			"no id":              {strings.Replace(fine, "custom_id", "id", 1), "1 missing_required_parameter"},
			"NUL in the id":      {strings.Replace(fine, `"a"`, `"a\u0000"`, 1), "1 missing_required_parameter"},
			"no body":            {strings.Replace(fine, "body", "b", 1), "1 missing_required_parameter"},
			"a stream":           {strings.Replace(fine, `"m"`, `"m","stream":true`, 1), "1 invalid_request"},
			"nothing":            {"\n \n", "0 empty_file"},
			"too many":           {strings.ReplaceAll(strings.Repeat(fine+"\n", 5), `"a"`, `"a"`), "2 duplicate_custom_id"},
			"bytes of no letter": {"\xff\xfe", "1 invalid_json_line"},
		} {
			b := h.await(h.create(h.file(c.text)).ID, Failed)
			if got := fmt.Sprintf("%d %s", b.Errors[0].Line, b.Errors[0].Code); got != c.want || b.Errors[0].Message == "" || b.EndedAt.IsZero() || b.Total != 0 {
				t.Errorf("%s: %s, %+v", name, got, b)
			}
		}
		if b := h.await(h.create(h.input(5)).ID, Failed); b.Errors[0].Code != "too_many_requests" || b.Errors[0].Line != 5 {
			t.Errorf("%+v", b.Errors)
		}
		for name, n := range map[string]NewBatch{
			"endpoint": {InputFile: h.input(1), Endpoint: "/v1/images", Window: "24h"},
			"window":   {InputFile: h.input(1), Endpoint: "/v1/embeddings", Window: "1h"},
			"file":     {InputFile: "batch-none", Endpoint: "/v1/embeddings", Window: "24h"},
		} {
			if _, err := h.Create(team, n); fault.KindOf(err) != fault.Invalid && fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestALineIsTriedAgainOrEndsAsItsAnswerSays(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d, func(c *Config) { c.Attempts = 2 })
		tries := map[string]int{}
		h.say = func(_ context.Context, _ *caller.Caller, c Call) Answer {
			h.mu.Lock()
			defer h.mu.Unlock()
			var who string
			for i := range 7 {
				if strings.Contains(string(c.Body), fmt.Sprintf(`"c%d"`, i)) {
					who = fmt.Sprintf("c%d", i)
				}
			}
			tries[who]++
			first := tries[who] == 1
			switch who {
			case "c0":
				if first {
					return Answer{Status: 429, Body: []byte(`{"error":{"message":"slow down"}}`)}
				}
			case "c1":
				return Answer{Status: 400, CallID: "call_bad", Body: []byte(`{"error":{"message":"no such thing"}}`)}
			case "c2":
				return Answer{Err: &fault.Fault{Kind: fault.Limited, Code: "budget_exceeded", Text: "it is used up", Detail: &llm.Decision{Rule: "budget"}}}
			case "c3":
				if first {
					return Answer{Err: fault.New(fault.Limited, "limit_reached", "full")}
				}
			case "c4":
				return Answer{Err: fault.New(fault.Upstream, "upstream_broken", "it broke")}
			case "c5":
				return Answer{Err: &fault.Fault{Kind: fault.Limited, Code: "limit_reached", Text: "too much", Detail: &llm.Decision{Rule: "limit", Asked: "9", Limit: "5"}}}
			}
			return good(c)
		}
		h.start()
		b := h.await(h.create(h.input(7)).ID, Completed)
		if b.Completed != 3 || b.Failed != 4 || b.OutputFile == "" || b.ErrorFile == "" {
			t.Errorf("%+v", b)
		}
		good, bad := h.results(b.OutputFile), h.results(b.ErrorFile)
		for id, want := range map[string]int{"c1": 400, "c2": 429, "c4": 502, "c5": 429} {
			if r := bad[id]; r.Response == nil || r.Response.Status != want || r.Error != nil {
				t.Errorf("%s: %+v", id, r)
			}
		}
		if len(good) != 3 || len(bad) != 4 || tries["c0"] != 2 || tries["c2"] != 1 || tries["c3"] != 2 || tries["c4"] != 2 || tries["c5"] != 1 || !strings.Contains(string(bad["c2"].Response.Body), "budget_exceeded") {
			t.Errorf("%d good, %d bad, %v", len(good), len(bad), tries)
		}
	})
}

func TestLinesOfARevokedKeyFailWithTheReason(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d)
		h.gone = fault.New(fault.Unauthenticated, "key_revoked", "it was revoked")
		h.start()
		b := h.await(h.create(h.input(3)).ID, Completed)
		if r := h.results(b.ErrorFile)["c2"]; b.Failed != 3 || r.Response.Status != 401 || !strings.Contains(string(r.Response.Body), "key_revoked") || len(h.made) != 0 {
			t.Errorf("%+v %+v", b, r)
		}
	})
}

func TestTheWindowEndsWhatWasNotMade(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d)
		h.say = func(_ context.Context, _ *caller.Caller, c Call) Answer {
			if strings.Contains(string(c.Body), `"c0"`) {
				return good(c)
			}
			return Answer{Status: 429, Body: []byte(`{}`)}
		}
		h.start()
		b := h.create(h.input(3))
		h.until("the first line", func() bool { now, err := h.Get(team, b.ID); return err == nil && now.Completed == 1 })
		h.set(func() { h.now = time.Now().Add(25 * time.Hour) })
		if err := h.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		h.until("the batch to expire", func() bool { // a line in flight is put back first
			if err := h.Sweep(context.Background()); err != nil {
				t.Fatal(err)
			}
			now, err := h.Get(team, b.ID)
			return err == nil && now.Status == Expired
		})
		b, _ = h.Get(team, b.ID)
		if bad := h.results(b.ErrorFile); b.Completed != 1 || len(bad) != 2 || bad["c2"].Error.Code != "batch_expired" || len(h.results(b.OutputFile)) != 1 {
			t.Errorf("%+v %+v", b, bad)
		}
	})
}

func TestWhatIsCancelledIsNotMade(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d, func(c *Config) { c.Parallel = 2 })
		begun, go_ := make(chan struct{}, 100), make(chan struct{})
		h.say = func(_ context.Context, _ *caller.Caller, c Call) Answer {
			begun <- struct{}{}
			<-go_
			return good(c)
		}
		h.start()
		b := h.create(h.input(50))
		<-begun
		got, err := h.Cancel(team, b.ID)
		if err != nil || got.Status != Cancelling {
			t.Fatal(got, err)
		}
		close(go_)
		b = h.await(b.ID, Cancelled)
		good, bad := h.results(b.OutputFile), h.results(b.ErrorFile)
		if len(good) < 1 || len(good) > lanes*2 || len(good)+len(bad) != 50 || int64(len(good)) != b.Completed || b.CancellingAt.IsZero() {
			t.Errorf("%d made, %d not: %+v", len(good), len(bad), b)
		}
		if _, err := h.Cancel(team, b.ID); err != nil {
			t.Error("cancelling twice:", err)
		}
	})
}

// A worker that dies has lines in hand; another makes them again, and says so. What the dead one writes comes too late.
func TestLinesOfADeadWorkerAreMadeByAnother(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d)
		b := h.create(h.input(4))
		ctx := context.Background()
		if _, err := h.Work(ctx, b.ID, 0); err != nil { // validates
			t.Fatal(err)
		}
		dead, err := h.claim(ctx, b.ID, "lane_dead", 2)
		if err != nil || len(dead) != 2 {
			t.Fatal(dead, err)
		}
		if more, err := h.claim(ctx, b.ID, "lane_other", 10); err != nil || len(more) != 2 {
			t.Fatal("a line was taken twice:", more, err)
		} else {
			for _, l := range more {
				if err := h.make(ctx, b, "lane_other", l); err != nil {
					t.Fatal(err)
				}
			}
		}
		h.set(func() { h.now = time.Now().Add(2 * time.Minute) })
		if err := h.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if again, err := h.Work(ctx, b.ID, 1); err != nil || again != 0 {
			t.Fatal(again, err)
		}
		if err := h.record(ctx, b, "lane_dead", dead[0], good(Call{Body: []byte(`{"late":true}`)})); err != nil {
			t.Fatal(err)
		}
		b = h.await(b.ID, Completed)
		got := h.results(b.OutputFile)
		if b.Completed != 4 || len(got) != 4 || got["c0"].Own.Cut != 1 || got["c3"].Own.Cut != 0 || h.made["c0"] != 1 || strings.Contains(string(got["c0"].Response.Body), "late") {
			t.Errorf("%+v %+v", b, got)
		}
	})
}

func TestABatchIsSeenByItsWorkflowOnly(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d)
		b := h.create(h.input(1))
		operator := caller.With(context.Background(), &caller.Caller{Role: caller.Operator, KeyID: "key_o"})
		for name, c := range map[string]struct {
			ctx  context.Context
			sees bool
		}{"its workflow": {team, true}, "another": {as("other", caller.Restricted), false}, "less cleared": {as("team", caller.Public), false}, "an operator": {operator, true}, "nobody": {context.Background(), false}} {
			_, err := h.Get(c.ctx, b.ID)
			list, err2 := h.List(c.ctx, Filter{})
			if (err == nil) != c.sees || (len(list) == 1) != c.sees || err2 != nil {
				t.Errorf("%s: %v %d %v", name, err, len(list), err2)
			}
			if _, err := h.Cancel(c.ctx, b.ID); (err == nil) != c.sees {
				t.Errorf("%s cancels: %v", name, err)
			}
		}
	})
}

func TestListsComeInPagesTheNewestFirst(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d)
		var ids []string
		for range 5 {
			ids = append(ids, h.create(h.input(1)).ID)
		}
		slices.Sort(ids) // those of one moment are in any order
		first, err := h.List(team, Filter{Limit: 3})
		if err != nil || len(first) != 3 || first[0].ID != ids[4] {
			t.Fatal(first, err)
		}
		rest, err := h.List(team, Filter{Limit: 3, After: first[2].ID})
		if err != nil || len(rest) != 2 || rest[1].ID != ids[0] {
			t.Fatal(rest, err)
		}
	})
}

func TestFilesThatWereToBeKeptForAWhileGo(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d)
		h.start()
		b, err := h.Create(team, NewBatch{InputFile: h.input(1), Endpoint: "/v1/chat/completions", Window: "24h", OutputsExpire: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		b = h.await(b.ID, Completed)
		h.set(func() { h.now = time.Now().Add(2 * time.Hour) })
		if err := h.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		after, err := h.Get(team, b.ID)
		if _, there := h.files[b.OutputFile]; err != nil || there || after.OutputFile != "" || b.OutputFile == "" {
			t.Error(there, after.OutputFile, err)
		}
	})
}

func FuzzReadLine(f *testing.F) {
	f.Add([]byte(`{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"m"}}`))
	f.Add([]byte(`{"custom_id":7}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, p := readLine(text, "/v1/embeddings")
		if p == nil && (l.customID == "" || l.body == "" || l.body[0] != '{') || p != nil && (p.Code == "" || p.Message == "") {
			t.Fatal(l, p, errors.New("neither a line nor a problem"))
		}
	})
}
