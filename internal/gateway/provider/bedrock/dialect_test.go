package bedrock

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

func ptr[T any](v T) *T { return &v }

func user(parts ...neutral.Part) neutral.Message {
	return neutral.Message{Role: neutral.User, Parts: parts}
}

func text(s string) neutral.Part { return neutral.Part{Text: s} }

// ask is a request that can be said, changed by each case.
func ask(change func(*neutral.Request)) *neutral.Request {
	q := &neutral.Request{Model: "amazon.nova-lite-v1:0", Messages: []neutral.Message{user(text("hi"))}}
	change(q)
	return q
}

func TestARequestIsWrittenAsConverseHasIt(t *testing.T) {
	tool := neutral.Tool{Name: "f", Strict: true, Cache: "5m"}
	for name, c := range map[string]struct {
		q    *neutral.Request
		want string // the whole request, or one field of it and its value
	}{
		"caching": {ask(func(q *neutral.Request) {
			q.System = []neutral.Part{{Text: "s", Cache: "1h"}}
			q.Messages[0].Parts[0].Cache = "5m"
			q.Tools = []neutral.Tool{tool}
		}), `{"system":[{"text":"s"},{"cachePoint":{"type":"default","ttl":"1h"}}],"messages":[{"role":"user","content":[{"text":"hi"},{"cachePoint":{"type":"default"}}]}],
			"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object","properties":{}}},"strict":true}},{"cachePoint":{"type":"default"}}]}}`},
		"turns alternate, blanks are left out, instructions go to the front": {ask(func(q *neutral.Request) {
			q.Messages = []neutral.Message{user(text("a")), user(text(" ")), {Role: neutral.System, Parts: []neutral.Part{text("mind")}}, user(text("b")), {Role: neutral.Assistant, Parts: []neutral.Part{text("")}}}
		}), `{"system":[{"text":"mind"}],"messages":[{"role":"user","content":[{"text":"a"},{"text":"b"}]}]}`},
		"what models wrote goes back": {ask(func(q *neutral.Request) {
			q.Messages = append(q.Messages, neutral.Message{Role: neutral.Assistant, Parts: []neutral.Part{
				{Kind: neutral.Reasoning, Text: "t", Signature: "s"}, {Kind: neutral.Reasoning, Data: "eA=="}, {Kind: neutral.Reasoning, Text: "unsigned"}, {Kind: neutral.Refusal, Text: "no"},
			}})
		}), `{"messages":[{"role":"user","content":[{"text":"hi"}]},{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"t","signature":"s"}}},{"reasoningContent":{"redactedContent":"eA=="}},{"text":"no"}]}]}`},
		"documents have names of their own": {ask(func(q *neutral.Request) {
			d := neutral.Part{Kind: neutral.Document, Media: "application/pdf", Data: "eA==", Name: "my  report_1.pdf"}
			q.Messages[0].Parts = append(q.Messages[0].Parts, d, d, neutral.Part{Kind: neutral.Document, Text: "x"})
		}), `{"messages":[{"role":"user","content":[{"text":"hi"},{"document":{"format":"pdf","name":"my report 1 pdf","source":{"bytes":"eA=="}}},{"document":{"format":"pdf","name":"my report 1 pdf (2)","source":{"bytes":"eA=="}}},
			{"document":{"format":"txt","name":"document","source":{"bytes":"eA=="}}}]}]}`},
		"results of tools": {ask(func(q *neutral.Request) {
			q.Tools, q.Choice = []neutral.Tool{{Name: "f", Schema: json.RawMessage(`{}`)}}, neutral.ToolChoice{Mode: "tool", Name: "f"}
			q.Messages = append(q.Messages, neutral.Message{Role: neutral.Assistant, Parts: []neutral.Part{{Kind: neutral.ToolCall, ID: "1", Name: "f"}}}, user(neutral.Part{Kind: neutral.ToolResult, ID: "1", Failed: true, Parts: []neutral.Part{{Kind: neutral.Image, Media: "image/jpeg", Data: "eA=="}}}))
		}), `{"messages":[{"role":"user","content":[{"text":"hi"}]},{"role":"assistant","content":[{"toolUse":{"toolUseId":"1","name":"f","input":{}}}]},
			{"role":"user","content":[{"toolResult":{"toolUseId":"1","status":"error","content":[{"image":{"format":"jpeg","source":{"bytes":"eA=="}}}]}}]}],
			"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{}}}}],"toolChoice":{"tool":{"name":"f"}}}}`},
		"no tools where none is to be called": {ask(func(q *neutral.Request) { q.Tools, q.Choice.Mode = []neutral.Tool{tool}, "none" }), `{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`},
		"sampling and service": {ask(func(q *neutral.Request) {
			q.TopP, q.Stop, q.Service, q.TopK = ptr(0.9), []string{"x"}, "flex", ptr(int64(5))
		}),
			`{"messages":[{"role":"user","content":[{"text":"hi"}]}],"inferenceConfig":{"topP":0.9,"stopSequences":["x"]},"serviceTier":{"type":"flex"},"additionalModelRequestFields":{"inferenceConfig":{"topK":5}},"additionalModelResponseFieldPaths":["/stop_sequence"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			if reason := (dialect{}).Check(c.q); reason != "" {
				t.Fatal(reason)
			}
			got, err := dialect{}.WriteRequest(c.q)
			if err != nil {
				t.Fatal(err)
			}
			var x, y any
			if json.Unmarshal(got, &x) != nil || json.Unmarshal([]byte(c.want), &y) != nil || !reflect.DeepEqual(x, y) {
				t.Errorf("%s\nnot\n%s", got, c.want)
			}
		})
	}
}

func TestHowHardToThinkIsSaidAsTheModelsMakerWantsIt(t *testing.T) {
	think := func(model string, change func(*neutral.Request)) *neutral.Request {
		return ask(func(q *neutral.Request) {
			q.Model, q.Effort = model, "medium"
			change(q)
		})
	}
	same := func(*neutral.Request) {}
	for name, c := range map[string]struct {
		q    *neutral.Request
		want string // of additionalModelRequestFields and outputConfig
	}{
		"older Claude in tokens":        {think("anthropic.claude-3-7-sonnet-20250219-v1:0", same), `{"thinking":{"type":"enabled","budget_tokens":8192}} null`},
		"within the output":             {think(sonnetID, func(q *neutral.Request) { q.MaxOutput = 4096 }), `{"thinking":{"type":"enabled","budget_tokens":3072}} null`},
		"not at all without room":       {think(sonnetID, func(q *neutral.Request) { q.MaxOutput = 500 }), `null null`},
		"as many as the caller says":    {think(sonnetID, func(q *neutral.Request) { q.Effort, q.Thinking = "", 3000 }), `{"thinking":{"type":"enabled","budget_tokens":3000}} null`},
		"newer Claude by effort":        {think("global.anthropic.claude-opus-4-6-v1", func(q *neutral.Request) { q.Summary = true }), `{"thinking":{"type":"adaptive","display":"summarized"}} {"effort":"medium"}`},
		"newer Claude, told in tokens":  {think("anthropic.claude-sonnet-5", func(q *neutral.Request) { q.Effort, q.Thinking = "", 3000 }), `{"thinking":{"type":"adaptive"}} {"effort":"medium"}`},
		"Nova":                          {think("us.amazon.nova-2-lite-v1:0", func(q *neutral.Request) { q.Effort = "xhigh" }), `{"reasoningConfig":{"maxReasoningEffort":"high","type":"enabled"}} null`},
		"gpt-oss":                       {think("openai.gpt-oss-120b-1:0", func(q *neutral.Request) { q.Effort = "minimal" }), `{"reasoning_effort":"low"} null`},
		"a profile that names no model": {think("arn:aws:bedrock:us-east-1:1:application-inference-profile/x", same), `null {"effort":"medium"}`},
		"none":                          {think(sonnetID, func(q *neutral.Request) { q.Effort = "none" }), `null null`},
	} {
		b, err := dialect{}.WriteRequest(c.q)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			A json.RawMessage `json:"additionalModelRequestFields"`
			O json.RawMessage `json:"outputConfig"`
		}
		got.A, got.O = json.RawMessage("null"), json.RawMessage("null")
		if err := json.Unmarshal(b, &got); err != nil || string(got.A)+" "+string(got.O) != c.want {
			t.Errorf("%s: %s %s, not %s (%v)", name, got.A, got.O, c.want, err)
		}
	}
}

const sonnetID = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"

func TestWhatConverseHasNoWordForIsNamed(t *testing.T) {
	call := neutral.Message{Role: neutral.Assistant, Parts: []neutral.Part{{Kind: neutral.ToolCall, ID: "1", Name: "f", Text: "{}"}}}
	for want, change := range map[string]func(*neutral.Request){
		"logprobs":           func(q *neutral.Request) { q.Only = []string{"logprobs", "n"} },
		"frequency_penalty":  func(q *neutral.Request) { q.FrequencyPenalty = ptr(0.5) },
		"presence_penalty":   func(q *neutral.Request) { q.PresencePenalty = ptr(-0.5) },
		"seed":               func(q *neutral.Request) { q.Seed = ptr(int64(1)) },
		"json_object":        func(q *neutral.Request) { q.Format = &neutral.Format{} },
		"service tier scale": func(q *neutral.Request) { q.Service = "scale" },
		"bytes only, not the address of the image": func(q *neutral.Request) {
			q.Messages[0].Parts = []neutral.Part{{Kind: neutral.Image, URL: "https://a/b.png"}}
		},
		"image of the type image/tiff": func(q *neutral.Request) {
			q.Messages[0].Parts = []neutral.Part{{Kind: neutral.ToolResult, Parts: []neutral.Part{{Kind: neutral.Image, Media: "image/tiff", Data: "eA=="}}}}
		},
		"that the user begins":          func(q *neutral.Request) { q.Messages = []neutral.Message{call} },
		"without a message of the user": func(q *neutral.Request) { q.Messages = []neutral.Message{user(text(" "))} },
		"unless the tools are given":    func(q *neutral.Request) { q.Messages = append(q.Messages, call) },
		"to call no tool": func(q *neutral.Request) {
			q.Messages, q.Tools, q.Choice.Mode = append(q.Messages, call), []neutral.Tool{{Name: "f"}}, "none"
		},
		"one tool at a time": func(q *neutral.Request) { q.Tools, q.Parallel = []neutral.Tool{{Name: "f"}}, ptr(false) },
	} {
		if got := (dialect{}).Check(ask(change)); !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if got := (dialect{}).Check(ask(func(q *neutral.Request) { q.FrequencyPenalty, q.Service = ptr(0.0), "auto" })); got != "" {
		t.Error(got)
	}
}

func TestAnAnswerIsReadWithAllThatWasBilled(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		stop   neutral.Stop
		usage  llm.Usage
	}{
		"writes for an hour":            {`"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":2,"cacheReadInputTokens":3,"cacheWriteInputTokens":10,"cacheDetails":[{"inputTokens":4,"ttl":"1h"},{"inputTokens":6,"ttl":"5m"}]}`, neutral.EndTurn, llm.Usage{Input: 1, Output: 2, CacheRead: 3, CacheWrite: 6, CacheWriteLong: 4, Source: llm.Reported}},
		"numbers that cannot be":        {`"stopReason":"guardrail_intervened","usage":{"inputTokens":-1,"outputTokens":2}`, neutral.Filtered, llm.Usage{}},
		"no usage":                      {`"stopReason":"model_context_window_exceeded"`, neutral.ContextFull, llm.Usage{}},
		"a reason that is not known":    {`"stopReason":"tired","usage":{"inputTokens":1,"outputTokens":2}`, neutral.EndTurn, llm.Usage{Input: 1, Output: 2, Source: llm.Reported}},
		"more for an hour than written": {`"stopReason":"content_filtered","usage":{"inputTokens":1,"cacheWriteInputTokens":2,"cacheDetails":[{"inputTokens":9,"ttl":"1h"}]}`, neutral.Filtered, llm.Usage{Input: 1, CacheWriteLong: 2, Source: llm.Reported}},
	} {
		a, err := dialect{}.ReadAnswer([]byte(`{"head":{"model":"m"},"answer":{"output":{"message":{"content":[{"text":"x"},{"video":{}}]}},` + c.answer + `}}`))
		if err != nil || a.Stop != c.stop || a.Usage != c.usage || len(a.Parts) != 1 {
			t.Errorf("%s: %+v %v", name, a, err)
		}
	}
	a, err := dialect{}.ReadAnswer([]byte(`{"answer":{"output":{"message":{"content":[]}},"stopReason":"stop_sequence","serviceTier":{"type":"flex"},"additionalModelResponseFields":{"stop_sequence":"END"}}}`))
	if err != nil || a.Sequence != "END" || a.Service != "flex" || a.Stop != neutral.StopSequence {
		t.Errorf("%+v %v", a, err)
	}
	if a, err := (dialect{}).ReadAnswer([]byte(`{"answer":{"output":{"message":{"content":[]}},"stopReason":"malformed_tool_use","usage":{"inputTokens":7}}}`)); err == nil || a == nil || a.Usage.Input != 7 {
		t.Errorf("what makes no sense is read as %+v", a)
	}
}
