package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/fault"
	"airfield/internal/secret"
)

// receiver is a server that keeps what it was sent.
type receiver struct {
	*httptest.Server
	got chan received
}

type received struct {
	header http.Header
	body   []byte
	wire
}

// receive starts a server that answers as the function says, with 200 where that is nil.
func receive(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	rec := &receiver{got: make(chan received, 1000)}
	var mu sync.Mutex
	n := 0
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		in := received{header: r.Header, body: body}
		if err != nil || json.Unmarshal(body, &in.wire) != nil || r.Method != http.MethodPost {
			t.Errorf("%s %q %v", r.Method, body, err)
		}
		rec.got <- in
		mu.Lock()
		n++
		now := n
		mu.Unlock()
		if answer != nil {
			answer(now, w, r)
		}
	}))
	t.Cleanup(rec.Close)
	return rec
}

// next waits for what is sent next.
func (r *receiver) next(t *testing.T) received {
	t.Helper()
	select {
	case in := <-r.got:
		return in
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was sent within 20 s")
		return received{}
	}
}

// run delivers until the test ends; the log goes into the returned buffer, which may be read after end.
func run(t *testing.T, c Config, d Deps) (n *Notifier, log *bytes.Buffer, end func()) {
	t.Helper()
	log = &bytes.Buffer{}
	d.Environment, d.Log = "test", slog.New(slog.NewJSONHandler(log, nil))
	n = New(c, d)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return n, log, end
}

// await polls until the status of the one channel is as asked.
func await(t *testing.T, n *Notifier, what string, is func(ChannelStatus) bool) ChannelStatus {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s := n.Status()[0]
		if is(s) {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %+v", what, s)
		}
	}
}

func TestAnEventIsPostedInTheDocumentedShape(t *testing.T) {
	r := receive(t, nil)
	n, _, _ := run(t, Config{"ops": {Webhook: r.URL + "/hook?team=1", Headers: map[string]string{"X-Team": "pilots"}, SecretHeaders: map[string]secret.Value{"Authorization": secret.New("Bearer abc"), "X-None": {}}}}, Deps{})
	at := time.Date(2027, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))
	fields := map[string]string{"spent_usd": "100.00"}
	n.Send(Event{Kind: "budget.exceeded", Key: "team", Severity: Critical, Title: "The budget of team is used up", Text: "Calls are refused until Monday.", At: at, Fields: fields})
	fields["spent_usd"] = "changed after it was sent"
	in := r.next(t)
	want := fmt.Sprintf(`{"version":1,"id":%q,"kind":"budget.exceeded","key":"team","severity":"critical","resolved":false,"title":"The budget of team is used up","text":"Calls are refused until Monday.","at":"2027-03-04T04:06:07Z","environment":"test","fields":{"spent_usd":"100.00"},"held":0}`, in.ID)
	if string(in.body) != want || !strings.HasPrefix(in.ID, "evt_") {
		t.Errorf("%s\nnot\n%s", in.body, want)
	}
	h := in.header
	if h.Get("Content-Type") != "application/json" || h.Get("X-Team") != "pilots" || h.Get("Authorization") != "Bearer abc" || h.Get("User-Agent") != "airfield" || h.Get("X-None") != "" || h.Get(signatureHeader) != "" {
		t.Errorf("%v", h)
	}
	n.Send(Event{Kind: "model.down", Environment: "elsewhere"})
	if in := r.next(t); in.Severity != Warning || in.Environment != "elsewhere" || in.At.IsZero() || !strings.Contains(string(in.body), `"fields":{}`) {
		t.Errorf("%s", in.body)
	}
	s := await(t, n, "two deliveries", func(s ChannelStatus) bool { return s.Delivered == 2 })
	if s.Channel != "ops" || s.By != "webhook" || s.Failing || s.LastSuccess.IsZero() || !s.LastFailure.IsZero() {
		t.Errorf("%+v", s)
	}
}

func TestASignatureProvesWhoSentIt(t *testing.T) {
	r := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	n, _, _ := run(t, Config{"ops": {Webhook: r.URL, SigningKey: secret.New("a key of the two of us")}}, Deps{})
	n.Send(Event{Kind: "a"})
	first, second := r.next(t), r.next(t)
	for _, in := range []received{first, second} {
		var seconds int64
		var got string
		if _, err := fmt.Sscanf(strings.Replace(in.header.Get(signatureHeader), ",v1=", " ", 1), "t=%d %s", &seconds, &got); err != nil {
			t.Fatalf("%q: %v", in.header.Get(signatureHeader), err)
		}
		h := hmac.New(sha256.New, []byte("a key of the two of us"))
		fmt.Fprintf(h, "%d.%s", seconds, in.body)
		if want := fmt.Sprintf("%x", h.Sum(nil)); got != want {
			t.Errorf("signed %s, not %s", got, want)
		}
		if age := time.Since(time.Unix(seconds, 0)); age < 0 || age > time.Minute {
			t.Errorf("signed %s ago", age)
		}
	}
	if first.ID != second.ID {
		t.Error("another try has another id")
	}
}

