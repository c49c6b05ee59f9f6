package fault

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"airfield/test/binary"
	"airfield/test/upstream"
)

func TestAClientWhoReadsSlowlyGetsEverythingAndKeepsNobodyWaiting(t *testing.T) {
	s, u := guarded(t, "limits: {parallel: 8}")
	u.Behave(func(r *upstream.Request) upstream.Behaviour {
		if bytes.Contains(r.Body, []byte("giant")) {
			return upstream.Named["giant"]
		}
		return upstream.Behaviour{}
	})
	for _, stream := range []bool{true, false} {
		res, err := s.Request(t.Context(), http.MethodPost, "/v1/chat/completions", question("chat", stream, "giant"+polite), binary.As(s.key)...)
		if err != nil {
			t.Fatal(err)
		}
		before, _ := s.RSS()
		size, piece := 0, make([]byte, 256<<10)
		for err == nil {
			var n int
			n, err = io.ReadFull(res.Body, piece)
			size += n
			if size < 4<<20 { // for two seconds and more
				time.Sleep(150 * time.Millisecond)
			}
			if size == len(piece) {
				if e, row := s.ask(question("chat", true, "quick"+polite)); !e.Whole || row.DurationMS > 2000 {
					t.Errorf("another call took %v ms: %d", row.DurationMS, e.Status)
				}
			}
		}
		res.Body.Close()
		after, _ := s.RSS()
		row := s.row(res.Header.Get("X-Airfield-Call-Id"))
		if size < 10<<20 || row.Outcome != "ok" || row.ResponseBytes < 10<<20 || row.OutputTokens == 0 {
			t.Errorf("stream %t: %d bytes; logged as %s with %d bytes and %d tokens: %s", stream, size, row.Outcome, row.ResponseBytes, row.OutputTokens, row.Error)
		}
		if grown := after - before; grown > 40<<20 {
			t.Errorf("stream %t: the server grew by %d MB", stream, grown>>20)
		}
	}
	s.idle()
}

func TestTenThousandMessagesAreSentAsTheyAre(t *testing.T) {
	s, u := guarded(t, "limits: {parallel: 8}")
	var messages []string
	for n := range 10_000 {
		role := "user"
		if n%2 == 1 {
			role = "assistant"
		}
		messages = append(messages, fmt.Sprintf(`{"role":%q,"content":"This is message %d."}`, role, n))
	}
	list := strings.Join(messages, ",")
	e, row := s.ask([]byte(`{"model":"chat","max_tokens":50,"messages":[` + list + `]}`))
	if !e.Whole || row.Outcome != "ok" {
		t.Fatalf("%d %s: %s", e.Status, row.Outcome, e.Text)
	}
	if got := u.Exchanges(); len(got) != 1 || !bytes.Contains(got[0].Body, []byte(list)) {
		t.Error("the messages were changed on their way")
	}
	// Under a hard budget a larger one has no room: that is said, and nothing is sent.
	e, row = s.ask([]byte(`{"model":"chat","max_tokens":50,"messages":[` + strings.Repeat(list+",", 20) + list + `]}`))
	if e.Status != http.StatusTooManyRequests || !strings.Contains(e.Text, "budget day") || row.CostUSD != 0 || len(u.Exchanges()) != 1 {
		t.Errorf("%d %s", e.Status, e.Text)
	}
}

func TestWhatAClientSendsIsPassedOnOrRefusedClearly(t *testing.T) {
	s, u := guarded(t, "cache: {ttl: 1m}")
	for name, c := range map[string]struct{ body, code string }{
		"two models":               {`{"model":"chat","model":"chat","messages":[]}`, "duplicate_field"},
		"two bounds":               {`{"model":"chat","max_tokens":1,"messages":[],"max_tokens":100000}`, "duplicate_field"},
		"two bounds, one escaped":  {`{"model":"chat","max_tokens":1,"messages":[],"max\u005ftokens":100000}`, "duplicate_field"},
		"no UTF-8":                 {"{\"model\":\"chat\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}", "invalid_utf8"},
		"half a character":         {"{\"model\":\"chat\",\"messages\":[{\"role\":\"user\",\"content\":\"\xe2\x82\"}]}", "invalid_utf8"},
		"a torn body":              {`{"model":"chat","messages":[{"role":"user"`, "invalid_json"},
		"two bodies":               {`{"model":"chat","messages":[]}{"model":"chat","messages":[]}`, "invalid_json"},
		"a list":                   {`[{"model":"chat"}]`, "invalid_json"},
		"nothing":                  {``, "invalid_json"},
		"a bound that is a word":   {`{"model":"chat","max_tokens":"many","messages":[]}`, ""},
		"a bound beyond all":       {`{"model":"chat","max_tokens":1e400,"messages":[]}`, ""},
		"a depth that nobody has":  {`{"model":"chat","messages":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, ""},
		"a name of a megabyte":     {`{"model":"` + strings.Repeat("m", 1<<20) + `","messages":[]}`, "model_not_found"},
		"a control sign in a name": {"{\"model\":\"ch\x00at\",\"messages\":[]}", "invalid_json"},
	} {
		e, err := s.Chat(t.Context(), []byte(c.body), binary.As(s.key)...)
		if err != nil || e.Status < 400 || e.Status > 404 || !strings.Contains(e.Text, `"message"`) || !strings.Contains(e.Text, c.code) || len(e.Text) > 4096 {
			t.Errorf("%s: %d %.300s %v", name, e.Status, e.Text, err)
		}
	}
	if n := u.Chats().Begun; n != 0 {
		t.Errorf("%d of them were sent", n)
	}
	for _, r := range s.rows() {
		if r.CostUSD != 0 || r.Outcome != "error" {
			t.Errorf("a refused call is logged as %s at %s", r.Outcome, r.CostUSD)
		}
	}

	// What is unknown goes on as it is: names, order, spaces, numbers, doubles of others' fields.
	odd := `{ "x_ours":{"b":1,"a":[1.50,1e2,-0.0]}, "seed":12345678901234567890, "x_ours":null,"model":"chat",` + "\n\t" +
		`"metadata":{"k":"\u00e4 \ud83d\ude00"},"messages":[{"role":"user","content":"` + strings.Repeat("please ", 8) + `ä 😀","x_more":true}],"max_tokens":9,"logit_bias":{"50256":-100}}`
	e, row := s.ask([]byte(odd))
	if !e.Whole || row.Outcome != "ok" {
		t.Fatalf("%d %s", e.Status, e.Text)
	}
	if got := u.Exchanges(); len(got) != 1 || string(got[0].Body) != odd {
		t.Errorf("it went on as %s", got[0].Body)
	}
	if e, _ := s.ask([]byte(odd)); e.Header.Get("X-Airfield-Cache") == "shared" || len(u.Exchanges()) > 2 {
		t.Errorf("the same again: %v", e.Header)
	}
}
