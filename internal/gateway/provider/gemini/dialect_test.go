package gemini

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

func text(s string) []neutral.Part { return []neutral.Part{{Kind: neutral.Text, Text: s}} }

func hello(change ...func(*neutral.Request)) *neutral.Request {
	q := &neutral.Request{Model: "gemini-2.5-flash", Messages: []neutral.Message{{Role: neutral.User, Parts: text("Hello")}}}
	for _, f := range change {
		f(q)
	}
	return q
}

func TestWhatGeminiCannotBeAskedForIsNamed(t *testing.T) {
	no, large := false, int64(1)<<40
	for reason, change := range map[string]func(*neutral.Request){
		"":                              func(*neutral.Request) {},
		"logprobs cannot be asked":      func(q *neutral.Request) { q.Only = []string{"logprobs"} },
		"parallel_tool_calls":           func(q *neutral.Request) { q.Parallel, q.Tools = &no, []neutral.Tool{{Name: "f"}} },
		"service tier priority":         func(q *neutral.Request) { q.Service = "priority" },
		"5 stop sequences":              func(q *neutral.Request) { q.Stop = []string{"1", "2", "3", "4", "5", "6"} },
		"seeds of 32 bits":              func(q *neutral.Request) { q.Seed = &large },
		`name "7f"`:                     func(q *neutral.Request) { q.Tools = []neutral.Tool{{Name: "7f"}} },
		"schema of the tool f":          func(q *neutral.Request) { q.Tools = []neutral.Tool{{Name: "f", Schema: json.RawMessage(`[]`)}} },
		"JSON schema of the answer":     func(q *neutral.Request) { q.Format = &neutral.Format{Schema: json.RawMessage(`7`)} },
		"no message besides":            func(q *neutral.Request) { q.Messages[0].Role = neutral.System },
		"named by an id":                func(q *neutral.Request) { q.Messages[0].Parts[0] = neutral.Part{Kind: neutral.Document} },
		`result "x" is of no tool call`: func(q *neutral.Request) { q.Messages[0].Parts[0] = neutral.Part{Kind: neutral.ToolResult, ID: "x"} },
		"not a JSON object": func(q *neutral.Request) {
			q.Messages = append(q.Messages, neutral.Message{Role: neutral.Assistant, Parts: []neutral.Part{{Kind: neutral.ToolCall, ID: "x", Name: "f", Text: "7"}}})
		},
	} {
		if got := (&dialect{}).Check(hello(change)); !strings.Contains(got, reason) || reason == "" && got != "" {
			t.Errorf("%q is not because of %q", got, reason)
		}
	}
}

