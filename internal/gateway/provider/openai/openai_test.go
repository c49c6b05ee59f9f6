package openai

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/secret"
)

func TestASecretHeaderIsSentAndNeverToldBack(t *testing.T) {
	var got http.Header
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header().Set("X-Request-Id", "for "+r.Header.Get("Api-Key"))
		w.WriteHeader(403)
		io.WriteString(w, `{"error":{"message":"`+r.Header.Get("Api-Key")+` and `+r.Header.Get("Authorization")+` open nothing"}}`)
	}))
	defer upstream.Close()
	p, err := New("azure", gateway.ProviderConfig{
		BaseURL: upstream.URL + "/v1", APIKey: secret.New("sk-one-secret"), Headers: map[string]string{"api-version": "2026-01"},
		SecretHeaders: map[string]secret.Value{"api-key": secret.New("another-secret"), "unset": {}},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r, err := p.Send(context.Background(), &gateway.Attempt{Surface: llm.ChatCompletions, Model: "m", Body: []byte(`{"model":"m"}`)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got.Get("Api-Key") != "another-secret" || got.Get("Api-Version") != "2026-01" || got.Get("Authorization") != "Bearer sk-one-secret" || got.Values("Unset") != nil {
		t.Errorf("sent %v", got)
	}
	if told := string(body) + r.RequestID; strings.Contains(told, "secret") || strings.Count(told, "[key]") != 3 {
		t.Errorf("told %s", told)
	}
}
