package upstream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// client follows no redirect and keeps no connection.
var client = &http.Client{
	Timeout:       10 * time.Second,
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (u *Upstream) ask(ctx context.Context, path string, body []byte) (status int, header http.Header, text string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	res, err := client.Do(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(b), err
}

// settled waits until nothing is in flight and returns the last exchange.
func (u *Upstream) settled(t *testing.T) Exchange {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); u.Chats().Now > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still in flight: %+v", u.Chats())
		}
	}
	all := u.Exchanges()
	return all[len(all)-1]
}

const usageText = `"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,"prompt_tokens_details":{"cached_tokens":4}}`

func TestEachBehaviourIsWhatItsNameSays(t *testing.T) {
	u := New(t, Options{CachedTokens: 4})
	type want struct {
		status int
		err    bool   // of the connection
		holds  string // the body
		lacks  string
		end    End
		output int64 // tokens billed
	}
	all := map[string]struct{ whole, stream want }{
		"":            {want{200, false, usageText, "", Whole, 7}, want{200, false, usageText + "}\n\ndata: [DONE]\n\n", "", Whole, 7}},
		"slow":        {want{200, false, usageText, "", Whole, 7}, want{200, false, "[DONE]", "", Whole, 7}},
		"400":         {want{400, false, "invalid_request_error", "", Refused, 0}, want{400, false, "invalid_request_error", "", Refused, 0}},
		"401":         {want{401, false, "authentication_error", "", Refused, 0}, want{401, false, "authentication_error", "", Refused, 0}},
		"429":         {want{429, false, "rate_limit_error", "", Refused, 0}, want{429, false, "rate_limit_error", "", Refused, 0}},
		"500":         {want{500, false, "server_error", "", Refused, 0}, want{500, false, "server_error", "", Refused, 0}},
		"502":         {want{502, false, "server_error", "", Refused, 0}, want{502, false, "server_error", "", Refused, 0}},
		"503":         {want{503, false, "<h1>", "error", Refused, 0}, want{503, false, "<h1>", "error", Refused, 0}},
		"redirect":    {want{307, false, "", "usage", Refused, 0}, want{307, false, "", "usage", Refused, 0}},
		"wrong-type":  {want{200, false, "<h1>", "usage", Refused, 0}, want{200, false, "<h1>", "data:", Refused, 0}},
		"die":         {want{0, true, "", "", Broken, 0}, want{0, true, "", "", Broken, 0}},
		"die-mid":     {want{200, true, `"content":"`, "usage", Broken, 7}, want{200, true, "data: ", "[DONE]", Broken, 2}},
		"cut-mid":     {want{200, true, `"content":"`, "usage", Broken, 7}, want{200, true, "data: ", "[DONE]", Broken, 2}},
		"no-prefix":   {want{200, false, usageText, "", Whole, 7}, want{200, false, "\n\n{", "data:", Broken, 7}},
		"broken-json": {want{200, false, `"content":"`, "usage", Broken, 7}, want{200, false, "\"wor\n\n", "[DONE]", Broken, 2}},
		"half-event":  {want{200, false, `"content":"`, "usage", Broken, 7}, want{200, false, "object\":\"chat.compl", "[DONE]", Broken, 2}},
		"crlf":        {want{200, false, usageText, "", Whole, 7}, want{200, false, "data: [DONE]\r\n\r\n", "\n\n", Whole, 7}},
		"comments":    {want{200, false, usageText, "", Whole, 7}, want{200, false, ": keep-alive\n\n\nid: 7\nevent: message\nretry: 1000\ndata: [DONE]\n\n", "", Whole, 7}},
		"giant":       {want{200, false, strings.Repeat("x", giantBytes), "", Whole, 7}, want{200, false, strings.Repeat("x", giantBytes), "", Whole, 7}},
		"no-done":     {want{200, false, usageText, "", Whole, 7}, want{200, false, usageText, "[DONE]", Broken, 7}},
		"no-finish":   {want{200, false, usageText, "", Whole, 7}, want{200, false, "[DONE]", `"stop"`, Broken, 7}},
		"error-event": {want{200, false, `{"error":`, "usage", Broken, 7}, want{200, false, "data: {\"error\":", "[DONE]", Broken, 2}},
		"empty":       {want{200, false, "", "{", Broken, 0}, want{200, false, "", "data", Broken, 0}},
		"no-usage":    {want{200, false, "stop", "prompt_tokens", Whole, 7}, want{200, false, "[DONE]", "prompt_tokens", Whole, 7}},
		"usage-below": {want{200, false, `"completion_tokens":-100`, "", Whole, 7}, want{200, false, `"prompt_tokens":-5`, "", Whole, 7}},
		"usage-low":   {want{200, false, `"completion_tokens":1,`, "", Whole, 7}, want{200, false, `"completion_tokens":1,`, "", Whole, 7}},
		"use-all":     {want{200, false, `"completion_tokens":40,`, `"stop"`, Whole, 40}, want{200, false, `"length"`, "", Whole, 40}},
		"use-20th":    {want{200, false, `"completion_tokens":2,`, `"length"`, Whole, 2}, want{200, false, `"stop"`, "", Whole, 2}},
		"429-seconds": {want{429, false, "", "", Refused, 0}, want{429, false, "", "", Refused, 0}},
		"429-date":    {want{429, false, "", "", Refused, 0}, want{429, false, "", "", Refused, 0}},
		"usage-absurd": {want{200, false, `"total_tokens":2000000000000000`, "", Whole, 7},
			want{200, false, `"total_tokens":2000000000000000`, "", Whole, 7}},
		"usage-zero": {want{200, false, `"total_tokens":0`, "", Whole, 7}, want{200, false, `"total_tokens":0`, "", Whole, 7}},
		"limits":     {want{200, false, usageText, "", Whole, 7}, want{200, false, usageText, "", Whole, 7}},
		"ok":         {want{200, false, usageText, "", Whole, 7}, want{200, false, usageText, "", Whole, 7}},
		"hang":       {want{0, true, "", "", Left, 0}, want{0, true, "", "", Left, 0}},
		"hang-mid":   {want{200, true, `"content":"`, "usage", Left, 7}, want{200, true, "data: ", "[DONE]", Left, 2}},
	}
	for _, suffix := range append(Suffixes(), "") {
		both, known := all[suffix]
		if !known {
			t.Errorf("%s is not tried", suffix)
			continue
		}
		for i, w := range []want{both.whole, both.stream} {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			if strings.HasPrefix(suffix, "hang") {
				ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
			}
			cap := `"stream_options":{"include_usage":true}`
			if strings.HasPrefix(suffix, "use-") {
				cap += `,"max_tokens":40`
			}
			status, _, text, err := u.ask(ctx, "/v1/chat/completions", Question(suffix, i, i == 1, cap))
			cancel()
			x := u.settled(t)
			if status != w.status || (err != nil) != w.err || !strings.Contains(text, w.holds) || w.lacks != "" && strings.Contains(text, w.lacks) {
				t.Errorf("%s, stream %t: %d %.400q %v", suffix, i == 1, status, text, err)
			}
			input := int64(11)
			if w.output == 0 && suffix != "empty" {
				input = 0
			}
			if x.End != w.end || x.Output != w.output || x.Input != input || x.Status != w.status {
				t.Errorf("%s, stream %t: %s with status %d, billed %d in and %d out", suffix, i == 1, x.End, x.Status, x.Input, x.Output)
			}
		}
	}
	if u.Strayed() != 0 {
		t.Error("a redirect was followed")
	}
	if n := int64(2 * (len(Named) + 1)); u.Chats().Begun != n || u.Chats().Peak != 1 {
		t.Errorf("%+v after %d requests", u.Chats(), n)
	}
}

