package providertest

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

// translated asks through the dialect.
func (b *bench) translated(t *testing.T, recorded map[string]*recording) {
	for _, c := range Cases() {
		r := recorded[c.Name]
		if r == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			body := b.body(t, r)
			b.upstream.will(b.gives(r, body, -1))
			h := b.ask(t.Context(), c.Request)
			b.came(t, r.request, b.path(c.Request.Stream))
			b.check(t, &c, r, h)
			if !c.Request.Stream {
				return
			}
			b.upstream.will(b.dribbles(r, body))
			b.check(t, &c, r, b.ask(t.Context(), c.Request))
			if c.Whole() {
				b.cut(t, &c, r, body)
			}
		})
	}
	t.Run("an answer that is none", b.garbage)
}

// check compares what was heard with what the case says.
func (b *bench) check(t *testing.T, c *Case, r *recording, h heard) {
	t.Helper()
	switch {
	case h.err != nil:
		t.Fatal(h.err)
	case c.Refused != nil:
		got := h.refused
		if got == nil || got.Status != c.Refused.Status || got.Type != c.Refused.Type || got.Message != c.Refused.Message {
			t.Fatalf("it refused with %+v, not with %+v", got, c.Refused)
		}
		b.comeBack(t, r, h.response.RetryAfter, h.response.RetryIn)
	case c.Torn:
		if h.torn == nil || h.whole || h.torn.Message == "" {
			t.Fatalf("its error in mid-stream came as %+v, whole: %v", h.torn, h.whole)
		}
		if len(h.answer.Parts) == 0 || h.answer.Parts[0].Text == "" {
			t.Error("nothing came before the error")
		}
	default:
		if !h.whole || h.torn != nil {
			t.Fatalf("the answer is not whole: %+v %+v", h.answer, h.torn)
		}
		if problem := b.differs(c, r, h.answer, c.Request.Stream); problem != "" {
			t.Error(problem)
		}
		if got, want := h.answer.Usage, b.usage(c); got != want {
			t.Errorf("it used %+v, not %+v", got, want)
		}
	}
}

// comeBack checks that the provider's own word on when to come back is read, where it gives one.
func (b *bench) comeBack(t *testing.T, r *recording, after string, in time.Duration) {
	t.Helper()
	said := r.header.Get("Retry-After") != "" || r.header.Get("Retry-After-Ms") != "" || bytes.Contains(r.answer, []byte("retryDelay"))
	if said && after != "7" && in != 7*time.Second {
		t.Errorf("it asks to come back in 7 s, and %q, %v was read", after, in)
	}
}

// usage is what a case uses, as far as the provider says it.
func (b *bench) usage(c *Case) llm.Usage {
	u := c.Answer.Usage
	if b.ThoughtsInOutput {
		u.Output, u.Reasoning = u.Output+u.Reasoning, 0
	}
	if b.NoCacheWrites {
		u.Input, u.CacheWrite = u.Input+u.CacheWrite, 0
	}
	return u
}

// differs says what of an answer is not as the case has it; empty where nothing is.
func (b *bench) differs(c *Case, r *recording, got neutral.Answer, stream bool) string {
	if got.Stop != c.Answer.Stop {
		return fmt.Sprintf("it ended because of %q, not %q", got.Stop, c.Answer.Stop)
	}
	if got.Model == "" {
		return "the answer does not say which model made it"
	}
	want, parts := c.Answer.Parts, joined(got.Parts)
	if b.ThoughtsUntold && want[0].Kind == neutral.Reasoning {
		want = want[1:]
	}
	if len(parts) != len(want) {
		return fmt.Sprintf("it has %d parts, not %d: %+v", len(parts), len(want), parts)
	}
	signatures, ids := "", map[string]bool{}
	for i, p := range parts {
		w := want[i]
		signatures += p.Signature
		same := p.Kind == w.Kind && (p.Name == w.Name || p.Kind == neutral.Reasoning) && p.Text == w.Text
		if p.Kind == neutral.ToolCall {
			same = p.Kind == w.Kind && p.Name == w.Name && sameJSON([]byte(p.Text), []byte(w.Text))
			if p.ID == "" || ids[p.ID] || bytes.Contains(r.answer, []byte(`"`+w.ID+`"`)) && p.ID != w.ID {
				return fmt.Sprintf("the id of part %d is %q", i, p.ID)
			}
			ids[p.ID] = true
		}
		if !same {
			return fmt.Sprintf("part %d is %+v, not %+v", i, p, w)
		}
	}
	if bytes.Contains(r.answer, []byte("c2ln")) && signatures != "c2ln" {
		return fmt.Sprintf("the signatures are %q", signatures)
	}
	return ""
}

