package response

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/telemetry"
)

// stage is a service with a model that says what a test has written down.
type stage struct {
	*Service
	t       *testing.T
	answers []string // whole responses, or streams, or errors: one for each call
	asked   []map[string]any
	epochs  []string
	search  *documents
	left    []time.Duration
}

func each(t *testing.T, fn func(t *testing.T, s *stage)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := &stage{t: t, search: &documents{}}
		s.Service = New(Default(), Parts{DB: d, Searcher: s.search, Keeps: func(workflow string) bool { return workflow != "silent" }, Tracer: telemetry.NewTracer(nil), Log: slog.New(slog.DiscardHandler)})
		fn(t, s)
	})
}

// documents are what file_search finds.
type documents struct {
	found   []Source
	queries []Query
	err     error
}

func (d *documents) Search(ctx context.Context, q Query) ([]Source, error) {
	d.queries = append(d.queries, q)
	if d.err != nil {
		return nil, d.err
	}
	return d.found, ctx.Err()
}

func (d *documents) Epochs(_ context.Context, names []string) (string, error) {
	if slices.Contains(names, "nowhere") {
		return "", fault.New(fault.NotFound, "collection_not_found", "there is no collection %q", "nowhere")
	}
	return strings.Join(names, "+") + ":1", nil
}

// send is the gateway: it answers as the next of the answers says.
func (s *stage) send(_ context.Context, body []byte, epochs string, left time.Duration, w http.ResponseWriter) error {
	var q map[string]any
	if err := json.Unmarshal(body, &q); err != nil {
		s.t.Fatalf("%v: %s", err, body)
	}
	s.asked, s.epochs, s.left = append(s.asked, q), append(s.epochs, epochs), append(s.left, left)
	if len(s.asked) > len(s.answers) {
		s.t.Fatalf("call %d was not foreseen: %s", len(s.asked), body)
	}
	answer := s.answers[len(s.asked)-1]
	h := w.Header()
	h.Set("X-Airfield-Call-Id", fmt.Sprint("call_", len(s.asked)))
	switch {
	case strings.HasPrefix(answer, "fault:"):
		return fault.New(fault.Unavailable, "all_down", "%s", answer)
	case strings.HasPrefix(answer, "400:"):
		h.Set("Content-Type", "application/json")
		w.WriteHeader(400)
		w.Write([]byte(answer[4:]))
	case strings.HasPrefix(answer, "event:"):
		h.Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		for _, piece := range []string{answer[:len(answer)/2], answer[len(answer)/2:]} {
			if _, err := w.Write([]byte(piece)); err != nil {
				return nil
			}
		}
	default:
		h.Set("Content-Type", "application/json")
		h.Set("X-Airfield-Cost-Usd", "0.25")
		w.WriteHeader(200)
		w.Write([]byte(answer))
	}
	return nil
}

func as(workflow string, clearance caller.Tier) context.Context {
	return caller.With(context.Background(), &caller.Caller{KeyID: "key_1", Role: caller.Workflow, Workflow: workflow, Environment: "test", Clearance: clearance})
}

var bot = as("bot", caller.Internal)

// create makes a response and returns what came.
func (s *stage) create(ctx context.Context, body string) (map[string]any, *httptest.ResponseRecorder, error) {
	w := httptest.NewRecorder()
	if err := s.Create(ctx, []byte(body), 0, s.send, w); err != nil {
		return nil, w, err
	}
	var o map[string]any
	json.Unmarshal(w.Body.Bytes(), &o) // a stream is none
	return o, w, nil
}

func (s *stage) must(ctx context.Context, body string) map[string]any {
	s.t.Helper()
	o, w, err := s.create(ctx, body)
	if err != nil || w.Code != 200 {
		s.t.Fatalf("%s: %d %v %s", body, w.Code, err, w.Body)
	}
	return o
}

