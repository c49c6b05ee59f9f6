package gateway

import (
	"strings"
	"testing"

	"airfield/internal/llm"
)

func TestAResponseIsBoundedLikeAnyOtherCall(t *testing.T) {
	for body, unbounded := range map[string]bool{
		`"tools":[{"type":"function","name":"web_search"},{"type":"custom","name":"x"}]`: false,
		`"tools":[{"type":"function","name":"f"},{"type":"web_search"}]`:                 true,
		`"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]`:              true,
		`"tools":[{"type":"image_generation"}]`:                                          true,
		`"tools":[{"type":"mcp","server_url":"https://x"}]`:                              true,
		`"metadata":{"user_id":"u"},"user":"v"`:                                          false,
	} {
		q, err := decode(llm.Responses, []byte(`{"model":"m","input":"x",`+body+`}`))
		if err != nil || (q.unbounded != "") != unbounded {
			t.Errorf("%s: %q %v", body, q.unbounded, err)
		}
	}
	for body, unbounded := range map[string]bool{
		`"speed":"fast"`: true, `"speed":"standard"`: false, `"speed":null`: false, `"inference_geo":"us"`: true, `"inference_geo":"global"`: false,
		`"tools":[{"type":"bash_20250124","name":"bash"}]`: false, `"tools":[{"type":"web_search_20250305","name":"web_search"}]`: true,
	} {
		q, err := decode(llm.Messages, []byte(`{"model":"m","max_tokens":9,"messages":[],`+body+`}`))
		if err != nil || (q.unbounded != "") != unbounded {
			t.Errorf("%s: %q %v", body, q.unbounded, err)
		}
	}
	d := &deployment{upstream: "m", outputCap: maxCompletionTokens}
	for body, want := range map[string]string{
		`{"model":"m","input":"x"}`:                          `{"model":"m","max_output_tokens":100,"input":"x"}`,
		`{"model":"m","max_output_tokens":null,"input":"x"}`: `{"model":"m","max_output_tokens":100,"input":"x"}`,
		`{"model":"m","max_output_tokens":7,"input":"x"}`:    `{"model":"m","max_output_tokens":7,"input":"x"}`,
		`{"model":"m","input":"x","stream":true}`:            `{"model":"m","max_output_tokens":100,"input":"x","stream":true}`,
	} {
		q, err := decode(llm.Responses, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(q.upstreamBody([]byte(body), d, 100, "")); got != want {
			t.Errorf("%s became %s", body, got)
		}
	}
	for _, part := range []string{`{"type":"item_reference","id":"msg_1"}`, `{"role":"user","content":[{"type":"input_image","image_url":"https://x"}]}`, `{"role":"user","content":[{"type":"input_file","file_url":"https://x"}]}`} {
		body := []byte(`{"model":"m","input":[` + part + `]}`)
		if q, err := decode(llm.Responses, body); err != nil || !q.remote(body) {
			t.Errorf("%s: what it stands for is not in its bytes (%v)", part, err)
		}
	}
	if strings.Contains(string(tornResponse(nil, []byte(`{"error":{"message":"m","code":"c"}}`))), `"error":{`) {
		t.Error("clients of responses look for the message in the event itself")
	}
}