func TestHeadersSayWhenToComeBack(t *testing.T) {
	u := New(t, Options{})
	header := func(suffix string) http.Header {
		_, h, _, err := u.ask(context.Background(), "/v1/chat/completions", Question(suffix, 0, false))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if h := header("429"); h.Get("Retry-After") != "" {
		t.Error(h)
	}
	if h := header("429-seconds"); h.Get("Retry-After") != "2" {
		t.Error(h)
	}
	if at, err := http.ParseTime(header("429-date").Get("Retry-After")); err != nil || time.Until(at) < time.Second {
		t.Error(at, err)
	}
	if h := header("limits"); h.Get("X-Ratelimit-Remaining-Requests") != "5" || h.Get("X-Request-Id") != "up-4" {
		t.Error(h)
	}
}

func TestScriptsDecideByOrderAndBySeed(t *testing.T) {
	u := New(t, Options{})
	status := func() int {
		s, _, _, err := u.ask(context.Background(), "/v1/chat/completions", Question("", 0, false))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	u.Behave(Sequence(Named["500"], Named["429"], Behaviour{}))
	if got := []int{status(), status(), status(), status()}; !slices.Equal(got, []int{500, 429, 200, 200}) {
		t.Error(got)
	}
	u.Behave(nil)
	if got := status(); got != 200 {
		t.Error(got)
	}
	decide := Random(7, 0.25, Behaviour{}, Named["500"], Named["die-mid"])
	faults, kinds := 0, map[Kind]int{}
	for n := range int64(4000) {
		first, second := decide(&Request{N: n}), decide(&Request{N: n})
		if first.Kind != second.Kind {
			t.Fatal("the same number got another behaviour")
		}
		kinds[first.Kind]++
		if first.Kind != OK {
			faults++
		}
	}
	if faults < 900 || faults > 1100 || len(kinds) != 3 {
		t.Errorf("%d faults of 4000: %v", faults, kinds)
	}
}

func TestAClientThatLeavesIsSeenAtOnce(t *testing.T) {
	u := New(t, Options{Default: Behaviour{Between: 10 * time.Second, Delay: 0}})
	for _, stream := range []bool{false, true} {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			u.ask(ctx, "/v1/chat/completions", Question("", 0, stream))
			close(done)
		}()
		for u.Chats().Now == 0 {
			time.Sleep(time.Millisecond)
		}
		left := time.Now()
		cancel()
		<-done
		x := u.settled(t)
		if seen := x.LeftAt.Sub(left); x.End != Left || seen < 0 || seen > time.Second || x.Input != 11 || x.Output != 0 {
			t.Errorf("stream %t: %s, seen after %s, billed %d and %d", stream, x.End, seen, x.Input, x.Output)
		}
	}
}

func TestItRefusesAndAcceptsConnections(t *testing.T) {
	u := New(t, Options{})
	for range 3 {
		u.Refuse()
		if _, _, _, err := u.ask(context.Background(), "/v1/chat/completions", Question("", 0, false)); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%v", err)
		}
		u.Accept()
		if status, _, _, err := u.ask(context.Background(), "/v1/chat/completions", Question("", 0, false)); err != nil || status != 200 {
			t.Errorf("%d %v", status, err)
		}
	}
	// One in flight when the listener goes was broken by the upstream, not by its client.
	done := make(chan struct{})
	go func() {
		u.ask(context.Background(), "/v1/chat/completions", Question("hang", 0, false))
		close(done)
	}()
	for u.Chats().Now == 0 {
		time.Sleep(time.Millisecond)
	}
	u.Refuse()
	<-done
	if x := u.settled(t); x.End != Broken {
		t.Errorf("%+v", x.End)
	}
}

