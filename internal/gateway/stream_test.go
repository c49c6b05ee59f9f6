package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"airfield/internal/gateway"
	"airfield/internal/llm"
)

var statement = regexp.MustCompile(`: airfield (\{.*\})\n\n`)

// unstated returns a stream without our comment, and the comment's JSON.
func unstated(t *testing.T, body string) (string, map[string]any) {
	t.Helper()
	found := statement.FindAllStringSubmatch(body, -1)
	if len(found) != 1 {
		t.Fatalf("%d statements in\n%s", len(found), body)
	}
	var said map[string]any
	if err := json.Unmarshal([]byte(found[0][1]), &said); err != nil {
		t.Fatal(err)
	}
	return statement.ReplaceAllString(body, ""), said
}

func TestAStreamGoesThroughAndUsageIsAskedForBehindTheCallersBack(t *testing.T) {
	for name, c := range map[string]struct{ options, sent string }{
		"no options":         {``, `"stream_options":{"include_usage":true}`},
		"null options":       {`"stream_options":null,`, `"stream_options":{"include_usage":true}`},
		"empty options":      {`"stream_options":{},`, `"stream_options":{"include_usage":true}`},
		"other options":      {`"stream_options":{"x":1},`, `"stream_options":{"include_usage":true,"x":1}`},
		"usage switched off": {`"stream_options":{"include_usage":false},`, `"stream_options":{"include_usage":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			var sent string
			w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				sent = string(b)
				events(delta("Hel"), delta("lo"), stop, usageOnly, done)(rw, r)
			})
			a := w.chat(t, `{`+c.options+`"stream":true,"model":"chat","messages":[]}`)
			if !strings.Contains(sent, c.sent) || strings.Count(sent, "include_usage") != 1 || !json.Valid([]byte(sent)) {
				t.Fatalf("sent %s", sent)
			}
			body, said := unstated(t, a.body)
			if body != delta("Hel")+delta("lo")+stop+done {
				t.Fatalf("the caller got\n%s", body)
			}
			if said["cost_usd"] != "0.000000164" || a.header.Get("X-Airfield-Call-Id") != said["call_id"] {
				t.Fatalf("statement %v", said)
			}
			row := w.log.last(t, 1)
			if row.Usage != (llm.Usage{Input: 60, CacheRead: 40, Output: 10, Source: llm.Reported}) || row.Outcome != llm.OK || row.Finish != "stop" || !row.Stream {
				t.Fatalf("row %+v", row)
			}
		})
	}
}

func TestACallerWhoAskedForUsageGetsItWithOurStatementInside(t *testing.T) {
	w := newWorld(t, events(delta("Hello"), stop, usageOnly, done))
	a := w.chat(t, `{"model":"chat","stream":true,"stream_options":{"include_usage":true},"messages":[]}`)
	body, _ := unstated(t, a.body)
	parts := strings.SplitAfter(body, "\n\n")
	var chunk struct {
		Choices  []any
		Usage    struct{ Prompt_tokens int }
		Airfield struct{ Cost_usd, Call_id string }
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(parts[2], "data: ")), &chunk); err != nil {
		t.Fatal(err, parts)
	}
	if chunk.Usage.Prompt_tokens != 100 || chunk.Airfield.Cost_usd != "0.000000164" || chunk.Airfield.Call_id != a.header.Get("X-Airfield-Call-Id") || parts[3] != done {
		t.Fatalf("%+v in %q", chunk, parts)
	}
}

func TestEventsReachTheCallerWhenTheyComeAndTheRowIsThereBeforeTheEnd(t *testing.T) {
	next := make(chan struct{})
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		events(delta("one"))(rw, r)
		<-next
		events(delta("two"), stop, usageOnly, done)(rw, r)
	})
	r, err := http.Post(w.url, "application/json", strings.NewReader(askStream))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewReader(r.Body)
	if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, "one") {
		t.Fatal(line, err) // the upstream has not sent the rest yet
	}
	close(next)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal("no end mark", err)
		}
		if line == "data: [DONE]\n" {
			break
		}
	}
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	if len(w.log.finished) != 1 {
		t.Fatal("the caller has the last byte and the row is not written")
	}
}

func TestAStreamThatBreaksIsToldAndNeverEndedByUs(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	then := func(a, b http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { a(w, r); b(w, r) }
	}
	long := delta(strings.Repeat("word ", 100))
	for name, c := range map[string]struct {
		upstream http.HandlerFunc
		code     string
		kind     string
		tokens   int64
	}{
		"the upstream dies":                              {die(events(long)), "upstream_broken", "upstream", 100},
		"it ends without a reason":                       {events(long), "upstream_broken", "upstream", 100},
		"it dies inside an event":                        {die(events(long, `data: {"choices":[{"del`)), "upstream_broken", "upstream", 100},
		"it ends inside an event":                        {events(long, `data: {"choices":[{"del`), "upstream_broken", "upstream", 100},
		"it falls silent":                                {then(events(long), hang), "upstream_timeout", "timeout", 100},
		"it reports an error":                            {events(long, "data: {\"error\":{\"message\":\"overloaded\",\"code\":\"busy\"}}\n\n", done), "busy", "upstream", 100},
		"it dies after a running total":                  {die(events(delta("Hello"), usageOnly)), "upstream_broken", "upstream", -1},
		"it dies in the middle of an event without end":  {die(events(long, "data: "+strings.Repeat("x", 3<<20))), "upstream_broken", "upstream", -1},
		"it dies on a stream of things that are no JSON": {die(events("data: {{{{\n\n", "data: null\n\n", "data: [1]\n\n")), "upstream_broken", "upstream", 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.upstream, hurried)
			a := w.chat(t, askStream)
			if a.status != 200 || a.err != nil {
				t.Fatalf("%d %v", a.status, a.err)
			}
			if strings.Contains(a.body, "[DONE]") {
				t.Fatalf("an invented end:\n%s", a.body)
			}
			body, _ := unstated(t, a.body)
			last := body[strings.LastIndex(strings.TrimSuffix(body, "\n\n"), "\n\n")+1:]
			var said struct {
				Error struct{ Code, Message, Type string }
			}
			if err := json.Unmarshal([]byte(strings.TrimPrefix(strings.TrimSpace(last), "data: ")), &said); err != nil || said.Error.Code != c.code {
				t.Fatalf("last event %q: %v", last, err)
			}
			row := w.log.last(t, 1)
			if row.Outcome != llm.Broken || row.ErrorKind != c.kind || row.Attempts[0].Outcome != llm.Broken || row.Error == "" {
				t.Fatalf("row %+v", row)
			}
			if c.tokens >= 0 && (row.Usage.Source != llm.Estimated || row.Usage.Output < c.tokens*8/10 || row.Usage.Output > c.tokens*12/10 || row.Usage.Input == 0 || row.Cost == 0) {
				t.Fatalf("usage %+v", row.Usage)
			}
		})
	}
}

func TestAStreamThatEndsBeforeItsFirstEventCanBeAnsweredByAnotherDeployment(t *testing.T) {
	w := newWorld(t, events(), hurried)
	a := w.chat(t, askStream)
	if row := w.log.last(t, 1); a.status != 502 || !strings.Contains(a.body, "upstream_broken") || row.Outcome != llm.Failed || row.Usage.Input == 0 || row.Usage.Source != llm.Estimated {
		t.Fatalf("%+v\n%+v", a, row)
	}
	second := httptest.NewServer(events(delta("Hello"), stop, done))
	defer second.Close()
	w = newWorld(t, die(events()), hurried, func(c *gateway.Config) {
		c.Providers["two"] = gateway.ProviderConfig{Kind: "openai", BaseURL: second.URL, Timeouts: patient()}
		c.Models["chat"] = gateway.ModelConfig{Deployments: []gateway.DeploymentConfig{{Provider: "up", Model: "real-chat"}, {Provider: "two", Model: "spare"}}}
	})
	a = w.chat(t, askStream)
	if row := w.log.last(t, 1); a.status != 200 || !strings.Contains(a.body, "Hello") || row.Outcome != llm.OK || len(row.Attempts) != 2 || row.Deployment != "two/spare" {
		t.Fatalf("%+v\n%+v", a, row)
	}
}

func TestAnErrorInMidStreamDoesNotTellOurKey(t *testing.T) {
	w := newWorld(t, func(out http.ResponseWriter, r *http.Request) {
		out.Header().Set("X-Request-Id", "for sk-provider-secret")
		events(delta("Hello"), "data: {\"error\":{\"message\":\"no credit on sk-provider-secret\"}}\n\n")(out, r)
	})
	a := w.chat(t, askStream)
	if strings.Contains(a.body, "sk-provider-secret") || !strings.Contains(a.body, "no credit on [key]") {
		t.Errorf("the caller got\n%s", a.body)
	}
	if row := fmt.Sprintf("%+v", w.log.last(t, 1)); strings.Contains(row, "sk-provider-secret") || !strings.Contains(row, "no credit on [key]") {
		t.Errorf("the row is %s", row)
	}
}

func TestOddStreamsPassAsTheyAre(t *testing.T) {
	for name, stream := range map[string][]string{
		"no end mark, but a reason":    {delta("a"), stop},
		"an end mark without its line": {delta("a"), stop, "data: [DONE]"},
		"carriage returns":             {strings.ReplaceAll(delta("a")+stop+done, "\n", "\r\n")},
		"comments, ids and names":      {": keep-alive\n\nid: 7\nevent: chunk\nretry: 10\n" + delta("a"), stop, done},
		"data in two lines":            {"data: {\"choices\":\ndata: []}\n\n", stop, done},
		"no space after the colon":     {"data:{\"choices\":[]}\n\n", strings.ReplaceAll(stop, "data: ", "data:"), "data:[DONE]\n\n"},
		"not JSON":                     {"data: hello\n\n", "nonsense\n\n", stop, done},
		"cut anywhere":                 strings.Split(strings.Join(strings.Split(delta("abc")+stop+done, ""), "|"), "|"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, events(stream...))
			a := w.chat(t, askStream)
			body, _ := unstated(t, a.body)
			want := strings.Join(stream, "")
			if strings.TrimSuffix(body, "\n\n") != strings.TrimSuffix(want, "\n\n") {
				t.Fatalf("got\n%q\nwant\n%q", body, want)
			}
			if row := w.log.last(t, 1); row.Outcome != llm.OK || row.Usage.Source != llm.Estimated || row.Usage.Input == 0 {
				t.Fatalf("row %+v", row)
			}
		})
	}
}

