package response

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"airfield/internal/fault"
)

// script writes events as a provider does.
type script struct {
	b strings.Builder
	n int
}

func (s *script) say(kind, more string) *script {
	fmt.Fprintf(&s.b, "event: %s\ndata: {\"type\":%q,\"sequence_number\":%d%s}\n\n", kind, kind, s.n, more)
	s.n++
	return s
}

// end adds what the gateway says of the call, and the last event.
func (s *script) end(kind, response string) string {
	s.b.WriteString(": airfield {\"call_id\":\"call_1\"}\n\n")
	s.say(kind, `,"response":`+response)
	return s.b.String()
}

func opened() *script {
	s := &script{}
	begun := `,"response":` + strings.Replace(says(), `"completed"`, `"in_progress"`, 1)
	return s.say("response.created", begun).say("response.in_progress", begun)
}

// text streams a message in pieces.
func (s *script) text(output int, id, text string, pieces ...string) *script {
	at := fmt.Sprintf(`,"item_id":%q,"output_index":%d,"content_index":0`, id, output)
	s.say("response.output_item.added", fmt.Sprintf(`,"output_index":%d,"item":{"id":%q,"type":"message","status":"in_progress","role":"assistant","content":[]}`, output, id))
	s.say("response.content_part.added", at+`,"part":{"type":"output_text","text":"","annotations":[]}`)
	for _, p := range pieces {
		s.say("response.output_text.delta", at+`,"delta":`+string(must(p)))
	}
	s.say("response.output_text.done", at+`,"text":`+string(must(text)))
	s.say("response.content_part.done", at+`,"part":{"type":"output_text","text":`+string(must(text))+`,"annotations":[]}`)
	return s.say("response.output_item.done", fmt.Sprintf(`,"output_index":%d,"item":`, output)+message(id, text))
}

func (s *script) call(output int, callID, name, arguments string) *script {
	at := fmt.Sprintf(`,"item_id":"fc_%s","output_index":%d`, callID, output)
	s.say("response.output_item.added", fmt.Sprintf(`,"output_index":%d,"item":{"id":"fc_%s","type":"function_call","status":"in_progress","call_id":%q,"name":%q,"arguments":""}`, output, callID, callID, name))
	s.say("response.function_call_arguments.delta", at+`,"delta":`+string(must(arguments)))
	s.say("response.function_call_arguments.done", at+`,"arguments":`+string(must(arguments)))
	return s.say("response.output_item.done", fmt.Sprintf(`,"output_index":%d,"item":`, output)+function(callID, name, arguments))
}

func streamed(id, text string) string {
	return opened().text(0, id, text, text[:2], text[2:]).end("response.completed", says(message(id, text)))
}

// events reads what a caller got.
func events(t *testing.T, body string) (list []map[string]any) {
	t.Helper()
	for raw := range strings.SplitSeq(strings.TrimSpace(body), "\n\n") {
		if strings.HasPrefix(raw, ":") {
			continue
		}
		kind, data, ok := strings.Cut(strings.TrimPrefix(raw, "event: "), "\ndata: ")
		var o map[string]any
		if !ok || json.Unmarshal([]byte(data), &o) != nil || o["type"] != kind {
			t.Fatalf("no event: %s", raw)
		}
		if o["sequence_number"] != float64(len(list)) {
			t.Errorf("event %d has the number %v", len(list), o["sequence_number"])
		}
		list = append(list, o)
	}
	return list
}

