package gateway

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"airfield/internal/llm"
)

func TestABodyIsReadForWhatTheGatewayNeeds(t *testing.T) {
	q, err := decode(llm.ChatCompletions, []byte(`{"stream":true,"n":3,"max_tokens":10,"max_completion_tokens":20,"model":"a\u0062","messages":[{"role":"user","content":"one two"}],"temperature":1e-2}`))
	if err != nil || q.model != "ab" || !q.stream || q.choices != 3 || q.maxTokens != 20 {
		t.Fatalf("%+v %v", q, err)
	}
	for _, body := range []string{`{"model":"a","stream":null,"n":null,"max_tokens":null}`, `{"model":"a","n":0}`} {
		if q, err := decode(llm.ChatCompletions, []byte(body)); err != nil || q.stream || q.choices != 1 || q.maxTokens != 0 {
			t.Fatalf("%s: %+v %v", body, q, err)
		}
	}
	if _, err := decode(llm.Embeddings, []byte(`{"model":"a","stream":true,"input":"x"}`)); err == nil {
		t.Fatal("embeddings that stream")
	}
}

func TestInputIsEstimatedForTextsTokensAndGreatAmounts(t *testing.T) {
	for name, c := range map[string]struct {
		body     string
		from, to int64
	}{
		"one text":      {`{"model":"m","input":"one two three"}`, 3, 5},
		"several texts": {`{"model":"m","input":["one two three","four five"]}`, 5, 9},
		"tokens":        {`{"model":"m","input":[[1,2,3,4,5],[6,7]]}`, 7, 8},
		"nothing":       {`{"model":"m"}`, 1, 1},
		"a megabyte":    {`{"model":"m","input":"` + strings.Repeat("word ", 200_000) + `"}`, 180_000, 220_000},
	} {
		q, err := decode(llm.Embeddings, []byte(c.body))
		if err != nil {
			t.Fatal(name, err)
		}
		if got := q.inputTokens([]byte(c.body)); got < c.from || got > c.to {
			t.Errorf("%s: %d tokens, want %d to %d", name, got, c.from, c.to)
		}
	}
}

// Whatever body is accepted, what is sent upstream is JSON that says the same, but for the model and the usage asked for.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"model":"a","messages":[]}`, `{"model":"a","stream":true}`, `{"stream":true,"stream_options":{"include_usage":false,"x":1},"model":"b"}`,
		`{"stream_options":{},"model":"\u0061","stream":true}`, `{"model":"a","stream":true,"stream_options":null}`, `{"model":"a","model":"b"}`, `{`, ` {"model" : "a" } `,
	} {
		f.Add([]byte(s))
	}
	d := &deployment{upstream: "up\"stream", quoted: quote("up\"stream")}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := decode(llm.ChatCompletions, body)
		if err != nil {
			return
		}
		q.inputTokens(body)
		before, after := map[string]any{}, map[string]any{}
		if err := json.Unmarshal(body, &before); err != nil {
			t.Fatalf("%q was accepted: %v", body, err)
		}
		sent := q.upstreamBody(body, d, 0, "")
		if err := json.Unmarshal(sent, &after); err != nil {
			t.Fatalf("%q became %q: %v", body, sent, err)
		}
		if after["model"] != d.upstream {
			t.Fatalf("%q became %q", body, sent)
		}
		if q.stream {
			if o, _ := after["stream_options"].(map[string]any); o["include_usage"] != true {
				t.Fatalf("%q became %q", body, sent)
			}
		}
		for _, m := range []map[string]any{before, after} {
			delete(m, "model")
			if o, ok := m["stream_options"].(map[string]any); q.stream && ok {
				delete(o, "include_usage")
				if len(o) == 0 {
					delete(m, "stream_options")
				}
			} else if q.stream {
				delete(m, "stream_options")
			}
		}
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("%q became %q", body, sent)
		}
	})
}