func TestARunningTotalIsNotCountedTwice(t *testing.T) {
	chunk := func(n string) string {
		return `data: {"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":9,"completion_tokens":` + n + `}}` + "\n\n"
	}
	w := newWorld(t, events(chunk("1"), chunk("2"), chunk("3"), stop, done))
	a := w.chat(t, askStream)
	if body, _ := unstated(t, a.body); body != chunk("1")+chunk("2")+chunk("3")+stop+done {
		t.Fatal(body)
	}
	if row := w.log.last(t, 1); row.Usage != (llm.Usage{Input: 9, Output: 3, Source: llm.Reported}) {
		t.Fatalf("%+v", row.Usage)
	}
}

func TestAReportFromBeforeTheEndDoesNotHideWhatWasMade(t *testing.T) {
	first := `data: {"choices":[{"index":0,"delta":{"role":"assistant"}}],"usage":{"prompt_tokens":9,"completion_tokens":0}}` + "\n\n"
	for name, upstream := range map[string]http.HandlerFunc{
		"a stream that dies":     die(events(first, delta(strings.Repeat("word ", 50)))),
		"a stream that is whole": events(first, delta(strings.Repeat("word ", 50)), stop, done),
	} {
		w := newWorld(t, upstream)
		w.chat(t, askStream)
		if u := w.log.last(t, 1).Usage; u.Input != 9 || u.Output != 50 || u.Source != llm.Estimated {
			t.Errorf("%s: %+v", name, u)
		}
	}
}