// says is a response with the items, as a provider writes it.
func says(items ...string) string {
	return `{"id":"resp_theirs","object":"response","created_at":1741476542,"status":"completed","error":null,"incomplete_details":null,"model":"m-1","output":[` + strings.Join(items, ",") +
		`],"previous_response_id":null,"store":false,"tools":[],"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":15}}`
}

func message(id, text string) string {
	return `{"id":"` + id + `","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":` + string(must(text)) + `,"annotations":[],"logprobs":[]}]}`
}

func function(callID, name, arguments string) string {
	return `{"id":"fc_` + callID + `","type":"function_call","status":"completed","call_id":"` + callID + `","name":"` + name + `","arguments":` + string(must(arguments)) + `}`
}

func asJSON(v any) string { return string(must(v)) }

func TestAResponseIsKeptAndContinuedWhoeverServesIt(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.answers = []string{says(`{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"abc"}`, message("msg_1", "Hello <you>.")), says(message("msg_2", "Again.")), says(message("msg_3", "And again."))}
		first := s.must(bot, `{"model":"m","input":"Hi","metadata":{"k":"v"}}`)
		id := first["id"].(string)
		if !strings.HasPrefix(id, "resp_") || id == "resp_theirs" || first["store"] != true || first["previous_response_id"] != nil {
			t.Fatalf("%v", first)
		}
		if q := asJSON(s.asked[0]); q != `{"include":["reasoning.encrypted_content"],"input":[{"content":[{"text":"Hi","type":"input_text"}],"role":"user","type":"message"}],"metadata":{"k":"v"},"model":"m","store":false}` {
			t.Errorf("sent %s", q)
		}
		second := s.must(bot, `{"model":"m","previous_response_id":"`+id+`","input":[{"role":"user","content":"More"}]}`)
		want := `[{"content":[{"text":"Hi","type":"input_text"}],"role":"user","type":"message"},{"encrypted_content":"abc","id":"rs_1","summary":[],"type":"reasoning"},` +
			`{"content":[{"annotations":[],"text":"Hello <you>.","type":"output_text"}],"role":"assistant","type":"message"},{"content":"More","role":"user"}]`
		if got := asJSON(s.asked[1]["input"]); got != want {
			t.Errorf("sent %s\nwant %s", got, want)
		}
		if _, told := s.asked[1]["previous_response_id"]; told || second["previous_response_id"] != id {
			t.Errorf("%v %v", s.asked[1], second)
		}
		kept, err := s.Get(bot, second["id"].(string))
		if err != nil || asJSON(second) != asJSON(json.RawMessage(asJSON(decoded(t, kept)))) {
			t.Errorf("%v\n%s\n%s", err, asJSON(second), kept)
		}
		s.must(bot, `{"model":"m","previous_response_id":"`+second["id"].(string)+`","input":"x"}`)
		if n := len(s.asked[2]["input"].([]any)); n != 6 {
			t.Errorf("%d items: %v", n, s.asked[2]["input"])
		}
	})
}

func decoded(t *testing.T, b []byte) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return v
}

