package neutral_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"airfield/internal/fault"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/neutral/chat"
	"airfield/internal/gateway/neutral/messages"
	"airfield/internal/gateway/neutral/responses"
	"airfield/internal/gateway/sse"
	"airfield/internal/llm"
)

// tell reads a request from one surface and writes it in a dialect.
func tell(t *testing.T, from neutral.Surface, to neutral.Dialect, body string) (string, string) {
	t.Helper()
	q, err := from.ReadRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if reason := to.Check(q); reason != "" {
		return "", reason
	}
	b, err := to.WriteRequest(q)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), ""
}

func same(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

func TestAChatRequestIsToldAsMessages(t *testing.T) {
	const hi = `"messages":[{"role":"user","content":"hi"}]`
	const told = `"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]`
	for name, c := range map[string]struct{ in, out string }{
		"instructions, wherever they stand": {
			`{"model":"m","max_tokens":9,"messages":[{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b"}]},{"role":"user","content":"hi"},{"role":"system","content":"c"}]}`,
			`{"model":"m","max_tokens":9,"system":"a\n\nb\n\nc",` + told + `}`},
		"defaults that mean nothing": {
			`{"model":"m","max_completion_tokens":9,"n":1,"logprobs":false,"frequency_penalty":0,"presence_penalty":0.0,"logit_bias":{},"store":true,"metadata":{"a":"b"},"response_format":{"type":"text"},"seed":null,"stream_options":{"include_usage":true},` + hi + `}`,
			`{"model":"m","max_tokens":9,` + told + `}`},
		"sampling, stops, user and tier": {
			`{"model":"m","max_tokens":9,"temperature":0.2,"top_p":0.9,"top_k":40,"stop":"END","user":"u1","service_tier":"default","stream":true,` + hi + `}`,
			`{"model":"m","max_tokens":9,"temperature":0.2,"top_p":0.9,"top_k":40,"stop_sequences":["END"],"metadata":{"user_id":"u1"},"service_tier":"standard_only","stream":true,` + told + `}`},
		"tools, one at a time": {
			`{"model":"m","max_tokens":9,"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true},"cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"function","function":{"name":"g"}}],"parallel_tool_calls":false,"tool_choice":{"type":"function","function":{"name":"f"}},` + hi + `}`,
			`{"model":"m","max_tokens":9,"tools":[{"name":"f","description":"d","input_schema":{"type":"object"},"strict":true,"cache_control":{"type":"ephemeral","ttl":"1h"}},{"name":"g","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},` + told + `}`},
		"results join the turn that follows": {
			`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":""}},{"id":"b","type":"function","function":{"name":"f","arguments":"{\"x\":"}}]},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"2"}]},{"role":"user","content":"go on"}]}`,
			`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}},{"type":"tool_use","id":"b","name":"f","input":{"INVALID_JSON":"{\"x\":"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"1"}]},{"type":"tool_result","tool_use_id":"b","content":[{"type":"text","text":"2"}]},{"type":"text","text":"go on"}]}]}`},
		"pictures, documents and what is to be cached": {
			`{"model":"m","max_tokens":9,"messages":[{"role":"system","content":[{"type":"text","text":"long","cache_control":{"type":"ephemeral"}}]},{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,BB=="}}]}]}`,
			`{"model":"m","max_tokens":9,"system":[{"type":"text","text":"long","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://x/y.png"}},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},{"type":"document","title":"a.pdf","source":{"type":"base64","media_type":"application/pdf","data":"BB=="}}]}]}`},
		"a schema and an effort, of a newer model": {
			`{"model":"claude-opus-4-6","max_tokens":9000,"reasoning_effort":"minimal","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}},` + hi + `}`,
			`{"model":"claude-opus-4-6","max_tokens":9000,"thinking":{"type":"adaptive"},"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object"}}},` + told + `}`},
		"no thinking, of a newer model": {
			`{"model":"claude-opus-4-6","max_tokens":9,"reasoning_effort":"none",` + hi + `}`,
			`{"model":"claude-opus-4-6","max_tokens":9,"thinking":{"type":"disabled"},` + told + `}`},
		"an effort within the caller's bound, of an older model": {
			`{"model":"claude-sonnet-4-5","max_tokens":4000,"reasoning_effort":"high",` + hi + `}`,
			`{"model":"claude-sonnet-4-5","max_tokens":4000,"thinking":{"type":"enabled","budget_tokens":3000},` + told + `}`},
		"no room to think": {
			`{"model":"claude-sonnet-4-5","max_tokens":1000,"reasoning_effort":"high",` + hi + `}`,
			`{"model":"claude-sonnet-4-5","max_tokens":1000,` + told + `}`},
		"a tool loop whose thoughts came back goes on thinking": {
			`{"model":"claude-sonnet-4-5","max_tokens":4000,"reasoning_effort":"low","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"","reasoning_content":"Hm.","reasoning_details":[{"type":"reasoning.text","text":"H","index":0},{"type":"reasoning.text","text":"m.","signature":"s","index":0},{"type":"reasoning.encrypted","data":"zz","index":1}],"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"1"}]}`,
			`{"model":"claude-sonnet-4-5","max_tokens":4000,"thinking":{"type":"enabled","budget_tokens":2048},"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"s"},{"type":"redacted_thinking","data":"zz"},{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"1"}]}]}]}`},
		"one whose thoughts were lost does not": {
			`{"model":"claude-sonnet-4-5","max_tokens":4000,"reasoning_effort":"low","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"reasoning_content":"Hm.","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"1"}]}`,
			`{"model":"claude-sonnet-4-5","max_tokens":4000,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"1"}]}]}]}`},
		"the next question after it does again": {
			`{"model":"claude-sonnet-4-5","max_tokens":4000,"reasoning_effort":"low","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"It is. "},{"role":"user","content":"and?"}]}`,
			`{"model":"claude-sonnet-4-5","max_tokens":4000,"thinking":{"type":"enabled","budget_tokens":2048},"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":[{"type":"text","text":"It is. "}]},{"role":"user","content":[{"type":"text","text":"and?"}]}]}`},
	} {
		if got, reason := tell(t, chat.Surface{}, messages.Dialect{}, c.in); !same(got, c.out) {
			t.Errorf("%s: %s\n%s, not\n%s", name, reason, got, c.out)
		}
	}
}

func TestMessagesAreToldAsAChatRequest(t *testing.T) {
	const hi = `"messages":[{"role":"user","content":"hi"}]`
	for name, c := range map[string]struct{ in, out string }{
		"everything plain": {
			`{"model":"m","max_tokens":9,"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}],"temperature":1,"top_k":5,"stop_sequences":["END"],"stream":true,"metadata":{"user_id":"u1"},"service_tier":"auto",` + hi + `}`,
			`{"model":"m","max_tokens":9,"messages":[{"role":"system","content":"a"},{"role":"user","content":"hi"}],"temperature":1,"top_k":5,"stop":["END"],"stream":true,"stream_options":{"include_usage":true},"user":"u1","service_tier":"auto"}`},
		"tools": {
			`{"model":"m","max_tokens":9,"tools":[{"name":"f","description":"d","input_schema":{"type":"object"},"strict":true},{"type":"custom","name":"g","input_schema":{"type":"object"}}],"tool_choice":{"type":"any","disable_parallel_tool_use":true},` + hi + `}`,
			`{"model":"m","max_tokens":9,"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},{"type":"function","function":{"name":"g","parameters":{"type":"object"}}}],"tool_choice":"required","parallel_tool_calls":false,` + hi + `}`},
		"a tool loop: results, one with a picture, then the user's words": {
			`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"s"},{"type":"text","text":"I look."},{"type":"tool_use","id":"a","name":"f","input":{"x":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","is_error":true,"content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}]},{"type":"text","text":"well?"}]}]}`,
			`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"I look.","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},{"role":"tool","tool_call_id":"a","content":"The result follows in the next message."},{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},{"type":"text","text":"well?"}]}]}`},
		"thoughts of one who does not sign go back to it": {
			`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":""},{"type":"text","text":"Yes."}]},{"role":"user","content":"and?"}]}`,
			`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"Yes.","reasoning_content":"Hm."},{"role":"user","content":"and?"}]}`},
		"a schema, by its old name, and thinking": {
			`{"model":"m","max_tokens":9,"thinking":{"type":"enabled","budget_tokens":10000},"output_format":{"type":"json_schema","schema":{"type":"object"}},` + hi + `}`,
			`{"model":"m","max_tokens":9,"reasoning_effort":"medium","response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"type":"object"}}},` + hi + `}`},
		"documents": {
			`{"model":"m","max_tokens":9,"output_config":{"effort":"max"},"messages":[{"role":"user","content":[{"type":"document","title":"a.pdf","source":{"type":"base64","media_type":"application/pdf","data":"BB=="}},{"type":"document","title":"T","context":"mine","source":{"type":"text","media_type":"text/plain","data":"words"}}]}]}`,
			`{"model":"m","max_tokens":9,"reasoning_effort":"xhigh","messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,BB=="}},{"type":"text","text":"mine"},{"type":"text","text":"T\n\nwords"}]}]}`},
	} {
		if got, reason := tell(t, messages.Surface{}, chat.Dialect{}, c.in); !same(got, c.out) {
			t.Errorf("%s: %s\n%s, not\n%s", name, reason, got, c.out)
		}
	}
}

func TestIdsOfAnotherModelsCallsAreToldAsIdsThatAreTaken(t *testing.T) {
	const turns = `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"functions.f:0","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"functions.f.0","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"call_1-a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"functions.f:0","content":"a"},{"role":"tool","tool_call_id":"functions.f.0","content":"b"},{"role":"tool","tool_call_id":"call_1-a","content":"c"}]}`
	got, reason := tell(t, chat.Surface{}, messages.Dialect{}, turns)
	var q struct {
		Messages []struct {
			Content []struct {
				ID  string `json:"id"`
				For string `json:"tool_use_id"`
			}
		}
	}
	if err := json.Unmarshal([]byte(got), &q); err != nil || reason != "" || len(q.Messages) != 3 {
		t.Fatal(got, reason, err)
	}
	taken, seen := regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`), map[string]bool{}
	for i, c := range q.Messages[1].Content {
		if !taken.MatchString(c.ID) || seen[c.ID] || q.Messages[2].Content[i].For != c.ID {
			t.Errorf("%q is answered by %q", c.ID, q.Messages[2].Content[i].For)
		}
		seen[c.ID] = true
	}
	if !seen["call_1-a"] {
		t.Error("an id that is taken is left as it is")
	}
}

func TestALongUserIsToldAsOneThatIsTaken(t *testing.T) {
	user := func(id string) string {
		got, reason := tell(t, messages.Surface{}, chat.Dialect{}, `{"model":"m","max_tokens":9,"metadata":{"user_id":"`+id+`"},"messages":[{"role":"user","content":"hi"}]}`)
		var q struct{ User string }
		if err := json.Unmarshal([]byte(got), &q); err != nil || reason != "" {
			t.Fatal(got, reason)
		}
		return q.User
	}
	long := "user_" + strings.Repeat("a", 64) + "_account__session_1"
	if got := user(long); len(got) > 64 || got == "" || got != user(long) || got == user(long+"2") {
		t.Errorf("OpenAI takes 64 characters: %q", got)
	}
	if got := user("u1"); got != "u1" {
		t.Error(got)
	}
}

func TestPlainThoughtsComeBackThroughResponses(t *testing.T) {
	for _, field := range []string{"reasoning_content", "reasoning"} {
		whole := `{"id":"c","choices":[{"message":{"role":"assistant","content":null,"` + field + `":"Hm <é>.","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`
		a, err := chat.Dialect{}.ReadAnswer([]byte(whole))
		if err != nil {
			t.Fatal(err)
		}
		said, err := responses.Surface{}.WriteAnswer(&neutral.Request{Echo: []byte(`{}`)}, a)
		var streamed neutral.Collect
		r := chat.Dialect{}.NewReader()
		for _, chunk := range []string{`{"id":"c","choices":[{"index":0,"delta":{"` + field + `":"Hm "}}]}`, `{"id":"c","choices":[{"index":0,"delta":{"` + field + `":"<é>."},"finish_reason":"stop"}]}`, "[DONE]"} {
			if err := r.Read([]byte(chunk), streamed.Add); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(a.Parts[0], streamed.Answer.Parts[0]) {
			t.Errorf("whole %+v, streamed %+v", a.Parts[0], streamed.Answer.Parts[0])
		}
		var output struct{ Output []json.RawMessage }
		if json.Unmarshal(said, &output) != nil || err != nil || !strings.Contains(string(said), `"encrypted_content":"`+responses.SealPrefix) {
			t.Fatalf("an item without encrypted_content cannot be sent again: %s %v", said, err)
		}
		items, _ := json.Marshal(append(output.Output, json.RawMessage(`{"type":"function_call_output","call_id":"a","output":"1"}`)))
		got, reason := tell(t, responses.Surface{}, chat.Dialect{}, `{"model":"m","input":`+string(items)+`}`)
		if !strings.Contains(got, `"`+field+`":"Hm <é>."`) || reason != "" {
			t.Errorf("DeepSeek's models refuse a tool's result without the thoughts before the call: %s %s", got, reason)
		}
	}
}

func TestWhatCannotBeToldIsNamed(t *testing.T) {
	const hi = `"messages":[{"role":"user","content":"hi"}]`
	for in, want := range map[string]string{
		`{"n":2,` + hi + `}`:                                               "n, which only its own API knows",
		`{"logprobs":true,` + hi + `}`:                                     "logprobs",
		`{"logit_bias":{"5":1},` + hi + `}`:                                "logit_bias",
		`{"guided_regex":"a+",` + hi + `}`:                                 "guided_regex",
		`{"functions":[],` + hi + `}`:                                      "functions",
		`{"modalities":["text","audio"],` + hi + `}`:                       "modalities",
		`{"tools":[{"type":"custom","custom":{"name":"f"}}],` + hi + `}`:   "a tool of type custom",
		`{"seed":1,` + hi + `}`:                                            "seed",
		`{"presence_penalty":0.5,` + hi + `}`:                              "presence_penalty",
		`{"temperature":1.5,` + hi + `}`:                                   "between 0 and 1",
		`{"response_format":{"type":"json_object"},` + hi + `}`:            "by a schema",
		`{"service_tier":"flex",` + hi + `}`:                               "flex",
		`{"stop":[" "],` + hi + `}`:                                        "white space",
		`{"reasoning_effort":"low","temperature":0,` + hi + `}`:            "temperature 1",
		`{"model":"claude-3-5-haiku","reasoning_effort":"low",` + hi + `}`: "does not think",
		`{"reasoning_effort":"low","tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required",` + hi + `}`:                      "do not think where a tool must be called",
		`{"messages":[{"role":"system","content":"hi"}]}`:                                                                                           "a message of the user",
		`{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]}]}`:                            "no audio",
		`{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}]}`:                                                    "a file by its id",
		`{"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.docx","file_data":"data:application/msword;base64,AA=="}}]}]}`: "application/msword",
	} {
		if _, reason := tell(t, chat.Surface{}, messages.Dialect{}, in); !strings.Contains(reason, want) {
			t.Errorf("%s: %q", in, reason)
		}
	}
	for in, want := range map[string]string{
		`{"tools":[{"type":"web_search_20250305","name":"web_search"}],` + hi + `}`:                          "the tool web_search_20250305",
		`{"mcp_servers":[],` + hi + `}`:                                                                      "mcp_servers",
		`{"speed":"fast",` + hi + `}`:                                                                        "speed fast",
		`{"messages":[{"role":"user","content":[{"type":"search_result"}]}]}`:                                "a block of type search_result",
		`{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}]}`: "a source of type file",
		`{"messages":[{"role":"user","content":[{"type":"document","citations":{"enabled":true},"source":{"type":"text","media_type":"text/plain","data":"x"}}]}]}`: "citations",
		`{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"url","url":"https://x/a.pdf"}}]}]}`:                                            "not its address",
	} {
		if _, reason := tell(t, messages.Surface{}, chat.Dialect{}, in); !strings.Contains(reason, want) {
			t.Errorf("%s: %q", in, reason)
		}
	}
}

func TestARequestThatCannotBeReadSaysWhere(t *testing.T) {
	for in, field := range map[string]string{
		`[]`:              "",
		`{}`:              "messages",
		`{"messages":{}}`: "messages",
		`{"messages":[{"role":"king","content":""}]}`:                                                              "messages[0].role",
		`{"messages":[{"role":"user","content":7}]}`:                                                               "messages[0].content",
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]}]}`: "messages[0].content[0].image_url.url",
		`{"messages":[{"role":"tool","content":"x"}]}`:                                                             "messages[0].tool_call_id",
		`{"messages":[],"temperature":"hot"}`:                                                                      "temperature",
		`{"messages":[],"max_tokens":-1}`:                                                                          "max_tokens",
		`{"messages":[],"tool_choice":"all"}`:                                                                      "tool_choice",
		`{"messages":[],"stop":7}`:                                                                                 "stop",
		`{"messages":[],"tools":[{"type":"function"}]}`:                                                            "tools[0].function.name",
	} {
		_, err := chat.Surface{}.ReadRequest([]byte(in))
		if f := fault.As(err); err == nil || f.Kind != fault.Invalid || f.Field != field {
			t.Errorf("chat %s: %v at %q, not %q", in, err, f.Field, field)
		}
	}
	for in, field := range map[string]string{
		`{"messages":[{"role":"king","content":""}]}`:                                                           "messages[0].role",
		`{"messages":[{"role":"user"}]}`:                                                                        "messages[0].content",
		`{"messages":[{"role":"user","content":[{"text":"x"}]}]}`:                                               "messages[0].content[0].type",
		`{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"file:///x"}}]}]}`: "messages[0].content[0].source.url",
		`{"messages":[{"role":"user","content":[{"type":"tool_result"}]}]}`:                                     "messages[0].content[0].tool_use_id",
		`{"messages":[],"tool_choice":{"type":"all"}}`:                                                          "tool_choice.type",
		`{"messages":[],"system":7}`:                                                                            "system",
	} {
		_, err := messages.Surface{}.ReadRequest([]byte(in))
		if f := fault.As(err); err == nil || f.Kind != fault.Invalid || f.Field != field {
			t.Errorf("messages %s: %v at %q, not %q", in, err, f.Field, field)
		}
	}
}

// everything is an answer with every kind of part.
func everything() *neutral.Answer {
	return &neutral.Answer{
		ID: "a1", Model: "m", Stop: neutral.CalledTools, Service: "priority",
		Parts: []neutral.Part{
			{Kind: neutral.Reasoning, Text: "Hm.", Signature: "s"}, {Kind: neutral.Reasoning, Data: "zz"}, {Kind: neutral.Text, Text: "I look \"up\".\n<b>"},
			{Kind: neutral.ToolCall, ID: "c1", Name: "f", Text: `{"x":1}`}, {Kind: neutral.ToolCall, ID: "c2", Name: "g", Text: "{}"},
		},
		Usage: llm.Usage{Input: 30, CacheRead: 20, CacheWrite: 20, CacheWriteLong: 30, Output: 5, Reasoning: 3, Source: llm.Reported},
	}
}

type api struct {
	caller   neutral.Surface
	provider neutral.Dialect
}

var apis = map[string]api{"chat": {chat.Surface{}, chat.Dialect{}}, "messages": {messages.Surface{}, messages.Dialect{}}}

// read takes a stream of an API apart and returns what it comes to.
func read(d neutral.Dialect, stream []byte) (*neutral.Collect, error) {
	events, reader, all := sse.NewReader(), d.NewReader(), &neutral.Collect{}
	events.Reset(bytes.NewReader(stream))
	for {
		err := events.Fill()
		for {
			e, ok := events.Next()
			if !ok {
				break
			}
			if e.Data == nil {
				continue
			}
			if wrong := reader.Read(e.Data, all.Add); wrong != nil {
				return all, wrong
			}
		}
		events.Ready()
		if err != nil {
			reader.End(all.Add)
			return all, nil
		}
	}
}

// write makes a stream of an answer.
func write(s neutral.Surface, a *neutral.Answer) (b []byte) {
	w := s.NewWriter(&neutral.Request{})
	neutral.Events(a, func(e *neutral.Event) { b = w.Write(b, e) })
	return b
}

func TestAnAnswerIsTheSameInEveryAPI(t *testing.T) {
	for name, it := range apis {
		want := everything()
		b, err := it.caller.WriteAnswer(&neutral.Request{}, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := it.provider.ReadAnswer(b)
		if err != nil {
			t.Fatal(err)
		}
		if got.Created = want.Created; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v\nis not %+v\nin %s", name, got, want, b)
		}
		streamed, err := read(it.provider, write(it.caller, want))
		if err != nil || !streamed.Done {
			t.Fatalf("%s: %v %+v", name, err, streamed)
		}
		a := streamed.Answer
		for i := range a.Parts {
			a.Parts[i].Citations = nil
		}
		if a.Created = want.Created; !reflect.DeepEqual(&a, want) {
			t.Errorf("%s as a stream: %+v\nis not %+v\nin %s", name, a, want, write(it.caller, want))
		}
	}
}

func TestEveryEndIsToldAsOneThatTheOtherKnows(t *testing.T) {
	for stop, want := range map[neutral.Stop][2]string{
		neutral.EndTurn: {"stop", "end_turn"}, neutral.MaxTokens: {"length", "max_tokens"}, neutral.CalledTools: {"tool_calls", "tool_use"},
		neutral.StopSequence: {"stop", "stop_sequence"}, neutral.Filtered: {"content_filter", "refusal"}, neutral.Refused: {"content_filter", "refusal"},
		neutral.Paused: {"stop", "pause_turn"}, neutral.ContextFull: {"length", "model_context_window_exceeded"},
	} {
		for i, name := range []string{"chat", "messages"} {
			a := &neutral.Answer{Parts: []neutral.Part{{Kind: neutral.Text, Text: "x"}}, Stop: stop}
			b, err := apis[name].caller.WriteAnswer(nil, a)
			if err != nil || !bytes.Contains(b, []byte(`"`+want[i]+`"`)) {
				t.Errorf("%s: %s is %s", name, stop, b)
			}
			if s := write(apis[name].caller, a); !bytes.Contains(s, []byte(`"`+want[i]+`"`)) {
				t.Errorf("%s: %s is %s as a stream", name, stop, s)
			}
		}
	}
	said := &neutral.Answer{Parts: []neutral.Part{{Kind: neutral.Refusal, Text: "I will not."}}, Stop: neutral.Refused}
	b, _ := chat.Surface{}.WriteAnswer(nil, said)
	if !bytes.Contains(b, []byte(`"refusal":"I will not."`)) || !bytes.Contains(b, []byte(`"finish_reason":"stop"`)) || !bytes.Contains(b, []byte(`"content":null`)) {
		t.Errorf("%s", b)
	}
	b, _ = messages.Surface{}.WriteAnswer(nil, said)
	if !bytes.Contains(b, []byte(`"explanation":"I will not."`)) || !bytes.Contains(b, []byte(`"stop_reason":"refusal"`)) {
		t.Errorf("%s", b)
	}
}

func TestMessagesTellOneBlockAfterTheOther(t *testing.T) {
	w, b := messages.Surface{}.NewWriter(nil), []byte(nil)
	for _, e := range []neutral.Event{
		{Kind: neutral.Begin}, {Kind: neutral.Open, Index: 0, Part: neutral.Part{Kind: neutral.ToolCall, ID: "a", Name: "f"}},
		{Kind: neutral.Open, Index: 1, Part: neutral.Part{Kind: neutral.ToolCall, ID: "b", Name: "g"}},
		{Kind: neutral.Delta, Index: 1, Part: neutral.Part{Text: `{"y"`}}, {Kind: neutral.Delta, Index: 0, Part: neutral.Part{Text: `{"x":1}`}},
		{Kind: neutral.Delta, Index: 1, Part: neutral.Part{Text: `:2}`}}, {Kind: neutral.Close, Index: 1}, {Kind: neutral.Close, Index: 0},
		{Kind: neutral.Finish, Answer: neutral.Answer{Stop: neutral.CalledTools}},
	} {
		b = w.Write(b, &e)
	}
	var kinds []string
	for line := range strings.Lines(string(b)) {
		if kind, ok := strings.CutPrefix(strings.TrimSpace(line), "event: "); ok {
			kinds = append(kinds, kind)
		}
	}
	want := "message_start ping content_block_start content_block_delta content_block_stop content_block_start content_block_delta content_block_stop message_delta message_stop"
	if strings.Join(kinds, " ") != want {
		t.Fatal(kinds)
	}
	all, err := read(messages.Dialect{}, b)
	if err != nil || len(all.Answer.Parts) != 2 || all.Answer.Parts[0].Text != `{"x":1}` || all.Answer.Parts[1].Text != `{"y":2}` {
		t.Fatalf("%v %+v", err, all.Answer)
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},{"role":"assistant","content":"b","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{"}}]},{"role":"tool","tool_call_id":"1","content":"c"}],"tools":[{"name":"f","input_schema":{}}]}`))
	f.Add([]byte(`{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"x","content":[{"type":"tool_result","tool_use_id":"y"}]}]}],"thinking":{"type":"adaptive"},"stop":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for from, s := range apis {
			q, err := s.caller.ReadRequest(body)
			if err != nil {
				if fault.As(err).Kind != fault.Invalid {
					t.Fatalf("%s: %v", from, err)
				}
				continue
			}
			for to, other := range apis {
				d := other.provider
				if d.Check(q) != "" {
					continue
				}
				b, err := d.WriteRequest(q)
				if err == nil && !json.Valid(b) {
					t.Fatalf("%s to %s: %s", from, to, b)
				}
			}
		}
	})
}

func FuzzStreams(f *testing.F) {
	for _, it := range apis {
		b := write(it.caller, everything())
		f.Add(b)
		f.Add(b[:len(b)/2])
		f.Add(b[:len(b)-20])
	}
	f.Add([]byte("data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":7}]}}],\"usage\":{\"prompt_tokens\":-1}}\n\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		for from, it := range apis {
			for to, other := range apis {
				d, s := it.provider, other.caller
				w, out, done, ended := s.NewWriter(nil), []byte(nil), false, false
				reader, events := d.NewReader(), sse.NewReader()
				events.Reset(bytes.NewReader(stream))
				emit := func(e *neutral.Event) {
					if ended {
						t.Fatalf("%s: something follows the end", from)
					}
					if u := e.Answer.Usage; min(u.Input, u.CacheRead, u.CacheWrite, u.CacheWriteLong, u.AudioInput, u.Output, u.Reasoning, u.AudioOutput) < 0 {
						t.Fatalf("%s: %+v", from, u)
					}
					done = done || e.Kind == neutral.Finish
					ended = e.Kind == neutral.Finish || e.Kind == neutral.Failed
					out = w.Write(out, e)
				}
				for err := error(nil); err == nil; {
					err = events.Fill()
					for e, ok := events.Next(); ok; e, ok = events.Next() {
						if e.Data != nil && !e.Part && !e.Unended && reader.Read(e.Data, emit) != nil {
							err = sseBroken
							break
						}
					}
					if events.Ready(); err != nil && err != sseBroken {
						reader.End(emit)
					}
				}
				events.Reset(bytes.NewReader(out))
				clean := false
				for err := error(nil); err == nil; {
					err = events.Fill()
					for e, ok := events.Next(); ok; e, ok = events.Next() {
						if e.Data != nil {
							clean = clean || s.Classify(e.Data) == neutral.Done
						}
					}
					events.Ready()
				}
				if clean != done {
					t.Fatalf("%s to %s: ended %v, told %v: %s", from, to, done, clean, out)
				}
			}
		}
		for _, it := range apis {
			d := it.provider
			if a, err := d.ReadAnswer(stream); err == nil && a.Usage.Output < 0 {
				t.Fatal(a.Usage)
			}
			if e := d.ReadError(500, stream); e.Message == "" {
				t.Fatal("an error without a word")
			}
		}
	})
}

var sseBroken = fault.New(fault.Upstream, "broken", "broken off")