func written(t *testing.T, d *dialect, q *neutral.Request) request {
	t.Helper()
	b, err := d.WriteRequest(q)
	if err != nil {
		t.Fatal(err)
	}
	var r request
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHowHardToThinkIsSaidAsTheModelKnowsIt(t *testing.T) {
	for _, c := range []struct {
		model, effort string
		tokens        int64
		want          string
	}{
		{"gemini-2.5-flash", "", 0, `null`},
		{"gemini-2.5-flash", "none", 0, `{"thinkingBudget":0}`},
		{"gemini-2.5-pro", "none", 0, `{"thinkingBudget":128}`},
		{"gemini-2.5-flash", "high", 0, `{"includeThoughts":true,"thinkingBudget":24576}`},
		{"gemini-2.5-flash", "", 2048, `{"includeThoughts":true,"thinkingBudget":2048}`},
		{"gemini-3-flash-preview", "minimal", 0, `{"includeThoughts":true,"thinkingLevel":"MINIMAL"}`},
		{"gemini-3.1-pro-preview", "none", 0, `{"thinkingLevel":"LOW"}`},
		{"gemini-flash-latest", "low", 0, `{"includeThoughts":true,"thinkingLevel":"LOW"}`},
		{"gemini-2.0-flash", "high", 0, `null`},
		{"gemma-3-27b-it", "high", 0, `null`},
		{"publishers/google/models/gemini-3-pro", "xhigh", 0, `{"includeThoughts":true,"thinkingLevel":"HIGH"}`},
	} {
		r := written(t, &dialect{}, hello(func(q *neutral.Request) { q.Model, q.Effort, q.Thinking = c.model, c.effort, c.tokens }))
		got := "null"
		if r.Config != nil {
			b, _ := json.Marshal(r.Config.Thinking)
			got = string(b)
		}
		if got != c.want {
			t.Errorf("%s, %q, %d tokens: %s, not %s", c.model, c.effort, c.tokens, got, c.want)
		}
	}
}

// looped is a conversation with two calls at once.
func looped(model, signature string) *neutral.Request {
	return hello(func(q *neutral.Request) {
		q.Model = model
		q.Messages = append(q.Messages, neutral.Message{Role: neutral.Assistant, Parts: []neutral.Part{
			{Kind: neutral.Reasoning, Text: "Look.", Signature: "of another provider"},
			{Kind: neutral.ToolCall, ID: "a", Name: "f", Text: `{"x":1}`, Signature: signature}, {Kind: neutral.ToolCall, ID: "b", Name: "g"},
		}}, neutral.Message{Role: neutral.User, Parts: []neutral.Part{
			{Kind: neutral.ToolResult, ID: "a", Parts: []neutral.Part{{Kind: neutral.Text, Text: "1"}, {Kind: neutral.Image, Media: "image/png", Data: "iVBO"}}},
			{Kind: neutral.ToolResult, ID: "b", Parts: text("2")},
		}})
	})
}

func TestASignatureComesBackWithItsCall(t *testing.T) {
	for _, c := range []struct{ model, signature, want string }{
		{"gemini-3-flash-preview", "c2ln", "c2ln"},
		{"gemini-3-flash-preview", "", unsigned},
		{"gemini-3-flash-preview", "not base64!", unsigned},
		{"gemini-2.5-flash", "c2ln", "c2ln"},
		{"gemini-2.5-flash", "", ""},
	} {
		r := written(t, &dialect{}, looped(c.model, c.signature))
		calls := r.Contents[1].Parts
		if len(calls) != 2 || calls[0].Signature != c.want || calls[1].Signature != "" || string(calls[1].Call.Args) != "{}" {
			t.Errorf("%s with %q: %+v", c.model, c.signature, calls)
		}
		results := r.Contents[2].Parts
		inside := len(results[0].Result.Parts)
		if want := c.model == "gemini-3-flash-preview"; (inside == 1) != want || (len(results) == 3) == want || results[0].Result.Name != "f" {
			t.Errorf("%s: results %+v", c.model, results)
		}
	}
}

func TestVertexAIIsToldNoIds(t *testing.T) {
	b, err := (&dialect{vertex: true}).WriteRequest(looped("gemini-3-flash-preview", ""))
	if err != nil || strings.Contains(string(b), `"id"`) {
		t.Fatal(string(b), err)
	}
}

func TestToolsAreChosenAsAsked(t *testing.T) {
	for _, c := range []struct {
		mode, want string
		strict     bool
	}{
		{"", "", false}, {"", "VALIDATED", true}, {"auto", "AUTO", false}, {"auto", "VALIDATED", true}, {"none", "NONE", true}, {"required", "ANY", false}, {"tool", "ANY f", false},
	} {
		r := written(t, &dialect{}, hello(func(q *neutral.Request) {
			q.Tools, q.Choice = []neutral.Tool{{Name: "f", Strict: c.strict}}, neutral.ToolChoice{Mode: c.mode, Name: "f"}
		}))
		got := ""
		if r.ToolConfig != nil {
			got = strings.TrimSpace(r.ToolConfig.Calling.Mode + " " + strings.Join(r.ToolConfig.Calling.Allowed, " "))
		}
		if got != c.want {
			t.Errorf("%q, strict %v: %q", c.mode, c.strict, got)
		}
	}
}

func TestFilesAndTurnsAreSaid(t *testing.T) {
	r := written(t, &dialect{}, hello(func(q *neutral.Request) {
		q.Messages = append(q.Messages, neutral.Message{Role: neutral.System, Parts: text("Be kind.")}, neutral.Message{Role: neutral.User, Parts: []neutral.Part{
			{Kind: neutral.Image, URL: "https://pictures.example/a.png?x=1"}, {Kind: neutral.Document, Data: "JVBE"}, {Kind: neutral.Document, Text: "in words"},
		}})
	}))
	if len(r.Contents) != 1 || len(r.Contents[0].Parts) != 4 || *r.System.Parts[0].Text != "Be kind." {
		t.Fatalf("%+v", r)
	}
	p := r.Contents[0].Parts
	if p[1].File.Media != "image/png" || p[2].Inline.Media != "application/pdf" || *p[3].Text != "in words" {
		t.Errorf("%+v", p)
	}
}

func TestWhyAnAnswerEndedIsRead(t *testing.T) {
	for finish, want := range map[string]neutral.Stop{
		"STOP": neutral.EndTurn, "MAX_TOKENS": neutral.MaxTokens, "SAFETY": neutral.Filtered, "RECITATION": neutral.Filtered, "BLOCKLIST": neutral.Filtered,
		"PROHIBITED_CONTENT": neutral.Filtered, "SPII": neutral.Filtered, "MALFORMED_FUNCTION_CALL": "", "OTHER": "", "UNEXPECTED_TOOL_CALL": "", "": "", "NEW": "",
	} {
		a, err := (&dialect{}).ReadAnswer([]byte(`{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"` + finish + `","finishMessage":"why"}]}`))
		if (want == "") != (err != nil) || err == nil && a.Stop != want {
			t.Errorf("%s: %+v %v", finish, a, err)
		}
	}
	a, err := (&dialect{}).ReadAnswer([]byte(`{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":7}}`))
	if err != nil || a.Stop != neutral.Filtered || len(a.Parts) != 0 || a.Usage.Input != 7 {
		t.Errorf("%+v %v", a, err)
	}
}

func TestUsageIsReadWithoutCountingTwice(t *testing.T) {
	for text, want := range map[string]llm.Usage{
		`{"promptTokenCount":100,"cachedContentTokenCount":40,"candidatesTokenCount":5,"thoughtsTokenCount":7,"toolUsePromptTokenCount":9}`: {Input: 69, CacheRead: 40, Output: 5, Reasoning: 7, Source: llm.Reported},
		`{"promptTokenCount":10,"cachedContentTokenCount":99}`:                                                                              {CacheRead: 10, Source: llm.Reported},
		`{"promptTokenCount":10,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":8},{"modality":"TEXT","tokenCount":2}]}`:            {Input: 2, AudioInput: 8, Source: llm.Reported},
		`{"promptTokenCount":0,"candidatesTokenCount":5}`:                                                                                   {},
		`{"promptTokenCount":10,"thoughtsTokenCount":-5}`:                                                                                   {},
		`{"promptTokenCount":9000000000000}`:                                                                                                {},
		`{"promptTokenCount":1,"promptTokensDetails":null}`:                                                                                 {Input: 1, Source: llm.Reported},
	} {
		var u usage
		var got llm.Usage
		if err := json.Unmarshal([]byte(text), &u); err != nil {
			t.Fatal(err)
		}
		if u.read(&got); got != want {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestRefusalsAreRead(t *testing.T) {
	late := readRefusal([]byte(`[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Slow down.","details":[{"@type":"x"},{"retryDelay":"7.5s"}]}}]`))
	if e := late.neutral(429); late.retryIn() != 7500*time.Millisecond || e.Message != "Slow down." || e.Code != "RESOURCE_EXHAUSTED" || late.badKey() {
		t.Errorf("%+v", e)
	}
	if p := readRefusal([]byte(`{"error":{"details":[{"reason":"API_KEY_INVALID"},{"retryDelay":"99999h"}]}}`)); !p.badKey() || p.retryIn() != 0 {
		t.Errorf("%+v", p)
	}
}

func TestACallThatMakesNoSenseIsBilled(t *testing.T) {
	a, err := (&dialect{}).ReadAnswer([]byte(`{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}],"usageMetadata":{"promptTokenCount":100,"thoughtsTokenCount":900}}`))
	if err == nil || a == nil || a.Usage.Input != 100 || a.Usage.Reasoning != 900 {
		t.Errorf("%+v %v", a, err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"candidates":[{"content":{"parts":[{"text":"x","thought":true},{"functionCall":{"name":"f"}},{"text":""},{"inlineData":{}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3}}`), []byte(`{"error":{"code":1e9}}`))
	f.Add([]byte(`{"promptFeedback":{"blockReason":"x"}}`), []byte(`null`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		d := &dialect{}
		d.ReadError(500, first)
		d.ReadAnswer(second)
		r, opened, over := d.NewReader(), 0, false
		emit := func(e *neutral.Event) {
			if over {
				t.Fatal("something comes after the end")
			}
			switch e.Kind {
			case neutral.Open:
				if e.Index != opened {
					t.Fatal("parts are not in order")
				}
				opened++
			case neutral.Delta, neutral.Close:
				if e.Index < 0 || e.Index >= opened {
					t.Fatal("a part that is not there")
				}
			case neutral.Finish, neutral.Failed:
				over = true
				u := e.Answer.Usage
				if min(u.Input, u.CacheRead, u.Output, u.Reasoning, u.AudioInput, u.AudioOutput) < 0 || u.Total() > 5*neutral.MostTokens {
					t.Fatalf("%+v", u)
				}
			}
		}
		for _, data := range [][]byte{first, second, first} {
			if r.Read(data, emit) != nil {
				return
			}
		}
		r.End(emit)
	})
}
