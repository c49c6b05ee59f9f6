package responses

import (
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

func read(t *testing.T, body string) *neutral.Request {
	t.Helper()
	q, err := Surface{}.ReadRequest([]byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	q.Echo = nil
	return q
}

func said(text string) neutral.Part { return neutral.Part{Kind: neutral.Text, Text: text} }

func TestARequestIsReadWhole(t *testing.T) {
	half, yes := 0.5, true
	got := read(t, `{"model":"m","instructions":"You are brief.","max_output_tokens":64,"temperature":0.5,"top_p":0.5,"stream":true,"parallel_tool_calls":true,"service_tier":"flex",
		"user":"u","safety_identifier":"s","store":false,"metadata":{"a":"b"},"truncation":"disabled","include":["reasoning.encrypted_content"],"reasoning":{"effort":"medium","summary":"auto"},
		"text":{"format":{"type":"json_schema","name":"colour","schema":{"type":"object"},"strict":true},"verbosity":"medium"},
		"tools":[{"type":"function","name":"get_weather","description":"d","parameters":{"type":"object"},"strict":true},{"type":"function","name":"now"}],"tool_choice":{"type":"function","name":"now"},
		"input":[{"role":"developer","content":"Be kind."},{"role":"user","content":[{"type":"input_text","text":"Look."},{"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"},{"type":"input_image","image_url":"https://x/y.png"},{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,AA=="},{"type":"input_file","file_url":"https://x/b.pdf"}]},
			{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"`+seal(&neutral.Part{Kind: neutral.Reasoning, Text: "Hm.", Signature: "c2ln"})+`"},
			{"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"gAAA"},
			{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"I will look.","annotations":[]}]},
			{"type":"function_call","id":"fc_1","call_id":"call_1","name":"get_weather","arguments":"{\"city\":\"Oslo\"}","status":"completed"},
			{"type":"function_call","call_id":"call_2","name":"now","arguments":""},
			{"type":"reasoning","summary":[],"encrypted_content":"`+seal(&neutral.Part{Kind: neutral.ToolCall, ID: "call_2", Signature: "sig2"})+`"},
			{"type":"function_call_output","call_id":"call_1","output":"4 degrees"},
			{"type":"function_call_output","call_id":"call_2","output":[{"type":"input_text","text":"no"},{"type":"input_image","image_url":"https://x/z.png"}],"status":"incomplete"},
			{"role":"user","content":"Thanks."},{"role":"system","content":"Stop."}]}`)
	want := &neutral.Request{
		Model: "m", Stream: true, MaxOutput: 64, Temperature: &half, TopP: &half, Parallel: &yes, Service: "flex", User: "s", Effort: "medium", Summary: true,
		System: []neutral.Part{said("You are brief."), said("Be kind.")},
		Format: &neutral.Format{Name: "colour", Schema: json.RawMessage(`{"type":"object"}`), Strict: true},
		Tools:  []neutral.Tool{{Name: "get_weather", Description: "d", Schema: json.RawMessage(`{"type":"object"}`), Strict: true}, {Name: "now"}},
		Choice: neutral.ToolChoice{Mode: "tool", Name: "now"},
		Messages: []neutral.Message{
			{Role: neutral.User, Parts: []neutral.Part{said("Look."), {Kind: neutral.Image, Media: "image/png", Data: "iVBORw0KGgo=", Detail: "low"}, {Kind: neutral.Image, URL: "https://x/y.png"}, {Kind: neutral.Document, Name: "a.pdf", Media: "application/pdf", Data: "AA=="}, {Kind: neutral.Document, URL: "https://x/b.pdf"}}},
			{Role: neutral.Assistant, Parts: []neutral.Part{{Kind: neutral.Reasoning, ID: "rs_1", Text: "Hm.", Signature: "c2ln"}, said("I will look."), {Kind: neutral.ToolCall, ID: "call_1", Name: "get_weather", Text: `{"city":"Oslo"}`}, {Kind: neutral.ToolCall, ID: "call_2", Name: "now", Text: "{}", Signature: "sig2"}}},
			{Role: neutral.User, Parts: []neutral.Part{{Kind: neutral.ToolResult, ID: "call_1", Name: "get_weather", Parts: []neutral.Part{said("4 degrees")}}, {Kind: neutral.ToolResult, ID: "call_2", Name: "now", Failed: true, Parts: []neutral.Part{said("no"), {Kind: neutral.Image, URL: "https://x/z.png"}}}, said("Thanks.")}},
			{Role: neutral.System, Parts: []neutral.Part{said("Stop.")}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		g, _ := json.MarshalIndent(got, "", " ")
		w, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("%s\nwant %s", g, w)
	}
	if q := read(t, `{"model":"m","input":"Hi","tools":[{"type":"function","name":"a"},{"type":"function","name":"b"}],"tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"b"}]},"text":{"format":{"type":"json_object"}}}`); len(q.Tools) != 1 || q.Tools[0].Name != "b" || q.Choice.Mode != "required" || q.Format == nil || q.Format.Schema != nil || q.Messages[0].Parts[0].Text != "Hi" {
		t.Errorf("%+v", q)
	}
}

func TestWhatOnlyOpenAIKnowsIsNamed(t *testing.T) {
	for body, want := range map[string]string{
		`"tools":[{"type":"web_search"}]`:                      "web_search",
		`"tools":[{"type":"code_interpreter","container":{}}]`: "code_interpreter",
		`"tools":[{"type":"mcp","server_url":"x"}]`:            "mcp",
		`"tools":[{"type":"image_generation"}]`:                "image_generation",
		`"tools":[{"type":"custom","name":"x"}]`:               "custom",
		`"tool_choice":{"type":"web_search_preview"}`:          "web_search_preview",
		`"text":{"verbosity":"low"}`:                           "verbosity",
		`"top_logprobs":3`:                                     "top_logprobs",
		`"truncation":"auto"`:                                  "truncation",
		`"previous_response_id":"resp_1"`:                      "previous_response_id",
		`"prompt":{"id":"p"}`:                                  "prompt",
		`"background":true`:                                    "background",
		`"include":["message.output_text.logprobs"]`:           "logprobs",
		`"input":[{"type":"web_search_call","id":"ws_1"},{"role":"user","content":"x"}]`: "web_search_call",
	} {
		if !strings.Contains(body, `"input"`) {
			body += `,"input":"x"`
		}
		if q := read(t, `{"model":"m",`+body+`}`); len(q.Only) != 1 || !strings.Contains(q.Only[0], want) {
			t.Errorf("%s: %q", body, q.Only)
		}
	}
}

func TestWhatCannotBeReadIsRefusedWithItsField(t *testing.T) {
	for body, field := range map[string]string{
		`{}`:                             "input",
		`{"input":[]}`:                   "input",
		`{"input":7}`:                    "input",
		`{"input":"x","instructions":7}`: "instructions",
		`{"input":[{"role":"robot","content":"x"}]}`:                                                     "input.0.role",
		`{"input":[{"role":"user","content":7}]}`:                                                        "input.0.content",
		`{"input":[{"role":"user","content":[{"type":"input_video"}]}]}`:                                 "input.0.content.0.type",
		`{"input":[{"role":"user","content":[{"type":"input_image","file_id":"file_1"}]}]}`:              "input.0.content.0",
		`{"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png,xx"}]}]}`: "input.0.content.0.image_url",
		`{"input":[{"role":"user","content":[{"type":"input_file","file_id":"file_1"}]}]}`:               "input.0.content.0",
		`{"input":[{"role":"user","content":[{"type":"input_file","file_data":"%%%"}]}]}`:                "input.0.content.0.file_data",
		`{"input":[{"type":"function_call","name":"x"}]}`:                                                "input.0",
		`{"input":[{"type":"function_call_output","output":"x"}]}`:                                       "input.0.call_id",
		`{"input":[{"type":"item_reference","id":"msg_1"}]}`:                                             "input.0",
		`{"input":"x","tools":[{"type":"function"}]}`:                                                    "tools.0.name",
		`{"input":"x","tools":[{"type":"function","name":"x","parameters":[]}]}`:                         "tools.0.parameters",
		`{"input":"x","tools":[{}]}`:                                                                     "tools.0.type",
		`{"input":"x","tool_choice":"maybe"}`:                                                            "tool_choice",
		`{"input":"x","tool_choice":{"type":"function"}}`:                                                "tool_choice.name",
		`{"input":"x","text":{"format":{"type":"json_schema"}}}`:                                         "text.format.schema",
		`{"input":"x","text":{"format":{"type":"xml"}}}`:                                                 "text.format.type",
		`{"input":"x","temperature":"warm"}`:                                                             "temperature",
	} {
		_, err := Surface{}.ReadRequest([]byte(body))
		if f := new(fault.Fault); !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != field {
			t.Errorf("%s: %v at %q", body, err, f.Field)
		}
	}
}

var (
	ids    = regexp.MustCompile(`"(resp|msg|fc|rs)_[0-9a-z]{26}"`)
	answer = neutral.Answer{
		ID: "chatcmpl-1", Model: "gpt-5", Created: time.Unix(1741476542, 0), Stop: neutral.CalledTools, Service: "flex",
		Usage: llm.Usage{Input: 500, CacheRead: 1500, Output: 6, Reasoning: 20, Source: llm.Reported},
		Parts: []neutral.Part{
			{Kind: neutral.Reasoning, Text: "A greeting is due.", Signature: "c2ln"}, said("Hello <you>."), said(" More."), {Kind: neutral.ToolCall, ID: "call_1", Name: "get_weather", Text: `{"city":"Oslo"}`}, {Kind: neutral.Refusal, Text: "No."},
		},
	}
	asking = neutral.Request{Model: "m", Echo: []byte(`{"model":"m","input":"x","temperature":0.5,"metadata":{"k":"v"},"tools":[{"type":"function","name":"get_weather"}],"store":false,"instructions":null}`)}
)

func TestAnAnswerIsACompleteResponse(t *testing.T) {
	b, err := Surface{}.WriteAnswer(&asking, &answer)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"resp","object":"response","created_at":1741476542,"status":"completed","background":false,"error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"model":"gpt-5","output":[` +
		`{"id":"rs","type":"reasoning","status":"completed","summary":[{"type":"summary_text","text":"A greeting is due."}],"encrypted_content":"` + seal(&answer.Parts[0]) + `"},` +
		`{"id":"msg","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Hello <you>."},{"type":"output_text","annotations":[],"logprobs":[],"text":" More."}]},` +
		`{"id":"fc","type":"function_call","status":"completed","call_id":"call_1","name":"get_weather","arguments":"{\"city\":\"Oslo\"}"},` +
		`{"id":"msg","type":"message","status":"completed","role":"assistant","content":[{"type":"refusal","refusal":"No."}]}],` +
		`"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},"safety_identifier":null,"service_tier":"flex","store":false,"temperature":0.5,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[{"type":"function","name":"get_weather"}],"top_p":1,"truncation":"disabled",` +
		`"usage":{"input_tokens":2000,"input_tokens_details":{"cached_tokens":1500},"output_tokens":26,"output_tokens_details":{"reasoning_tokens":20},"total_tokens":2026},"user":null,"metadata":{"k":"v"}}`
	if got := ids.ReplaceAllString(string(b), `"$1"`); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for stop, want := range map[neutral.Stop]string{
		neutral.EndTurn: `"completed","background":false,"error":null,"incomplete_details":null`, neutral.MaxTokens: `"incomplete","background":false,"error":null,"incomplete_details":{"reason":"max_output_tokens"}`,
		neutral.Filtered: `"incomplete","background":false,"error":null,"incomplete_details":{"reason":"content_filter"}`, neutral.Refused: `"completed"`,
	} {
		if b, err := (Surface{}).WriteAnswer(&asking, &neutral.Answer{Stop: stop}); err != nil || !strings.Contains(string(b), `"status":`+want) {
			t.Errorf("%s: %v %s", stop, err, b)
		}
	}
}

// stream tells an answer in events, each text in three pieces.
func stream(a *neutral.Answer, tell func(*neutral.Event)) {
	neutral.Events(a, func(e *neutral.Event) {
		if e.Kind != neutral.Delta || len(e.Part.Text) < 3 {
			tell(e)
			return
		}
		text := e.Part.Text
		for _, piece := range []string{text[:1], text[1:3], text[3:]} {
			one := *e
			if one.Part.Text = piece; piece != text[3:] {
				one.Part.Signature = ""
			}
			tell(&one)
		}
	})
}

func TestALongAnswerIsNotCopiedWithEachOfItsPieces(t *testing.T) {
	const pieces = 50_000
	w := Surface{}.NewWriter(&asking)
	var out []byte
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out = w.Write(out, &neutral.Event{Kind: neutral.Open, Part: neutral.Part{Kind: neutral.Text}})
	for range pieces {
		out = w.Write(out[:0], &neutral.Event{Kind: neutral.Delta, Part: neutral.Part{Text: "word "}})
	}
	out = w.Write(out[:0], &neutral.Event{Kind: neutral.Close})
	runtime.ReadMemStats(&after)
	if !strings.Contains(string(out), strings.Repeat("word ", pieces)) {
		t.Error("it is not whole")
	}
	if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 500 {
		t.Errorf("an answer of 250 kB took %d MB", mb)
	}
}

func TestAnAnswerThatFailsHasWhatWasSaid(t *testing.T) {
	w := Surface{}.NewWriter(&asking)
	w.Write(nil, &neutral.Event{Kind: neutral.Open, Part: neutral.Part{Kind: neutral.Text}})
	w.Write(nil, &neutral.Event{Kind: neutral.Delta, Part: neutral.Part{Text: "Until here"}})
	if out := w.Write(nil, &neutral.Event{Kind: neutral.Failed, Err: &neutral.Error{Message: "overloaded"}}); !strings.Contains(string(out), `"text":"Until here"`) {
		t.Errorf("%s", out)
	}
}

func TestAStreamHasEveryEventAndComesToTheSame(t *testing.T) {
	w := Surface{}.NewWriter(&asking)
	var out []byte
	stream(&answer, func(e *neutral.Event) { out = w.Write(out, e) })
	var kinds []string
	var final map[string]any
	texts, classes := map[string]string{}, map[neutral.Class]int{}
	for raw := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n\n") {
		head, data, _ := strings.Cut(raw, "\ndata: ")
		var e map[string]any
		if json.Unmarshal([]byte(data), &e) != nil || head != "event: "+e["type"].(string) || e["sequence_number"] != float64(len(kinds)) {
			t.Fatalf("event %d: %s", len(kinds), raw)
		}
		classes[Surface{}.Classify([]byte(data))]++
		kinds = append(kinds, strings.TrimPrefix(e["type"].(string), "response."))
		if delta, ok := e["delta"].(string); ok {
			texts[e["item_id"].(string)] += delta
		}
		if r, ok := e["response"].(map[string]any); ok {
			final = r
		}
	}
	want := `created in_progress
		output_item.added reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.delta reasoning_summary_text.delta reasoning_summary_text.done reasoning_summary_part.done output_item.done
		output_item.added content_part.added output_text.delta output_text.delta output_text.delta output_text.done content_part.done
		content_part.added output_text.delta output_text.delta output_text.delta output_text.done content_part.done output_item.done
		output_item.added function_call_arguments.delta function_call_arguments.delta function_call_arguments.delta function_call_arguments.done output_item.done
		output_item.added content_part.added refusal.delta refusal.delta refusal.done content_part.done output_item.done completed`
	want = strings.Join(strings.Fields(want), " ")
	got := strings.Join(kinds, " ")
	if got = strings.Replace(got, "refusal.delta refusal.delta refusal.delta", "refusal.delta refusal.delta", 1); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if classes[neutral.Done] != 1 || classes[neutral.Failure] != 0 {
		t.Errorf("%v", classes)
	}
	whole, err := Surface{}.WriteAnswer(&asking, &answer)
	end, _ := json.Marshal(final)
	var a, b any
	json.Unmarshal([]byte(ids.ReplaceAllString(string(whole), `"$1"`)), &a)
	json.Unmarshal([]byte(ids.ReplaceAllString(string(end), `"$1"`)), &b)
	if err != nil || !reflect.DeepEqual(a, b) {
		t.Errorf("the stream came to\n%s\nwhole it is\n%s", end, whole)
	}
	for _, i := range final["output"].([]any) {
		if item := i.(map[string]any); item["type"] == "function_call" && texts[item["id"].(string)] != item["arguments"] {
			t.Errorf("%v %v", item, texts)
		}
	}
}

func TestPartsThatOverlapLoseNothing(t *testing.T) {
	w := Surface{}.NewWriter(&asking)
	var out []byte
	tell := func(kind neutral.EventKind, index int, p neutral.Part) {
		out = w.Write(out, &neutral.Event{Kind: kind, Index: index, Part: p, Answer: neutral.Answer{Stop: neutral.CalledTools}})
	}
	tell(neutral.Begin, 0, neutral.Part{})
	tell(neutral.Open, 0, neutral.Part{Kind: neutral.Text})
	tell(neutral.Delta, 0, said("I will "))
	tell(neutral.Open, 1, neutral.Part{Kind: neutral.ToolCall, ID: "call_1", Name: "f"})
	tell(neutral.Open, 2, neutral.Part{Kind: neutral.ToolCall, ID: "call_2", Name: "g"})
	tell(neutral.Delta, 1, said(`{"a":`))
	tell(neutral.Delta, 2, neutral.Part{Text: `{}`, Signature: "s"})
	tell(neutral.Delta, 0, said("look."))
	tell(neutral.Delta, 1, said(`1}`))
	tell(neutral.Delta, 7, said("nowhere"))
	tell(neutral.Finish, 0, neutral.Part{})
	events := strings.Split(strings.TrimSpace(string(out)), "\n\n")
	last := events[len(events)-1]
	for _, want := range []string{`"text":"I will look."`, `"arguments":"{\"a\":1}"`, `"name":"g","arguments":"{}"`, `"type":"reasoning"`} {
		if !strings.Contains(last, want) {
			t.Errorf("%s is not in %s", want, last)
		}
	}
	if n := strings.Count(string(out), "event: response.output_item.done"); n != 4 {
		t.Errorf("%d items are done", n)
	}
	// What a provider wants back with a call comes back with it.
	var r struct {
		Response struct{ Output json.RawMessage }
	}
	_, data, _ := strings.Cut(last, "\ndata: ")
	if json.Unmarshal([]byte(data), &r) != nil {
		t.Fatal(last)
	}
	q := read(t, `{"model":"m","input":`+string(r.Response.Output)+`}`)
	if parts := q.Messages[0].Parts; len(parts) != 3 || parts[2].Signature != "s" {
		t.Errorf("%+v", parts)
	}
}

func TestAProvidersErrorIsTold(t *testing.T) {
	w := Surface{}.NewWriter(&asking)
	out := w.Write(nil, &neutral.Event{Kind: neutral.Begin})
	out = w.Write(out, &neutral.Event{Kind: neutral.Failed, Err: &neutral.Error{Type: "overloaded_error", Message: "Slow down."}})
	events := strings.Split(strings.TrimSpace(string(out)), "\n\n")
	_, data, _ := strings.Cut(events[len(events)-1], "\ndata: ")
	if !strings.Contains(data, `"error":{"code":"server_error","message":"Slow down."}`) || (Surface{}).Classify([]byte(data)) != neutral.Failure {
		t.Error(data)
	}
	if got := string((Surface{}).WriteError(&neutral.Error{Status: 429, Type: "rate_limit_error", Code: "c", Message: "Slow down.", Field: "f"})); got != `{"error":{"message":"Slow down.","type":"rate_limit_error","param":"f","code":"c"}}` {
		t.Error(got)
	}
	if got := string((Surface{}).WriteError(&neutral.Error{Status: 500, Message: "x"})); got != `{"error":{"message":"x","type":"server_error","param":null,"code":null}}` {
		t.Error(got)
	}
}

func FuzzReadRequest(f *testing.F) {
	for _, s := range []string{`{"input":"x"}`, string(asking.Echo), `{"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:;base64,"}]},{"type":"reasoning","encrypted_content":"airfield1:e30="},{"type":"function_call","name":"a","call_id":"b"}],"tools":[{"type":"function","name":"a"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"a"}]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := Surface{}.ReadRequest(body)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatal(err)
			}
			return
		}
		if b, err := (Surface{}).WriteAnswer(q, &answer); err != nil || !json.Valid(b) {
			t.Fatalf("%v %s", err, b)
		}
		Surface{}.Classify(body)
	})
}

// Whatever order events come in, the writer bears it, and what it writes are events.
func FuzzWriter(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 2, 0, 3, 3, 0, 0, 4, 0, 0})
	f.Fuzz(func(t *testing.T, steps []byte) {
		w := Surface{}.NewWriter(&asking)
		var out []byte
		for ; len(steps) >= 3; steps = steps[3:] {
			e := &neutral.Event{Kind: neutral.EventKind(steps[0] % 6), Index: int(steps[1]%5) - 1, Part: neutral.Part{Kind: neutral.PartKind(steps[2] % 8), Text: "text"[:steps[2]%5]}, Err: &neutral.Error{}}
			out = w.Write(out, e)
		}
		for raw := range strings.SplitSeq(string(out), "\n\n") {
			if _, data, ok := strings.Cut(raw, "\ndata: "); ok && !json.Valid([]byte(data)) {
				t.Fatal(raw)
			}
		}
	})
}
