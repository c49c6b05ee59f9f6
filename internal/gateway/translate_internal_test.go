package gateway

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/neutral/chat"
	"airfield/internal/gateway/neutral/messages"
	"airfield/internal/llm"
)

// senseless is a dialect whose model was billed for an answer that is none.
type senseless struct{ chat.Dialect }

func (senseless) ReadAnswer([]byte) (*neutral.Answer, error) {
	return &neutral.Answer{Usage: llm.Usage{Input: 100, Reasoning: 900, Source: llm.Reported}}, errors.New("the model ended with MALFORMED_FUNCTION_CALL")
}

func TestAnAnswerThatMakesNoSenseIsChargedByWhatItSays(t *testing.T) {
	r := translated(messages.Surface{}, senseless{}, &neutral.Request{}, &Response{Status: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}"))}, 3)
	if _, err := io.ReadAll(r.Body); err == nil || !strings.Contains(err.Error(), "MALFORMED") {
		t.Error(err)
	}
	if u := r.Meter.Reading().Usage; u.Input != 100 || u.Reasoning != 900 {
		t.Errorf("%+v", u)
	}
}
