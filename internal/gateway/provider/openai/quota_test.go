package openai

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"airfield/internal/gateway"
	"airfield/internal/llm"
)

func TestWhatIsLeftOfAProvidersLimitsIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		limit, remaining, reset string
		want                    gateway.Left
	}{
		"seconds":                    {"60", "59", "1s", gateway.Left{Known: true, Left: 59, Limit: 60, Reset: time.Second}},
		"minutes":                    {"150000", "149984", "6m0s", gateway.Left{Known: true, Left: 149984, Limit: 150000, Reset: 6 * time.Minute}},
		"milliseconds":               {"5000", "4999", "20ms", gateway.Left{Known: true, Left: 4999, Limit: 5000, Reset: 20 * time.Millisecond}},
		"parts of a second":          {"30", "0", "1m7.66s", gateway.Left{Known: true, Left: 0, Limit: 30, Reset: 67_660 * time.Millisecond}},
		"a plain number":             {"", "7", "12.5", gateway.Left{Known: true, Left: 7, Reset: 12_500 * time.Millisecond}},
		"spaces":                     {" 9 ", " 7 ", " 2s ", gateway.Left{Known: true, Left: 7, Limit: 9, Reset: 2 * time.Second}},
		"no time":                    {"60", "59", "", gateway.Left{}},
		"no number":                  {"60", "", "1s", gateway.Left{}},
		"a moment":                   {"60", "0", "1767225600", gateway.Left{}},
		"a date":                     {"60", "0", "2026-01-01T00:00:00Z", gateway.Left{}},
		"a negative number":          {"60", "-1", "1s", gateway.Left{}},
		"a negative time":            {"60", "1", "-1s", gateway.Left{}},
		"Azure's way to say nothing": {"-1", "-1", "0", gateway.Left{}},
		"words":                      {"many", "some", "soon", gateway.Left{}},
		"not a number":               {"NaN", "NaN", "NaN", gateway.Left{}},
		"more than there are":        {"60", "99999999999999999999", "1s", gateway.Left{}},
		"a limit that says nothing":  {"lots", "3", "1s", gateway.Left{Known: true, Left: 3, Reset: time.Second}},
		"for ever":                   {"60", "0", "9999h", gateway.Left{}},
	} {
		for _, what := range []string{"requests", "tokens"} {
			h := http.Header{}
			for field, value := range map[string]string{"limit": c.limit, "remaining": c.remaining, "reset": c.reset} {
				if value != "" {
					h.Set("x-ratelimit-"+field+"-"+what, value)
				}
			}
			want := gateway.Quota{Requests: c.want}
			if what == "tokens" {
				want = gateway.Quota{Tokens: c.want}
			}
			if got := quotaOf(h); got != want {
				t.Errorf("%s of %s: %+v, want %+v", name, what, got, want)
			}
		}
	}
}

func TestWhenToComeBackIsReadToTheMillisecond(t *testing.T) {
	for name, c := range map[string]struct {
		after, ms string
		want      string
		in        time.Duration
	}{
		"seconds alone":      {"7", "", "7", 0},
		"milliseconds alone": {"", "1250", "2", 1250 * time.Millisecond},
		"both":               {"2", "1250.5", "2", 1250500 * time.Microsecond},
		"neither":            {"", "", "", 0},
		"junk":               {"", "soon", "", 0},
		"not a number":       {"", "NaN", "", 0},
		"negative":           {"3", "-5", "3", 0},
		"for ever":           {"", "99999999999", "", 0},
	} {
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for field, value := range map[string]string{"Retry-After": c.after, "Retry-After-Ms": c.ms} {
				if value != "" {
					w.Header().Set(field, value)
				}
			}
			w.Header().Set("x-ratelimit-remaining-requests", "0")
			w.Header().Set("x-ratelimit-reset-requests", "20ms")
			w.WriteHeader(429)
		}))
		p, err := New("up", gateway.ProviderConfig{BaseURL: upstream.URL}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Send(context.Background(), &gateway.Attempt{Surface: llm.ChatCompletions, Body: []byte(`{}`)})
		if err != nil || r.RetryAfter != c.want || r.RetryIn != c.in || r.Quota.Requests != (gateway.Left{Known: true, Reset: 20 * time.Millisecond}) {
			t.Errorf("%s: %v %+v", name, err, r)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		p.Close()
		upstream.Close()
	}
}

func FuzzQuotaBearsAnything(f *testing.F) {
	f.Add("60", "59", "6m0s")
	f.Fuzz(func(t *testing.T, limit, remaining, reset string) {
		h := http.Header{"X-Ratelimit-Limit-Tokens": {limit}, "X-Ratelimit-Remaining-Tokens": {remaining}, "X-Ratelimit-Reset-Tokens": {reset}}
		q := quotaOf(h)
		if l := q.Tokens; l.Left < 0 || l.Limit < 0 || l.Reset < 0 || l.Reset > 24*time.Hour {
			t.Fatalf("%+v", q)
		}
	})
}
