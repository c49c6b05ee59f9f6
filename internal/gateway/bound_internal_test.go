package gateway

import (
	"bytes"
	"encoding/json"
	"testing"

	"airfield/internal/llm"
)

func TestAnOutputIsBoundedInTheFieldThatTheProviderObeys(t *testing.T) {
	for _, c := range []struct{ field, body, want string }{
		{maxTokens, `{"model":"m"}`, `{"model":"m","max_tokens":77}`},
		{maxCompletionTokens, `{"model":"m"}`, `{"model":"m","max_completion_tokens":77}`},
		{maxTokens, `{"max_tokens":null,"model":"m"}`, `{"max_tokens":77,"model":"m"}`},
		{maxTokens, `{"max_tokens":0,"model":"m"}`, `{"max_tokens":77,"model":"m"}`},
		{maxTokens, `{"max_tokens":5,"model":"m"}`, `{"max_tokens":5,"model":"m"}`},
		{maxCompletionTokens, `{"max_tokens":5,"model":"m"}`, `{"max_tokens":5,"model":"m"}`},
		{maxCompletionTokens, `{"max_tokens":null,"model":"m"}`, `{"max_completion_tokens":77,"model":"m"}`},
		{maxTokens, `{"max_completion_tokens" : 5,"model":"m"}`, `{"max_tokens" : 5,"model":"m"}`},
		{maxTokens, `{"max_completion_tokens":null,"model":"m"}`, `{"max_tokens":77,"model":"m"}`},
		{maxTokens, `{"max\u005fcompletion_tokens":5,"model":"m"}`, `{"max_tokens":5,"model":"m"}`},
		{maxTokens, `{"max_completion_tokens":null,"max_tokens":null,"model":"m"}`, `{"max_completion_tokens":null,"max_tokens":77,"model":"m"}`},
		{maxTokens, `{"max_completion_tokens":5,"max_tokens":null,"model":"m"}`, `{"max_completion_tokens":5,"max_tokens":5,"model":"m"}`},
		{maxTokens, `{"max_completion_tokens":5,"max_tokens":6,"model":"m"}`, `{"max_completion_tokens":5,"max_tokens":6,"model":"m"}`},
	} {
		q, err := decode(llm.ChatCompletions, []byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		d := &deployment{upstream: "m", quoted: `"m"`, outputCap: c.field}
		if got := string(q.upstreamBody([]byte(c.body), d, 77, "")); got != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.field, c.body, got, c.want)
		}
		if got := string(q.upstreamBody([]byte(c.body), d, 0, "")); got != c.body {
			t.Errorf("without a budget %s became %s", c.body, got)
		}
	}
}