func TestWhatFailsForNowIsTriedAgainAndWhatFailsForGoodIsNot(t *testing.T) {
	elsewhere := receive(t, nil)
	for what, test := range map[string]struct {
		answer func(n int, w http.ResponseWriter, r *http.Request)
		tries  int
		says   string // of the last failure
		failed int64
	}{
		"500 then OK": {status(500, 200), 2, "answered 500", 0},
		"429 then OK": {status(429, 200), 2, "answered 429", 0},
		"408 then OK": {status(408, 204), 2, "answered 408", 0},
		"404":         {status(404), 1, "answered 404 Not Found", 1},
		"401":         {status(401), 1, "answered 401", 1},
		"a redirect": {func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, 1, "redirects are not followed", 1},
		"cut, then OK":      {func(n int, _ http.ResponseWriter, _ *http.Request) { cut(n) }, 2, "EOF", 0},
		"an endless answer": {func(_ int, w http.ResponseWriter, r *http.Request) { endless(w, r) }, 1, "", 0},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := receive(t, test.answer)
			n, log, end := run(t, Config{"ops": {Webhook: r.URL + "/?hook=XYZ", SecretHeaders: map[string]secret.Value{"X-Key": secret.New("XYZ")}}}, Deps{})
			n.Send(Event{Kind: "a"})
			for range test.tries {
				r.next(t)
			}
			s := await(t, n, "an end", func(s ChannelStatus) bool { return s.Delivered+s.Failed == 1 })
			if s.Failed != test.failed || s.Failing != (test.failed > 0) || !strings.Contains(s.LastError, test.says) || (test.says == "") != (s.LastError == "") {
				t.Errorf("%+v", s)
			}
			end()
			if len(r.got) != 0 {
				t.Errorf("%d tries too many", len(r.got))
			}
			if text := log.String() + s.LastError; strings.Contains(text, "XYZ") || strings.Contains(text, r.URL+"/") || (test.failed > 0) != strings.Contains(text, "could not be delivered") {
				t.Errorf("the log: %s", text)
			}
		})
	}
	t.Cleanup(func() {
		if len(elsewhere.got) > 0 {
			t.Error("a redirect was followed")
		}
	})
}

func status(codes ...int) func(int, http.ResponseWriter, *http.Request) {
	return func(n int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(codes[min(n, len(codes))-1]) }
}

func cut(n int) {
	if n == 1 {
		panic(http.ErrAbortHandler)
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 16<<10)); err != nil {
			return
		}
	}
}

func TestAReceiverThatHangsHoldsUpNoOther(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	hanging := receive(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	well := receive(t, nil)
	n, _, _ := run(t, Config{"a-hanging": {Webhook: hanging.URL, Timeout: 50 * time.Millisecond}, "well": {Webhook: well.URL}}, Deps{})
	for i := range 5 {
		n.Send(Event{Kind: "a", Key: fmt.Sprint(i)})
	}
	for i := range 5 {
		if in := well.next(t); in.Key != fmt.Sprint(i) {
			t.Errorf("event %d is %s: the order is lost", i, in.Key)
		}
	}
	if s := await(t, n, "a try that was too long", func(s ChannelStatus) bool { return s.Failing }); s.LastError != "no answer in time" || s.Delivered != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAFloodNeitherBlocksNorGrows(t *testing.T) {
	release := make(chan struct{})
	r := receive(t, func(int, http.ResponseWriter, *http.Request) { <-release })
	var mu sync.Mutex
	counts := map[Outcome]int{}
	n, log, end := run(t, Config{"ops": {Webhook: r.URL}}, Deps{Count: func(o Outcome) {
		mu.Lock()
		defer mu.Unlock()
		counts[o]++
	}})
	const events, senders = 20_000, 8
	began := time.Now()
	var wait sync.WaitGroup
	for s := range senders {
		wait.Go(func() {
			for i := range events / senders {
				n.Send(Event{Kind: "a", Key: fmt.Sprint(s, i)})
			}
		})
	}
	wait.Wait()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%d events took %s", events, took)
	}
	s := n.Status()[0]
	if s.Waiting > queueSize || s.Dropped < events-queueSize-10 {
		t.Errorf("%+v", s)
	}
	close(release)
	await(t, n, "what was queued to arrive", func(s ChannelStatus) bool { return s.Delivered+s.Dropped == events })
	end()
	if !strings.Contains(log.String(), fmt.Sprintf(`"dropped":%d`, s.Dropped)) {
		t.Errorf("the log does not say what was dropped: %s", log)
	}
	if counts[Outcome{"ops", Dropped}] != int(s.Dropped) || counts[Outcome{"ops", Delivered}] != events-int(s.Dropped) {
		t.Errorf("%v", counts)
	}
}

func TestAChannelIsTriedWithoutWaitingForSomethingToHappen(t *testing.T) {
	good := receive(t, nil)
	bad := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	n, _, end := run(t, Config{"good": {Webhook: good.URL, Events: []string{"budget.*"}}, "bad": {Webhook: bad.URL}}, Deps{})
	defer end()
	tested, err := n.Test(t.Context(), "")
	if err != nil || len(tested) != 2 || tested[0].OK || tested[0].Error != "answered 403 Forbidden" || !tested[1].OK || tested[1].Channel != "good" {
		t.Fatalf("%+v %v", tested, err)
	}
	if in := good.next(t); in.Kind != "notify.test" || in.Severity != Info || in.Environment != "test" {
		t.Errorf("%+v", in)
	}
	if _, err := n.Test(t.Context(), "none"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}
