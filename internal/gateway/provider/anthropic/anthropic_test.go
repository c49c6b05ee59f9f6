package anthropic

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/secret"
)

func TestTheCallersHeadersSayWhatItsRequestMeans(t *testing.T) {
	var got http.Header
	var path string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, path = r.Header.Clone(), r.URL.Path
		w.Header().Set("Request-Id", "req_1 for "+r.Header.Get("X-Api-Key"))
		io.WriteString(w, `{"input_tokens":3}`)
	}))
	defer upstream.Close()
	p, err := New("claude", gateway.ProviderConfig{BaseURL: upstream.URL + "/v1", APIKey: secret.New("sk-ant-secret"), Headers: map[string]string{"anthropic-beta": "ours-1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	send := func(h http.Header) *gateway.Response {
		r, err := p.Send(t.Context(), &gateway.Attempt{Surface: llm.CountTokens, Body: []byte(`{}`), Header: h})
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		return r
	}
	r := send(nil)
	if got.Get("X-Api-Key") != "sk-ant-secret" || got.Get("Authorization") != "" || got.Get("Anthropic-Version") != version || !reflect.DeepEqual(got["Anthropic-Beta"], []string{"ours-1"}) || path != "/v1/messages/count_tokens" {
		t.Errorf("%s %v", path, got)
	}
	if r.RequestID != "req_1 for [key]" {
		t.Error(r.RequestID)
	}
	send(http.Header{"Anthropic-Version": {"2026-10-21"}, "Anthropic-Beta": {"theirs-1,theirs-2"}, "X-Api-Key": {"af_callers"}, "Cookie": {"c"}})
	if got.Get("Anthropic-Version") != "2026-10-21" || !reflect.DeepEqual(got["Anthropic-Beta"], []string{"ours-1", "theirs-1,theirs-2"}) || got.Get("X-Api-Key") != "sk-ant-secret" || got.Get("Cookie") != "" {
		t.Errorf("%v", got)
	}
}

func TestThoughtsThatNobodySignedAreNotSent(t *testing.T) {
	var got string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = string(b)
		io.WriteString(w, `{}`)
	}))
	defer upstream.Close()
	p, err := New("claude", gateway.ProviderConfig{BaseURL: upstream.URL + "/v1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const signed = `{"type":"thinking","thinking":"Hm.","signature":"c2ln"}`
	for body, want := range map[string]string{
		`{"m":1, "messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"of another","signature":""},{"type":"text","text":"\u00e9"},` + signed + `]}], "x":1e2}`: `{"m":1, "messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"text","text":"\u00e9"},` + signed + `]}], "x":1e2}`,
		`{"messages":[{"role":"user","content":"a"},{"content":[{"signature" : "","type":"thinking","thinking":"x"}],"role":"assistant"},{"role":"user","content":"b"}]}`:                                          `{"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}`,
		`{"messages":[{"role":"user","content":[{"type":"text","text":"\"thinking\" \"signature\""}]},{"role":"assistant","content":[` + signed + `]}]}`:                                                           "",
		`{"messages":[{"role":"assistant","content":[]}],"thinking":{"type":"enabled"}}`:                                                                                                                           "",
	} {
		r, err := p.Send(t.Context(), &gateway.Attempt{Surface: llm.Messages, Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if want == "" {
			want = body
		}
		if got != want {
			t.Errorf("%s\nbecame %s\nnot    %s", body, got, want)
		}
	}
}

func TestWhatIsLeftOfTheLimitsIsRead(t *testing.T) {
	soon := time.Now().Add(30 * time.Second).UTC().Format(time.RFC3339)
	for name, c := range map[string]struct {
		limit, remaining, reset string
		known                   bool
	}{
		"all of it":        {"50", "3", soon, true},
		"no reset":         {"50", "3", "", false},
		"seconds":          {"50", "3", "30", false},
		"nothing":          {"", "", "", false},
		"a negative rest":  {"50", "-3", soon, false},
		"a reset for ever": {"50", "3", "2999-01-01T00:00:00Z", false},
		"one that is over": {"50", "3", "2020-01-01T00:00:00Z", true},
	} {
		h := http.Header{}
		for field, value := range map[string]string{"limit": c.limit, "remaining": c.remaining, "reset": c.reset} {
			h.Set("anthropic-ratelimit-requests-"+field, value)
			h.Set("anthropic-ratelimit-tokens-"+field, value)
		}
		q := quotaOf(h)
		if q.Requests.Known != c.known || q.Tokens.Known != c.known || c.known && (q.Requests.Left != 3 || q.Requests.Limit != 50 || q.Requests.Reset < 0 || q.Requests.Reset > 31*time.Second) {
			t.Errorf("%s: %+v", name, q)
		}
	}
}

func TestUsageIsReadWithoutCountingTwice(t *testing.T) {
	for name, c := range map[string]struct {
		usage string
		want  llm.Usage
	}{
		"plain":             {`{"input_tokens":10,"output_tokens":5}`, llm.Usage{Input: 10, Output: 5}},
		"read and written":  {`{"input_tokens":10,"cache_read_input_tokens":4,"cache_creation_input_tokens":6,"output_tokens":5}`, llm.Usage{Input: 10, CacheRead: 4, CacheWrite: 6, Output: 5}},
		"for an hour":       {`{"input_tokens":10,"cache_creation_input_tokens":6,"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":4},"output_tokens":5}`, llm.Usage{Input: 10, CacheWrite: 2, CacheWriteLong: 4, Output: 5}},
		"thoughts inside":   {`{"input_tokens":10,"output_tokens":5,"output_tokens_details":{"thinking_tokens":3}}`, llm.Usage{Input: 10, Output: 2, Reasoning: 3}},
		"all from cache":    {`{"input_tokens":0,"cache_read_input_tokens":4,"output_tokens":5}`, llm.Usage{CacheRead: 4, Output: 5}},
		"more for an hour":  {`{"input_tokens":10,"cache_creation_input_tokens":6,"cache_creation":{"ephemeral_1h_input_tokens":99},"output_tokens":5}`, llm.Usage{Input: 10, CacheWriteLong: 6, Output: 5}},
		"more thought":      {`{"input_tokens":10,"output_tokens":5,"output_tokens_details":{"thinking_tokens":9}}`, llm.Usage{Input: 10, Reasoning: 5}},
		"nulls":             {`{"input_tokens":10,"cache_read_input_tokens":null,"cache_creation":null,"output_tokens":5,"output_tokens_details":null,"server_tool_use":null}`, llm.Usage{Input: 10, Output: 5}},
		"a negative prompt": {`{"input_tokens":-10,"output_tokens":5}`, llm.Usage{}},
		"beyond all":        {`{"input_tokens":10,"output_tokens":1e15}`, llm.Usage{}},
		"a text":            {`{"input_tokens":"10","output_tokens":5}`, llm.Usage{}},
		"nothing went in":   {`{"input_tokens":0,"output_tokens":5}`, llm.Usage{}},
		"no numbers":        {`{}`, llm.Usage{}},
	} {
		if c.want != (llm.Usage{}) {
			c.want.Source = llm.Reported
		}
		whole, tail, stream := NewMeter(llm.Messages), NewMeter(llm.Messages), NewMeter(llm.Messages)
		if err := whole.Body([]byte(`{"content":[],"usage":`+c.usage+`}`), false); err != nil {
			t.Fatal(err)
		}
		tail.Body([]byte(`xt":"\"usage\":{}"}],"stop_reason":"end_turn","usage":`+c.usage+`}`), true)
		stream.Event([]byte(`{"type":"message_start","message":{"usage":` + c.usage + `}}`))
		if got := stream.Reading().Usage; got.Completion() != 0 {
			t.Errorf("%s: what is reported before the answer is taken for it: %+v", name, got)
		}
		stream.Event([]byte(`{"type":"message_delta","usage":` + c.usage + `}`))
		for way, m := range map[string]gateway.Meter{"whole": whole, "tail": tail, "stream": stream} {
			if got := m.Reading().Usage; got != c.want {
				t.Errorf("%s, %s: %+v, not %+v", name, way, got, c.want)
			}
		}
		if tail.Reading().Finish != "end_turn" {
			t.Error(name, tail.Reading())
		}
	}
}

func TestGeneratedTextIsCountedWhereverItStands(t *testing.T) {
	words := strings.Repeat("word ", 20)
	for _, delta := range []string{`{"type":"text_delta","text":"` + words + `"}`, `{"type":"thinking_delta","thinking":"` + words + `"}`, `{"type":"input_json_delta","partial_json":"` + words + `"}`} {
		m := NewMeter(llm.Messages)
		if e := m.Event([]byte(`{"type":"content_block_delta","index":0,"delta":` + delta + `}`)); e != gateway.Content || m.Reading().Output != 20 {
			t.Errorf("%s: %v %+v", delta, e, m.Reading())
		}
	}
}

func FuzzMeter(f *testing.F) {
	for _, s := range []string{`{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}`, `{"type":"message_delta","delta":{"stop_reason":"x"},"usage":{"output_tokens":7}}`, `{"type":"error","error":{}}`, `"usage":{"input_tokens":`, `{"content":[{"text":"a"}],"usage":{"input_tokens":1}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := NewMeter(llm.Messages)
		m.Event(b)
		m.Body(b, false)
		m.Body(b, true)
		r := m.Reading()
		u := r.Usage
		if min(u.Input, u.CacheRead, u.CacheWrite, u.CacheWriteLong, u.Output, u.Reasoning, r.Output) < 0 || u.Source == llm.Reported && u.Prompt() == 0 {
			t.Fatalf("%q: %+v", b, r)
		}
	})
}
