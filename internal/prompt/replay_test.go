package prompt

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/access"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// kept are bodies by the id of their call.
type kept map[string][2]string

func (k kept) Body(_ context.Context, id string) (request, answer []byte, err error) {
	b, is := k[id]
	if !is {
		return nil, nil, fault.New(fault.NotFound, "body_not_kept", "the workflow team keeps no bodies")
	}
	return []byte(b[0]), []byte(b[1]), nil
}

type pastCalls []llm.Call

func (p pastCalls) CallsOf(_ context.Context, _ string, version int, before string, limit int) (list []llm.Call, err error) {
	for _, c := range p {
		if (version == 0 || c.Version == version) && (before == "" || c.ID < before) && len(list) < limit {
			list = append(list, c)
		}
	}
	return list, nil
}

func answer(text string) string {
	b, _ := json.Marshal(text)
	return `{"choices":[{"message":{"role":"assistant","content":` + string(b) + `}}]}`
}

// theater is a replayer over n past calls, each of which says {"n": its number}. A new call costs 100 and answers as say says.
func theater(t *testing.T, n int, say func(i int) (string, error)) (*Replayer, *[]string) {
	t.Helper()
	r := registry(t, dbtest.Open(t, dbtest.SQLite(t)))
	push(t, r, "1", Live)
	p := says("2")
	p.Parameters = map[string]json.RawMessage{"response_format": json.RawMessage(`{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","required":["n"]}}}`)}
	if _, err := r.Push(operator, "reply", Push{Prompt: p, Label: "candidate"}); err != nil {
		t.Fatal(err)
	}
	bodies, past := kept{}, pastCalls{}
	for i := n; i > 0; i-- {
		id := fmt.Sprintf("call_%03d", i)
		past = append(past, llm.Call{ID: id, Outcome: llm.OK, Version: 1, Prompt: "reply", Finish: "stop", Cost: 70, Priced: true, Duration: time.Second})
		bodies[id] = [2]string{fmt.Sprintf(`{"model":"prompt/reply","stream":true,"stream_options":{},"x":%d,"prompt":{"variables":{"n":%d}},"messages":[]}`, i, i), answer(fmt.Sprintf(`{"n":%d}`, i))}
	}
	var mu sync.Mutex
	var asked []string
	return &Replayer{Registry: r, Bodies: bodies, Past: past, Begin: func(budget money.Nanos) Again {
		return func(_ context.Context, row *llm.Call, body []byte, model string, tags map[string]string) (llm.Call, []byte, error) {
			mu.Lock()
			defer mu.Unlock()
			if budget < 100 {
				return llm.Call{}, nil, fault.New(fault.Limited, AllowanceSpent, "no money")
			}
			budget -= 100
			asked = append(asked, string(body)+model+tags["replay"])
			var i int
			fmt.Sscanf(row.ID, "call_%d", &i)
			text, err := say(i)
			return llm.Call{ID: "call_new", Version: 2, Cost: 100, Priced: true, Finish: "stop", Duration: 2 * time.Second}, []byte(answer(text)), err
		}
	}}, &asked
}

func run(t *testing.T, p *Replayer, q Replay) (ReplayTotals, []Replayed, error) {
	t.Helper()
	var all []Replayed
	q.To.Name = "reply"
	sum, err := p.Run(operator, q, func(r Replayed) error {
		all = append(all, r)
		return nil
	})
	return sum, all, err
}