// joined puts texts together that follow one another.
func joined(parts []neutral.Part) (out []neutral.Part) {
	for _, p := range parts {
		if n := len(out); n > 0 && p.Kind == neutral.Text && out[n-1].Kind == neutral.Text {
			out[n-1].Text += p.Text
			out[n-1].Signature += p.Signature
			continue
		}
		out = append(out, p)
	}
	return out
}

// cut ends a stream after each of its bytes. It may count as whole only once everything is said: who never gets the
// usage must then not take another figure for it.
func (b *bench) cut(t *testing.T, c *Case, r *recording, body []byte) {
	t.Helper()
	for n := 0; n < len(body); n += b.step() {
		b.upstream.will(b.gives(r, body, n))
		h := b.ask(t.Context(), c.Request)
		if h.torn != nil {
			t.Fatalf("cut after %d of %d bytes: the provider is said to have failed with %+v", n, len(body), h.torn)
		}
		if !h.whole {
			continue
		}
		if problem := b.differs(c, r, h.answer, true); problem != "" {
			t.Fatalf("cut after %d of %d bytes it ends cleanly: %s", n, len(body), problem)
		}
		if got := h.answer.Usage; got != b.usage(c) && got.Source != "" {
			t.Fatalf("cut after %d of %d bytes it used %+v", n, len(body), got)
		}
	}
	for n := 0; n < len(body); n += 37 {
		b.upstream.will(b.breaks(r, body, n))
		if h := b.ask(t.Context(), c.Request); h.err == nil && (!h.whole || b.differs(c, r, h.answer, true) != "") {
			t.Fatalf("broken after %d of %d bytes it ends without an error", n, len(body))
		}
	}
}

// garbage answers with what is no answer.
func (b *bench) garbage(t *testing.T) {
	dialect := b.provider.Dialect()
	for _, text := range []string{"", " ", "null", "[]", "{}", "7", `"Hello"`, "<html>busy</html>", `{"a":`, `{"error":{"message":"x"}}`, "data: {}\n\n", "\xff\xfe"} {
		if a, err := dialect.ReadAnswer([]byte(text)); err == nil {
			t.Errorf("%q is read as %+v", text, a)
		}
	}
	for _, text := range []string{"", "data: {}\n\n", "data: null\n\n", "data: [1]\n\n", "data: nonsense\n\n", "data: [DONE]\n\n", "<html>busy</html>", "data: \xff\n\n"} {
		var h heard
		if h.listen(dialect.NewReader(), bytes.NewReader([]byte(text))); h.whole {
			t.Errorf("the stream %q is read as %+v", text, h.answer)
		}
	}
	for _, status := range []int{400, 401, 403, 404, 408, 413, 429, 500, 503, 529} {
		for _, text := range []string{"", "null", "[]", "<html>busy</html>", `{"error":7}`, `{"error":"busy"}`, `{"error":{"message":7}}`, `{"error":{"code":"x"}}`, `{"a":`} {
			if e := dialect.ReadError(status, []byte(text)); e == nil || e.Status != status || e.Message == "" || e.Type == "" {
				t.Errorf("%d %q is read as %+v", status, text, e)
			}
		}
	}
}

// within bounds a test's wait.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