func TestEmbeddingsAreTheSameForTheSameText(t *testing.T) {
	u := New(t, Options{})
	var answer struct {
		Data []struct {
			Index     int
			Embedding []float32
		}
		Usage struct{ Prompt_tokens int }
	}
	_, _, text, err := u.ask(context.Background(), "/v1/embeddings", []byte(`{"model":"vectors","input":["a","b","a"]}`))
	if err != nil || json.Unmarshal([]byte(text), &answer) != nil {
		t.Fatal(text, err)
	}
	if d := answer.Data; len(d) != 3 || len(d[0].Embedding) != 8 || !slices.Equal(d[0].Embedding, d[2].Embedding) || slices.Equal(d[0].Embedding, d[1].Embedding) || answer.Usage.Prompt_tokens != 3 {
		t.Errorf("%s", text)
	}
	if _, _, text, _ := u.ask(context.Background(), "/v1/embeddings", []byte(`{"model":"vectors","input":"c","encoding_format":"base64"}`)); !strings.Contains(text, `"embedding":"`) {
		t.Errorf("%s", text)
	}
	if got := u.Embedded(); !slices.Equal(got, []string{"a", "b", "a", "c"}) || len(u.Embedded()) != 0 {
		t.Errorf("%q", got)
	}
	if got := u.Embeddings(); got.Whole != 2 || got.Input != 4 || u.Chats().Begun != 0 {
		t.Errorf("%+v", got)
	}
}

func TestChoicesAndCapsAreCounted(t *testing.T) {
	u := New(t, Options{CompletionTokens: 100})
	for _, stream := range []bool{false, true} {
		_, _, text, err := u.ask(context.Background(), "/v1/chat/completions", Question("", 0, stream, `"n":3,"max_completion_tokens":10`, `"stream_options":{"include_usage":true}`))
		if err != nil || !strings.Contains(text, `"completion_tokens":30,`) || !strings.Contains(text, `"index":2`) {
			t.Errorf("%s %v", text, err)
		}
		if x := u.settled(t); x.Output != 30 || x.Cap != 10 || x.Choices != 3 {
			t.Errorf("%+v", x)
		}
	}
	by := u.ByModel()["chat"]
	if by.Whole != 2 || by.Output != 60 || by.Input != 22 {
		t.Errorf("%+v", by)
	}
}

func TestEventsComeOneAtATime(t *testing.T) {
	u := New(t, Options{Events: 2, Default: Behaviour{Kind: HangMid}})
	res, err := client.Post(u.URL+"/v1/chat/completions", "application/json", bytes.NewReader(Question("", 0, true)))
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "data: {") {
		t.Errorf("%q %v", line, err)
	}
	res.Body.Close()
	if x := u.settled(t); x.End != Left {
		t.Errorf("%s", x.End)
	}
}