func TestAStreamIsKeptBeforeItsLastByte(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.answers = []string{streamed("msg_1", "Hello."), says(message("msg_2", "b"))}
		var id string
		w := &watched{ResponseRecorder: httptest.NewRecorder(), on: func(b string) {
			if !strings.Contains(b, "response.completed") {
				return
			}
			id = events(t, b[strings.Index(b, "event: response.completed"):])[0]["response"].(map[string]any)["id"].(string)
			if _, err := s.Get(bot, id); err != nil {
				t.Errorf("it is not kept when it is told: %v", err)
			}
		}}
		w.skipNumbers = true
		if err := s.Create(bot, []byte(`{"model":"m","input":"Hi","stream":true}`), 0, s.send, w); err != nil {
			t.Fatal(err)
		}
		list := events(t, w.Body.String())
		for _, e := range list {
			if r, ok := e["response"].(map[string]any); ok && (r["id"] != id || r["store"] != true || r["created_at"] != 1741476542.0) {
				t.Errorf("%v", r)
			}
		}
		if !strings.Contains(w.Body.String(), ": airfield {") || s.asked[0]["stream"] != true || len(list) != 10 {
			t.Errorf("%s", w.Body)
		}
		s.must(bot, `{"model":"m","input":"x","previous_response_id":"`+id+`"}`)
		if !strings.Contains(asJSON(s.asked[1]["input"]), "Hello.") {
			t.Errorf("%v", s.asked[1])
		}
	})
}

// watched sees what a caller is given, as it is given.
type watched struct {
	*httptest.ResponseRecorder
	on          func(string)
	skipNumbers bool
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.ResponseRecorder.Write(b)
	if i := strings.Index(string(b), `"sequence_number":`); w.skipNumbers && i >= 0 {
		end := i + strings.IndexAny(string(b[i:]), ",}")
		b = []byte(string(b[:i]) + `"sequence_number":0` + string(b[end:]))
	}
	w.on(string(b))
	return n, err
}

func TestASearchIsToldInTheStream(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.search.found = papers
		s.answers = []string{
			opened().text(0, "msg_0", "I look.", "I ", "look.").call(1, "call_a", "airfield_file_search", `{"queries":["notice"]}`).
				end("response.completed", says(message("msg_0", "I look."), function("call_a", "airfield_file_search", `{"queries":["notice"]}`))),
			opened().text(0, "msg_1", "Six months 【1】 and 40 【2】!", "Six mon", "ths ", "【", "1", "】 and 4", "0 【2】", "!").end("response.completed", says(message("msg_1", "Six months 【1】 and 40 【2】!"))),
		}
		_, w, err := s.create(bot, `{"model":"m","input":"x","stream":true,"include":["file_search_call.results"],`+tool+`}`)
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		text := ""
		var notes []any
		for _, e := range events(t, w.Body.String()) {
			kind := strings.TrimPrefix(e["type"].(string), "response.")
			if len(kinds) == 0 || kinds[len(kinds)-1] != kind || kind != "output_text.delta" { // how many pieces does not matter
				kinds = append(kinds, kind)
			}
			switch kind {
			case "output_text.delta":
				text += e["delta"].(string)
			case "output_text.annotation.added":
				notes = append(notes, e["annotation"])
			case "output_text.done":
				if got := e["text"].(string); !strings.HasSuffix(text, got) {
					t.Errorf("%q is not the end of %q", got, text)
				}
			}
			if item, ok := e["item"].(map[string]any); ok {
				if want := map[any]float64{"message": 0, "file_search_call": 1}[item["type"]]; item["id"] != "msg_1" && e["output_index"] != want || item["id"] == "msg_1" && e["output_index"] != 2.0 {
					t.Errorf("%v", e)
				}
			}
		}
		want := "created in_progress output_item.added content_part.added output_text.delta output_text.done content_part.done output_item.done " +
			"output_item.added file_search_call.in_progress file_search_call.searching file_search_call.completed output_item.done " +
			"output_item.added content_part.added output_text.delta output_text.annotation.added output_text.delta output_text.annotation.added output_text.delta output_text.done content_part.done output_item.done completed"
		if got := strings.Join(kinds, " "); got != want {
			t.Errorf("%s", got)
		}
		all := events(t, w.Body.String())
		final := all[len(all)-1]["response"].(map[string]any)
		if text != "I look.Six months and 40!" || outputText(final) != text || len(notes) != 2 || len(final["output"].([]any)) != 3 {
			t.Errorf("%q %v %v", text, notes, final)
		}
		last := final["output"].([]any)[2].(map[string]any)["content"].([]any)[0].(map[string]any)
		if asJSON(last["annotations"]) != asJSON(notes) || final["usage"].(map[string]any)["input_tokens"] != 20.0 {
			t.Errorf("%v, told %v", last, notes)
		}
		kept, err := s.Get(bot, final["id"].(string))
		if err != nil || strings.Contains(string(kept), "The fee is 40") {
			t.Errorf("%v %s", err, kept)
		}
	})
}