func TestWhatIsNotToBeKeptGoesOnAsItCame(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.answers = []string{says(message("msg_1", "a")), says(message("msg_1", "b"))}
		body := `{"store": false,  "model":"m","input":"Hi"}`
		var sent []byte
		w := httptest.NewRecorder()
		err := s.Create(bot, []byte(body), time.Second, func(_ context.Context, body []byte, _ string, left time.Duration, w http.ResponseWriter) error {
			sent = body
			w.Write([]byte("anything"))
			if left != time.Second {
				t.Error(left)
			}
			return nil
		}, w)
		if err != nil || string(sent) != body || w.Body.String() != "anything" {
			t.Errorf("%v %s %s", err, sent, w.Body)
		}
		// A workflow that keeps none: the provider is told so, and the caller sees it.
		silent := as("silent", caller.Internal)
		o := s.must(silent, `{"model":"m","input":"Hi","store":true}`)
		if s.asked[0]["store"] != false || o["store"] != false {
			t.Errorf("%v %v", s.asked[0], o)
		}
		if _, err := s.Get(silent, o["id"].(string)); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if _, _, err := s.create(silent, `{"model":"m","input":"Hi","previous_response_id":"`+o["id"].(string)+`"}`); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "keeps no responses") {
			t.Error(err)
		}
		s.config.Keep = 0
		if o := s.must(bot, `{"model":"m","input":"Hi"}`); o["store"] != false {
			t.Errorf("%v", o)
		}
		// What is wrong with a body that is no object, the gateway says.
		s.Create(bot, []byte(`not JSON`), 0, func(_ context.Context, body []byte, _ string, _ time.Duration, _ http.ResponseWriter) error {
			sent = body
			return nil
		}, w)
		if string(sent) != "not JSON" {
			t.Errorf("%s", sent)
		}
	})
}

func TestNobodyElseReadsContinuesOrDeletesAResponse(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.answers = []string{says(message("msg_1", "secret"))}
		id := s.must(as("bot", caller.Confidential), `{"model":"m","input":"Hi"}`)["id"].(string)
		elsewhere := caller.With(context.Background(), &caller.Caller{KeyID: "key_1", Role: caller.Workflow, Workflow: "bot", Environment: "prod", Clearance: caller.Restricted})
		operator := caller.With(context.Background(), &caller.Caller{KeyID: "key_9", Role: caller.Admin, Environment: "test", Clearance: caller.Restricted})
		for name, ctx := range map[string]context.Context{"another workflow": as("other", caller.Restricted), "less clearance": as("bot", caller.Internal), "another environment": elsewhere, "an administrator": operator, "nobody": context.Background()} {
			denied := func(err error) bool { return fault.Is(err, fault.NotFound) || fault.Is(err, fault.Unauthenticated) }
			_, get := s.Get(ctx, id)
			_, items := s.InputItems(ctx, id, Page{Limit: 5})
			_, _, use := s.create(ctx, `{"model":"m","input":"x","previous_response_id":"`+id+`"}`)
			_, _, refer := s.create(ctx, `{"model":"m","input":[{"type":"item_reference","id":"msg_1"}]}`)
			for what, err := range map[string]error{"get": get, "items": items, "continue": use, "refer": refer, "cancel": s.Cancel(ctx, id), "delete": s.Delete(ctx, id)} {
				if !denied(err) {
					t.Errorf("%s may %s: %v", name, what, err)
				}
			}
		}
		if _, err := s.Get(as("bot", caller.Restricted), id); err != nil {
			t.Error(err)
		}
		if len(s.asked) != 1 {
			t.Errorf("%d calls were made", len(s.asked))
		}
	})
}

func TestADeletedResponseIsGoneAndBreaksTheConversation(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.answers = []string{says(message("msg_1", "a")), says(message("msg_2", "b")), says(message("msg_3", "c"))}
		one := s.must(bot, `{"model":"m","input":"1"}`)["id"].(string)
		two := s.must(bot, `{"model":"m","input":"2","previous_response_id":"`+one+`"}`)["id"].(string)
		if err := s.Delete(bot, one); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(bot, one); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if _, _, err := s.create(bot, `{"model":"m","input":"x","previous_response_id":"`+one+`"}`); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if _, _, err := s.create(bot, `{"model":"m","input":"x","previous_response_id":"`+two+`"}`); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), one) {
			t.Error(err)
		}
		if _, _, err := s.create(bot, `{"model":"m","input":[{"type":"item_reference","id":"msg_1"}]}`); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if _, err := s.Get(bot, two); err != nil {
			t.Error(err)
		}
		// What is left can be referred to, and its items are sent.
		s.must(bot, `{"model":"m","store":false,"input":[{"type":"item_reference","id":"msg_2"},{"role":"user","content":"x"}]}`)
		if got := asJSON(s.asked[2]["input"]); !strings.Contains(got, `"text":"b"`) || strings.Contains(got, "item_reference") {
			t.Error(got)
		}
	})
}