func TestAHugeEventPassesWithBoundedMemory(t *testing.T) {
	huge := `data: {"choices":[{"delta":{"content":"` + strings.Repeat("abcd ", 2<<20) + `"}}]}` + "\n\n"
	w := newWorld(t, events(delta("a"), huge, stop, usageOnly, done))
	a := w.chat(t, askStream)
	body, _ := unstated(t, a.body)
	if body != delta("a")+huge+stop+done {
		t.Fatalf("%d bytes came of %d", len(body), len(delta("a")+huge+stop+done))
	}
	if row := w.log.last(t, 1); row.Outcome != llm.OK || row.Usage.Input != 60 {
		t.Fatalf("%+v", row)
	}
}

func TestACallerWhoLeavesStopsTheUpstreamAndPaysForWhatWasMade(t *testing.T) {
	stopped := make(chan time.Time, 1)
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		events(delta(strings.Repeat("word ", 50)))(rw, r)
		<-r.Context().Done()
		stopped <- time.Now()
	})
	ctx, leave := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "POST", w.url, strings.NewReader(askStream))
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(r.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	left := time.Now()
	leave()
	select {
	case at := <-stopped:
		if late := at.Sub(left); late > 100*time.Millisecond {
			t.Errorf("the upstream was stopped after %s", late)
		}
	case <-time.After(3 * time.Second):
		t.Fatal("the upstream was not stopped")
	}
	row := w.log.last(t, 1)
	if row.Outcome != llm.Cancelled || row.ErrorKind != "cancelled" || row.Usage.Source != llm.Estimated || row.Usage.Output < 40 || row.Usage.Output > 60 || row.Usage.Input == 0 || row.Cost == 0 {
		t.Fatalf("row %+v", row)
	}
}

func TestASlowReaderGetsEverything(t *testing.T) {
	parts := make([]string, 0, 2000)
	for range 2000 {
		parts = append(parts, delta(strings.Repeat("x", 4000)))
	}
	parts = append(parts, stop, usageOnly, done)
	w := newWorld(t, events(parts...), hurried)
	r, err := http.Post(w.url, "application/json", strings.NewReader(askStream))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	time.Sleep(500 * time.Millisecond) // longer than any silence an upstream is allowed: this is the caller's time
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.HasSuffix(string(body), done) || strings.Count(string(body), "xxxx\"") != 2000 {
		t.Fatalf("%d bytes, %v", len(body), err)
	}
	if row := w.log.last(t, 1); row.Outcome != llm.OK {
		t.Fatalf("%+v", row)
	}
}

func TestConnectionsAreUsedAgainAfterAStream(t *testing.T) {
	connections := map[string]bool{}
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		connections[r.RemoteAddr] = true
		events(delta("a"), stop, usageOnly, done)(rw, r)
	})
	for range 5 {
		w.chat(t, askStream)
	}
	if len(connections) != 1 {
		t.Fatalf("%d connections for five streams, one after the other", len(connections))
	}
}
