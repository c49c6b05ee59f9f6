package app

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"airfield/internal/batch"
	"airfield/internal/caller"
	"airfield/internal/llm"
)

// A line that asks for a response is the door's response: kept and continued here, with its searches made here. What belongs
// to another workflow is not continued, and the provider is told of nobody's responses.
func TestALineOfABatchIsAResponseLikeAtTheDoor(t *testing.T) {
	t.Setenv("UP_KEY", "secret")
	var asked []map[string]any
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q map[string]any
		b, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(b, &q); err != nil {
			t.Error(err)
		}
		asked = append(asked, q)
		w.Header().Set("Content-Type", "application/json")
		if tools, _ := q["tools"].([]any); len(tools) > 0 && !strings.Contains(string(b), "function_call_output") {
			io.WriteString(w, `{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"function_call","id":"fc_1","call_id":"call_1","name":"airfield_file_search","arguments":"{\"queries\":[\"notice period\"]}","status":"completed"}],"usage":{"input_tokens":10,"output_tokens":2,"total_tokens":12}}`)
			return
		}
		io.WriteString(w, `{"id":"resp_2","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Thirty days 【1】.","annotations":[]}]}],"usage":{"input_tokens":10,"output_tokens":2,"total_tokens":12}}`)
	}))
	t.Cleanup(provider.Close)
	o := newOffice(t, "providers: {up: {kind: openai, base_url: "+provider.URL+"/v1, surfaces: [responses], api_key: env:UP_KEY}}\nmodels: {chat: {deployments: [{provider: up, model: m, prices: {input: 1, output: 1}}]}}\n")
	calls := batchCalls{o.parts.gateway, o.parts.response}
	who := &caller.Caller{Role: caller.Workflow, KeyID: "key_1", Workflow: "pilot", BusinessUnit: "sales", Clearance: caller.Internal, Collections: []string{"handbook"}}
	line := func(who *caller.Caller, body string) (batch.Answer, map[string]any) {
		t.Helper()
		a := calls.Make(caller.With(t.Context(), who), batch.Call{Surface: llm.Responses, Body: []byte(body)})
		var read map[string]any
		if a.Err == nil && json.Unmarshal(a.Body, &read) != nil {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return a, read
	}
	a, first := line(who, `{"model":"chat","input":"How long is the notice?","tools":[{"type":"file_search","vector_store_ids":["handbook"]}]}`)
	if a.Err != nil || a.Status != 200 || !a.Priced || a.Cost != 24_000 || a.CallID == "" || len(asked) != 2 {
		t.Fatalf("%+v %v: %d calls", a, a.Err, len(asked))
	}
	if text := string(a.Body); !strings.Contains(text, `"filename":"leave.md"`) || strings.Contains(text, "airfield_file_search") {
		t.Errorf("no citation, or our function: %s", text)
	}
	id, _ := first["id"].(string)
	next := `{"model":"chat","input":"And then?","previous_response_id":"` + id + `"}`
	if a, _ = line(who, next); a.Err != nil || a.Status != 200 || len(asked) != 3 || len(asked[2]["input"].([]any)) != 3 {
		t.Errorf("a line that continues it: %+v %v, %v", a, a.Err, asked[2:])
	}
	other := *who
	other.Workflow = "other"
	if a, _ = line(&other, next); a.Err == nil || len(asked) != 3 {
		t.Errorf("another workflow continues it: %+v", a)
	}
	for _, q := range asked {
		if _, told := q["previous_response_id"]; told || q["store"] != false {
			t.Errorf("the provider was asked to keep it, or to continue: %v", q)
		}
	}
}