func TestWhatIsContinuedIsKeptForLonger(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.answers = []string{says(message("msg_1", "a")), says(message("msg_2", "b")), says(message("msg_3", "c"))}
		one := s.must(bot, `{"model":"m","input":"1"}`)["id"].(string)
		old := s.must(bot, `{"model":"m","input":"other"}`)["id"].(string)
		for _, id := range []string{one, old} { // both a month ago
			if _, err := s.DB.Exec(bot, "UPDATE responses SET used_at = ?, created_at = ? WHERE id = ?", db.Micros(time.Now().Add(-31*24*time.Hour)), 1, id); err != nil {
				t.Fatal(err)
			}
		}
		two := s.must(bot, `{"model":"m","input":"2","previous_response_id":"`+one+`"}`)["id"].(string)
		if n, err := s.Sweep(bot, time.Now(), s.config.Keep); err != nil || n != 1 {
			t.Errorf("%d %v", n, err)
		}
		for id, want := range map[string]bool{one: true, two: true, old: false} {
			if _, err := s.Get(bot, id); (err == nil) != want {
				t.Errorf("%s: %v", id, err)
			}
		}
		if n, err := s.Sweep(bot, time.Now().Add(time.Second), 0); err != nil || n != 2 {
			t.Errorf("%d %v", n, err)
		}
		var left int
		if err := s.DB.QueryRow(bot, "SELECT COUNT(*) FROM response_items").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d items are left: %v", left, err)
		}
	})
}

func TestConversationsAreBounded(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.answers = []string{says(message("msg_1", "a")), says(message("msg_2", "b"))}
		s.config.MaxTurns, s.config.MaxBytes = 2, 600
		one := s.must(bot, `{"model":"m","input":"1"}`)["id"].(string)
		if _, _, err := s.create(bot, `{"model":"m","input":"`+strings.Repeat("x", 500)+`","previous_response_id":"`+one+`"}`); !fault.Is(err, fault.TooLarge) {
			t.Error(err)
		}
		two := s.must(bot, `{"model":"m","input":"2","previous_response_id":"`+one+`"}`)["id"].(string)
		if _, _, err := s.create(bot, `{"model":"m","input":"3","previous_response_id":"`+two+`"}`); !fault.Is(err, fault.TooLarge) || !strings.Contains(err.Error(), "2 responses") {
			t.Error(err)
		}
		// A first request of any size is answered; what could not be continued is not kept.
		s.answers = append(s.answers, says(message("msg_3", "c")))
		if o := s.must(bot, `{"model":"m","input":"`+strings.Repeat("x", 700)+`"}`); o["store"] != false {
			t.Errorf("%v", o)
		}
		many := strings.Repeat(`{"type":"item_reference","id":"msg_1"},`, 300)
		s.config.MaxBytes = 1 << 20
		if _, _, err := s.create(bot, `{"model":"m","input":[`+many[:len(many)-1]+`]}`); !fault.Is(err, fault.TooLarge) {
			t.Error(err)
		}
	})
}

