package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"sync"
	"testing"
	"time"

	"airfield/internal/db/dbtest"
	"airfield/internal/prompt"
	"airfield/test/binary"
	"airfield/test/upstream"
)

// rendered is what the provider got of one call: its number, and the version that each part of the prompt tells.
type rendered struct{ n, system, user int }

// parts reads a request that was made from a prompt.
func parts(body []byte) (r rendered, err error) {
	var q struct {
		Messages []struct{ Role, Content string }
	}
	if err = json.Unmarshal(body, &q); err == nil && len(q.Messages) != 3 {
		err = fmt.Errorf("%d messages", len(q.Messages))
	}
	if err == nil {
		_, err = fmt.Sscanf(q.Messages[0].Content, "You are version %d.", &r.system)
	}
	if err == nil {
		_, err = fmt.Sscanf(q.Messages[1].Content, "Question %d of version %d.", &r.n, &r.user)
	}
	return r, err
}

// asked is one call as its caller saw it.
type asked struct {
	n     int
	began time.Time
	binary.Exchange
}

func TestARollbackUnderLoadIsInForceOnEveryProcessWithinASecond(t *testing.T) {
	u := upstream.New(t, upstream.Options{})
	var mu sync.Mutex
	got := map[int]rendered{}
	u.Behave(func(r *upstream.Request) upstream.Behaviour {
		p, err := parts(r.Body)
		if err != nil || p.system != p.user {
			t.Errorf("the provider got %s: %v", r.Body, err)
		}
		mu.Lock()
		defer mu.Unlock()
		got[p.n] = p
		return upstream.Behaviour{Between: 20 * time.Millisecond}
	})
	url := dbtest.Postgres(t)
	f := launch(t, 2, u, url, stores(t, url)+models(u, 1, output)+team+"workflows: {team: {business_unit: product, clearance: internal}}\n")
	for version := 1; version <= 2; version++ {
		f.all[0].Call(http.MethodPost, "/api/prompts/reply/versions", prompt.Push{Label: prompt.Live, Prompt: prompt.Prompt{Model: "chat", Variables: map[string]prompt.Variable{"n": {Type: prompt.Integer}},
			Messages: []prompt.PromptMessage{{Role: "system", Content: fmt.Sprintf("You are version %d.", version)}, {Role: "user", Content: fmt.Sprintf("Question {{n}} of version %d.", version)}}}}, nil)
	}
	ask := func(n int) asked {
		a := asked{n: n, began: time.Now()}
		body := fmt.Appendf(nil, `{"model":"prompt/reply","stream":%t,"max_tokens":%d,"prompt":{"variables":{"n":%d}},"messages":[{"role":"user","content":"please"}]}`, n%2 == 0, used, n)
		e, err := f.all[n/2%2].Chat(context.Background(), body, binary.As(f.key)...)
		if err != nil {
			t.Errorf("call %d: %v", n, err)
		}
		a.Exchange = e
		return a
	}
	for n := range 4 { // both processes, whole and streamed
		f.all[0].Await("version 2 to be live", func() bool { return ask(n).Header.Get("X-Airfield-Prompt-Version") == "reply@2" })
	}

	const each, before, after = 20 * time.Millisecond, 2 * time.Second, 3 * time.Second // fifty a second
	var calls []asked
	var wait sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	load := make(chan struct{})
	go func() {
		defer close(load)
		tick := time.NewTicker(each)
		defer tick.Stop()
		for n := 100; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			wait.Go(func() {
				a := ask(n)
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, a)
			})
		}
	}()
	defer stop()
	time.Sleep(before) // the load is what is awaited
	text, err := exec.Command(binary.Build(t), "prompts", "rollback", "reply", "--reason", "it is wrong", "--config", f.all[0].Path("airfield.yaml")).CombinedOutput()
	returned := time.Now()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	time.Sleep(after)
	stop()
	<-load
	wait.Wait()

	rows := f.rows()
	versions, latest := map[int]int{}, [2]time.Duration{-before, -before}
	for _, c := range calls {
		p, row := got[c.n], rows[c.ID]
		if !c.Whole || row.Outcome != "ok" {
			t.Errorf("call %d failed: %d %s", c.n, c.Status, c.Text)
		}
		if told := fmt.Sprintf("reply@%d", p.system); c.Header.Get("X-Airfield-Prompt-Version") != told || row.Prompt != "reply" || row.PromptVersion != p.system {
			t.Errorf("call %d was rendered from %s; its answer tells %q, its row %s@%d", c.n, told, c.Header.Get("X-Airfield-Prompt-Version"), row.Prompt, row.PromptVersion)
		}
		versions[p.system]++
		if since := c.began.Sub(returned); p.system == 2 {
			process := c.n / 2 % 2
			if latest[process] = max(latest[process], since); since > time.Second {
				t.Errorf("call %d, %s after the command had returned, got version 2", c.n, since)
			}
		}
	}
	if least := int(before/each) / 2; versions[1] < least || versions[2] < least {
		t.Errorf("calls by version: %v", versions)
	}
	t.Logf("calls by version: %v; the last one of version 2 began %s after the command had returned in one process, and %s in the other", versions, latest[0].Round(time.Millisecond), latest[1].Round(time.Millisecond))
}
