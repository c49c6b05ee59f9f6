package providertest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway"
)

// network does to a provider what networks and proxies do.
func (b *bench) network(t *testing.T, recorded map[string]*recording) {
	plain, stream := recorded["plain"], recorded["stream"]
	attempt := func(r *recording) *gateway.Attempt {
		return &gateway.Attempt{Surface: b.Surface, Model: b.Model, Stream: r.kind != "json", Body: r.request, CallID: "call_1", Traceparent: trace}
	}
	t.Run("a key that is told back is kept", func(t *testing.T) {
		b.keeps(t, func(w http.ResponseWriter, told string) {
			w.WriteHeader(http.StatusForbidden)
			body, _ := json.Marshal(map[string]any{"error": map[string]any{"message": "no " + told, "type": told, "code": 403, "status": told}, "message": told})
			w.Write(body)
		}, attempt(plain))
	})
	t.Run("a trace goes on", func(t *testing.T) {
		b.upstream.will(b.gives(plain, plain.answer, -1))
		r, err := b.provider.Send(within(t), attempt(plain))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if got := b.upstream.last().header.Get("Traceparent"); got != trace {
			t.Errorf("traceparent is %q", got)
		}
	})
	t.Run("a refusal without end is bounded", func(t *testing.T) {
		b.upstream.will(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			w.Write(bytes.Repeat([]byte("<p>busy</p>"), 400_000))
		})
		r, err := b.provider.Send(within(t), attempt(plain))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		told, err := io.ReadAll(r.Body)
		if err != nil || len(told) > 1<<20 {
			t.Fatalf("%d bytes of it were given, %v", len(told), err)
		}
		if d := b.provider.Dialect(); d != nil {
			if e := d.ReadError(r.Status, told); len(e.Message) > 2000 {
				t.Errorf("its message has %d bytes", len(e.Message))
			}
		}
	})
	for name, answer := range map[string]http.HandlerFunc{
		"a redirect is not followed": func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/elsewhere") {
				t.Error("it was")
			}
			http.Redirect(w, r, b.upstream.URL+"/elsewhere", http.StatusTemporaryRedirect)
		},
		"a compressed answer is none": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write([]byte("\x1f\x8b"))
		},
		"a connection that dies is an error": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			b.upstream.will(answer)
			r, err := b.provider.Send(within(t), attempt(plain))
			if err == nil {
				r.Body.Close()
				t.Fatalf("it is answered with status %d", r.Status)
			}
			b.silent(t, "the error", fault.As(err).Text)
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		c := b.config
		c.BaseURL = "http://127.0.0.1:1" + b.Base
		_, err := b.open(t, c).Send(within(t), attempt(plain))
		if f := fault.As(err); err == nil || f.Kind != fault.Unavailable || strings.Contains(f.Text, "127.0.0.1") {
			t.Errorf("%v", err)
		}
	})
	t.Run("who leaves is not kept waiting", func(t *testing.T) {
		b.leaves(t, b.hangs(plain, nil, -1), attempt(plain))
		if stream != nil {
			body := b.body(t, stream)
			b.leaves(t, b.hangs(stream, body, len(body)/2), attempt(stream))
		}
	})
}

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// keeps checks that nothing of what the provider is told to keep comes back from it.
func (b *bench) keeps(t *testing.T, answer func(w http.ResponseWriter, told string), a *gateway.Attempt) {
	b.upstream.will(func(w http.ResponseWriter, r *http.Request) {
		told := strings.Join(b.Secrets, " ") + " " + r.Header.Get("Authorization")
		for _, name := range []string{"X-Request-Id", "Request-Id", "X-Amzn-Requestid", "Apim-Request-Id"} {
			w.Header().Set(name, told)
		}
		answer(w, told)
	})
	r, err := b.provider.Send(within(t), a)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	b.silent(t, "the answer", string(body))
	b.silent(t, "the request's id", r.RequestID)
	if r.Clean == nil {
		t.Fatal("what it says in mid-stream is not cleaned")
	}
	b.silent(t, "a cleaned text", string(r.Clean([]byte("no "+strings.Join(b.Secrets, " ")))))
}

// silent checks that a text holds no secret.
func (b *bench) silent(t *testing.T, what, text string) {
	t.Helper()
	for _, s := range b.Secrets {
		if strings.Contains(text, s) {
			t.Errorf("%s tells a secret: %s", what, text)
		}
	}
}

// promptly is how soon an exchange ends whose caller has left.
const promptly = 100 * time.Millisecond

// leaves cancels an exchange that hangs. On a busy machine once of three times must do.
func (b *bench) leaves(t *testing.T, answer http.HandlerFunc, a *gateway.Attempt) {
	t.Helper()
	b.upstream.will(answer)
	var took time.Duration
	for range 3 {
		ctx, cancel := context.WithCancel(within(t))
		var left time.Time
		timer := time.AfterFunc(50*time.Millisecond, func() {
			left = time.Now()
			cancel()
		})
		r, err := b.provider.Send(ctx, a)
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
			r.Body.Close()
		}
		if timer.Stop() || err == nil {
			t.Fatalf("it ended by itself: %v", err)
		}
		<-ctx.Done()
		took = time.Since(left)
		select {
		case <-b.upstream.left:
		case <-time.After(10 * time.Second):
			t.Fatal("the provider is not told that its caller has left")
		}
		if took <= promptly {
			return
		}
	}
	t.Errorf("it took %v to end", took)
}