func TestWhatIsNotOfferedIsRefusedWithItsReason(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		for body, code := range map[string]string{
			`{"model":"m","input":"x","background":true}`:                                                              "background_unsupported",
			`{"model":"m","input":"x","conversation":"conv_1"}`:                                                        "conversation_unsupported",
			`{"model":"m","input":"x","previous_response_id":7}`:                                                       "invalid_field",
			`{"model":"m","input":"x","previous_response_id":"resp_nowhere"}`:                                          "previous_response_not_found",
			`{"model":"m","input":"x","store":"yes"}`:                                                                  "invalid_field",
			`{"model":"m","input":7}`:                                                                                  "invalid_field",
			`{"model":"m","input":["x"]}`:                                                                              "invalid_field",
			`{"model":"m","input":"x","tools":[{"type":"file_search"}]}`:                                               "invalid_field",
			`{"model":"m","input":"x","tools":[{"type":"file_search","vector_store_ids":["a"],"max_num_results":99}]}`: "invalid_field",
			`{"model":"m","input":"x","tools":[{"type":"file_search","vector_store_ids":["nowhere"]}]}`:                "collection_not_found",
		} {
			_, _, err := s.create(bot, body)
			if f := new(fault.Fault); !errors.As(err, &f) || f.Code != code {
				t.Errorf("%s: %v", body, err)
			}
		}
		if len(s.asked) != 0 {
			t.Errorf("%v", s.asked)
		}
	})
}

func TestAModelWithoutEncryptedThoughtsIsAskedOnceMoreWithoutThem(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.answers = []string{`400:{"error":{"message":"Encrypted content is not supported with this model.","type":"invalid_request_error","param":"include","code":null}}`,
			says(message("msg_1", "a")), says(message("msg_2", "b")), `400:{"error":{"message":"max_tokens is too large."}}`}
		s.must(bot, `{"model":"m","input":"1"}`)
		s.must(bot, `{"model":"m","input":"1"}`)
		for i, want := range []bool{true, false, false} {
			if _, has := s.asked[i]["include"]; has != want {
				t.Errorf("call %d: %v", i, s.asked[i])
			}
		}
		_, w, err := s.create(bot, `{"model":"m","input":"1"}`)
		if err != nil || w.Code != 400 || !strings.Contains(w.Body.String(), "too large") || w.Header().Get("X-Airfield-Call-Id") != "call_4" {
			t.Errorf("%v %d %s", err, w.Code, w.Body)
		}
	})
}

func TestAnAnswerThatCannotBeKeptIsGivenAndSaysSo(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.answers = []string{says(message("msg_1", "a"))}
		s.DB.Close()
		if o := s.must(bot, `{"model":"m","input":"1"}`); o["store"] != false || !strings.Contains(asJSON(o["output"]), `"a"`) {
			t.Errorf("%v", o)
		}
	})
}

func TestInputItemsComeInPages(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.answers = []string{says(message("msg_1", "a"))}
		id := s.must(bot, `{"model":"m","input":[{"role":"user","content":"1"},{"type":"message","id":"msg_own","role":"assistant","content":"2"},{"type":"function_call_output","call_id":"c","output":"3"}]}`)["id"].(string)
		all, err := s.InputItems(bot, id, Page{Limit: 10, Asc: true})
		if err != nil || len(all.Data) != 3 || all.HasMore || *all.FirstID != idOf(all.Data[0]) || *all.LastID != idOf(all.Data[2]) || idOf(all.Data[1]) != "msg_own" {
			t.Fatalf("%v %s", err, all.Data)
		}
		if got := asJSON(all.Data[0]); !strings.Contains(got, `"content":[{"text":"1","type":"input_text"}]`) || !strings.HasPrefix(idOf(all.Data[0]), "msg_") {
			t.Error(got)
		}
		page, err := s.InputItems(bot, id, Page{Limit: 2})
		if err != nil || len(page.Data) != 2 || !page.HasMore || idOf(page.Data[0]) != idOf(all.Data[2]) {
			t.Errorf("%v %s", err, page.Data)
		}
		page, err = s.InputItems(bot, id, Page{Limit: 2, After: *page.LastID})
		if err != nil || len(page.Data) != 1 || page.HasMore || idOf(page.Data[0]) != idOf(all.Data[0]) {
			t.Errorf("%v %s", err, page.Data)
		}
		if _, err := s.InputItems(bot, id, Page{Limit: 2, After: "msg_no"}); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if err := s.Cancel(bot, id); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
	})
}