func TestPastCallsAreComparedUnderTheNewVersion(t *testing.T) {
	p, asked := theater(t, 6, func(i int) (string, error) {
		switch i {
		case 6:
			return `{"n":6}`, nil
		case 5:
			return "", fault.New(fault.Upstream, "upstream", "the model is down")
		}
		return "no JSON", nil
	})
	delete(p.Bodies.(kept), "call_004")
	sum, all, err := run(t, p, Replay{To: Ref{Label: "candidate"}, From: "live", Last: 4, Budget: 10_000, Concurrency: 3, Model: "small"})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Version != 2 || sum.Calls != 4 || sum.Replayed != 2 || sum.Same != 1 || sum.Failed != 1 || sum.NotKept != 1 || sum.NotRun != 0 || sum.OldUSD != 140 || sum.NewUSD != 200 || sum.SpentUSD != 300 ||
		sum.OldMS != 1000 || sum.NewMS != 2000 || sum.NewInvalid != 1 || sum.OldInvalid != 0 || sum.NewFinish["stop"] != 2 {
		t.Errorf("%+v", sum)
	}
	for _, r := range all {
		switch r.Old.CallID {
		case "call_006":
			if !r.Same || r.New.Answer != `{"n":6}` || !*r.New.Valid {
				t.Errorf("%+v", r)
			}
		case "call_005":
			if r.Error != "the model is down" || r.Same {
				t.Errorf("%+v", r)
			}
		case "call_003":
			if r.Same || r.New.Answer != "no JSON" || *r.New.Valid || !*r.Old.Valid {
				t.Errorf("%+v", r)
			}
		default:
			t.Errorf("%+v", r)
		}
	}
	for _, a := range *asked {
		if !strings.Contains(a, `"prompt":{"name":"reply","version":2,"variables":{"n":`) || !strings.Contains(a, `"x":`) || strings.Contains(a, "stream") || strings.Contains(a, "prompt/") || !strings.HasSuffix(a, "smallreply@2") {
			t.Errorf("asked %s", a)
		}
	}
	entries, err := p.Registry.audit.List(t.Context(), access.Filter{Action: "prompt.replay"})
	if err != nil || len(entries) != 1 || !strings.Contains(string(entries[0].Detail), `"calls":["call_006","call_005","call_004","call_003"]`) {
		t.Errorf("%+v %v", entries, err)
	}
}

func TestAReplayEndsWhereItsBudgetDoes(t *testing.T) {
	p, asked := theater(t, 20, func(int) (string, error) { return "x", nil })
	sum, all, err := run(t, p, Replay{To: Ref{Version: 2}, Last: 20, Budget: 550, Concurrency: 4})
	if err != nil || len(all) != 5 || len(*asked) != 5 || sum.Replayed != 5 || sum.NotRun != 15 || sum.SpentUSD != 500 {
		t.Errorf("%+v %d %v", sum, len(all), err)
	}
}

func TestAReplayWithoutBodiesSaysWhy(t *testing.T) {
	p, _ := theater(t, 2, func(int) (string, error) { return "x", nil })
	p.Bodies = kept{}
	if _, _, err := run(t, p, Replay{To: Ref{Version: 2}, Last: 2, Budget: 1, Concurrency: 1}); code(err) != "replay_no_bodies" || !strings.Contains(err.Error(), "the workflow team keeps no bodies") {
		t.Error(err)
	}
	p.Bodies = nil
	if _, _, err := run(t, p, Replay{To: Ref{Version: 2}, Last: 2, Budget: 1, Concurrency: 1}); code(err) != "replay_no_bodies" {
		t.Error(err)
	}
	for want, q := range map[string]Replay{"replay_last": {Last: 0, Budget: 1, Concurrency: 1}, "replay_budget": {Last: 1, Concurrency: 1}, "replay_concurrency": {Last: 1, Budget: 1}} {
		if _, _, err := run(t, p, q); code(err) != want {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestAnswersOfEverySurfaceAreRead(t *testing.T) {
	for body, want := range map[string]string{
		answer("hi"): "hi",
		`{"choices":[{"message":{"content":null,"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}`:                               "f {}",
		`{"content":[{"type":"text","text":"hi"},{"type":"tool_use","name":"f","input":{"a":1}}]}`:                                           `hif {"a":1}`,
		`{"output":[{"type":"reasoning"},{"type":"message","content":[{"type":"output_text","text":"hi"}]}]}`:                                "hi",
		"data: {\"choices\":[{\"delta\":{\"content\":\"h\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"i\"}}]}\n\ndata: [DONE]\n\n": "hi",
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n":       "hi",
		"data: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\ndata: {\"type\":\"response.completed\",\"response\":{}}\n\n":    "hi",
		"not JSON": "not JSON",
	} {
		if got := answerText([]byte(body)); got != want {
			t.Errorf("%s\n%q, not %q", body, got, want)
		}
	}
}