func TestWhatBreaksOffIsNotKept(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		torn := strings.Split(streamed("msg_1", "Hello."), ": airfield")[0]
		call := opened().call(0, "call_a", "airfield_file_search", `{"queries":["x"]}`).end("response.completed", says(function("call_a", "airfield_file_search", `{"queries":["x"]}`)))
		failed := opened().end("response.failed", strings.Replace(says(), `"completed"`, `"failed"`, 1))
		for name, answers := range map[string][]string{
			"torn":                   {torn + "event: error\ndata: {\"type\":\"error\",\"sequence_number\":8,\"message\":\"broke\"}\n\n"},
			"failed":                 {failed},
			"failed after a search":  {call, "fault: away"},
			"refused after a search": {call, `400:{"error":{"message":"no"}}`},
		} {
			s.asked, s.answers = nil, answers
			_, w, err := s.create(bot, `{"model":"m","input":"x","stream":true,`+tool+`}`)
			list := events(t, w.Body.String())
			if last := list[len(list)-1]["type"]; err != nil || last != "error" && last != "response.failed" {
				t.Errorf("%s: %v %v", name, err, last)
			}
		}
		// The caller leaves.
		s.asked, s.answers = nil, []string{streamed("msg_1", "Hello.")}
		if err := s.Create(bot, []byte(`{"model":"m","input":"x","stream":true}`), 0, s.send, &leaving{ResponseRecorder: httptest.NewRecorder()}); err != nil {
			t.Error(err)
		}
		var n int
		if err := s.DB.QueryRow(bot, "SELECT COUNT(*) FROM responses").Scan(&n); err != nil || n != 0 {
			t.Errorf("%d are kept: %v", n, err)
		}
		// One that was cut by the caller's own bound is whole.
		cut := strings.Replace(says(message("msg_1", "Hel")), `"completed"`, `"incomplete"`, 1)
		s.asked, s.answers = nil, []string{opened().text(0, "msg_1", "Hel", "Hel").end("response.incomplete", cut)}
		_, w, err := s.create(bot, `{"model":"m","input":"x","stream":true}`)
		list := events(t, w.Body.String())
		if err != nil || list[len(list)-1]["type"] != "response.incomplete" {
			t.Errorf("%v %s", err, w.Body)
		}
		if kept, err := s.Get(bot, list[0]["response"].(map[string]any)["id"].(string)); err != nil || !strings.Contains(string(kept), `"incomplete"`) {
			t.Errorf("%v %s", err, kept)
		}
	})
}

// leaving is a caller who is gone after the first bytes.
type leaving struct {
	*httptest.ResponseRecorder
	wrote int
}

func (l *leaving) Write(b []byte) (int, error) {
	if l.wrote++; l.wrote > 2 {
		return 0, errors.New("gone")
	}
	return l.ResponseRecorder.Write(b)
}

func TestAllCallsAreUnderTheCallersTime(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.answers = []string{says(function("call_a", "airfield_file_search", `{"queries":["x"]}`)), says(message("msg_1", "a"))}
		w := httptest.NewRecorder()
		if err := s.Create(bot, []byte(`{"model":"m","input":"x",`+tool+`}`), time.Minute, s.send, w); err != nil || len(s.left) != 2 || s.left[0] > time.Minute || s.left[1] >= s.left[0] {
			t.Errorf("%v %v", err, s.left)
		}
		slow := func(ctx context.Context, body []byte, epochs string, left time.Duration, w http.ResponseWriter) error {
			<-ctx.Done()
			return ctx.Err()
		}
		if err := s.Create(bot, []byte(`{"model":"m","input":"x",`+tool+`}`), 20*time.Millisecond, slow, httptest.NewRecorder()); !fault.Is(err, fault.Timeout) {
			t.Error(err)
		}
	})
}