func TestWhatARequestNeedsIsFoundHoweverItIsWritten(t *testing.T) {
	for body, want := range map[string]ability{
		`{"model":"m"}`:                 0,
		`{"model":"m","tools":[]}`:      tools,
		`{"model":"m","t\u006fols":[]}`: tools,
		`{"model":"m","messages":[{"content":[{"type":"image\u005Furl"}]}]}`:                   images,
		`{"model":"m","messages":[{"content":"say \"tools\" and image_url and \\u0061udio"}]}`: 0,
		`{"model":"m","stream":true,"audio":{"voice":"a"}}`:                                    audio | streaming,
		`{"model":"m","response_format":{"type":"json_schema"}}`:                               jsonSchema,
	} {
		q, err := decode(llm.ChatCompletions, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := q.needs([]byte(body)); got != want {
			t.Errorf("%s needs %b, want %b", body, got, want)
		}
	}
	q := asked{shape: shapeOf(llm.ChatCompletions)}
	if !q.remote([]byte(`{"\u0066ile":1}`)) || q.remote([]byte(`{"text":"a file"}`)) {
		t.Error("remote")
	}
}

func FuzzTheBodySentIsTheCallersWithOneCap(f *testing.F) {
	for _, s := range []string{
		`{"model":"m","stream":true}`, `{ "max_tokens" : null , "model":"m","stream_options":{ } }`, `{"max_completion_tokens":0,"stream":true,"stream_options":null,"model":"a"}`,
		`{"model":"m","max_\u0074okens":3,"stream":true,"stream_options":{"include_usage":false,"x":1}}`,
	} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, completion bool) {
		q, err := decode(llm.ChatCompletions, body)
		if err != nil {
			return
		}
		d := &deployment{upstream: "real", quoted: `"real"`, outputCap: maxTokens, maxOutput: 77, model: &model{name: "m"}}
		if completion {
			d.outputCap = maxCompletionTokens
		}
		out := q.upstreamBody(body, d, 77, "")
		var before, after map[string]json.RawMessage
		if json.Unmarshal(body, &before) != nil {
			return // what Go reads otherwise: deep nesting
		}
		if err := json.Unmarshal(out, &after); err != nil {
			t.Fatalf("%q became %q: %v", body, out, err)
		}
		if again, err := decode(llm.ChatCompletions, out); err != nil || again.model != "real" || again.maxTokens == 0 || q.maxTokens > 0 && again.maxTokens != q.maxTokens || q.maxTokens == 0 && again.maxTokens != 77 || q.stream && !again.includeUsage {
			t.Fatalf("%q became %q: %+v %v", body, out, again, err)
		}
		if d.outputCap == maxTokens && bytes.Equal(after[maxTokens], []byte("null")) {
			t.Fatalf("%q became %q: the provider's own field says nothing", body, out)
		}
		caps := 0
		for _, field := range []string{maxTokens, maxCompletionTokens} {
			if v := string(after[field]); v != "" && v != "null" && bytes.Trim(after[field], "-0.eE+") != nil {
				caps++
			}
			delete(before, field)
			delete(after, field)
		}
		if q.maxTokens == 0 && caps != 1 {
			t.Fatalf("%q became %q: %d caps", body, out, caps)
		}
		for _, field := range []string{"model", "stream_options"} {
			delete(before, field)
			delete(after, field)
		}
		if len(before) != len(after) {
			t.Fatalf("%q became %q", body, out)
		}
		for key, value := range before {
			if !bytes.Equal(value, after[key]) {
				t.Fatalf("%q became %q: %s", body, out, key)
			}
		}
	})
}

func FuzzWhatIsKeptIsReadOrRefused(f *testing.F) {
	k := &kept{Status: 200, Stream: true, body: []byte("data: a\n\n"), usage: []byte("data: {}\n\n"), done: []byte("data: [DONE]\n\n")}
	f.Add(k.encode())
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte("\x00\x00\x00\x40" + `{"status":200,"body":9223372036854775807,"usage":9223372036854775807}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k := decodeKept(b)
		if k == nil {
			return
		}
		if len(k.body)+len(k.usage)+len(k.done) > len(b) {
			t.Fatal("more than there was")
		}
		c := &call{asked: asked{includeUsage: true}}
		c.ending(k.usage, k.done)
	})
}

func FuzzNeedsAndCeilingBearAnything(f *testing.F) {
	f.Add([]byte(`{"model":"m","n":3,"max_tokens":9223372036854775807,"messages":[{"content":"\u00"}]}`))
	f.Add([]byte(`{"model":"m","n":9223372036854775807,"tools":[],"messages":[{"content":[{"type":"image_url"}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := decode(llm.ChatCompletions, body)
		if err != nil {
			return
		}
		q.needs(body)
		c := &call{asked: q, req: &Request{Surface: llm.ChatCompletions, Body: body}}
		d := &deployment{maxOutput: 4096, model: &model{name: "m"}}
		u, reason := c.ceiling(d)
		if reason == "" && (u.Input != int64(len(body)) || u.Output < max(1, q.choices) || u.Output < q.maxTokens) {
			t.Fatalf("%q is bounded by %+v", body, u)
		}
		if e := c.expected(); reason == "" && q.maxTokens > 0 && e.Output > u.Output {
			t.Fatalf("%q: %d are expected of %d", body, e.Output, u.Output)
		}
	})
}
