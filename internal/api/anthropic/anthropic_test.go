package anthropic

import (
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway"
)

func TestModelsAreToldInPages(t *testing.T) {
	models := []gateway.Model{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}}
	for query, want := range map[string]string{
		"":                    "abcd",
		"limit=2":             "ab+",
		"limit=2&after_id=b":  "cd",
		"limit=1&after_id=b":  "c+",
		"limit=2&before_id=d": "bc+",
		"limit=9&before_id=c": "ab",
		"after_id=d":          "",
		"limit=0":             "error",
		"limit=x":             "error",
		"after_id=z":          "error",
		"before_id=z":         "error",
	} {
		p, err := pageOf(models, httptest.NewRequest("GET", "/v1/models?"+query, nil))
		got := ""
		if err != nil {
			got = "error"
			if fault.As(err).Kind != fault.Invalid {
				t.Error(err)
			}
		} else {
			for _, m := range p.Data {
				got += m.ID
			}
			if p.HasMore {
				got += "+"
			}
			if (p.FirstID == nil) != (len(p.Data) == 0) {
				t.Errorf("%s: %+v", query, p)
			}
		}
		if got != want {
			t.Errorf("%q: %s, not %s", query, got, want)
		}
	}
}

func TestAnErrorIsToldAsAnthropicDoes(t *testing.T) {
	d := &Door{Log: slog.New(slog.DiscardHandler)}
	f := fault.New(fault.Limited, "limit_reached", "too many").Hinted("wait")
	f.RetryAfter = 3 * time.Second
	w := httptest.NewRecorder()
	w.Header().Set("Request-Id", "call_1")
	d.refuse(w, httptest.NewRequest("POST", "/v1/messages", nil), f)
	var said struct {
		Type  string
		Error struct{ Type, Message, Code string }
		ID    string `json:"request_id"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || said.Type != "error" || said.Error.Type != "rate_limit_error" || said.Error.Code != "limit_reached" || !strings.Contains(said.Error.Message, "wait") || said.ID != "call_1" {
		t.Errorf("%v %s", err, w.Body)
	}
	if w.Code != 429 || w.Header().Get("Retry-After") != "3" {
		t.Error(w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	d.refuse(w, httptest.NewRequest("POST", "/v1/messages", nil), fault.New(fault.Unauthenticated, "key_missing", "no key"))
	if w.Code != 401 || strings.Contains(w.Body.String(), "request_id") || w.Header().Get("WWW-Authenticate") == "" {
		t.Error(w.Code, w.Body)
	}
}
