package anthropic

import (
	"testing"

	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/providertest"
)

func TestAnthropicIsSpokenTo(t *testing.T) {
	providertest.Run(t, New, providertest.Options{
		Model: "claude-sonnet-4-5", Base: "/v1", Config: gateway.ProviderConfig{Kind: gateway.Anthropic},
		Path:    func(bool) string { return "/v1/messages" },
		Headers: map[string]string{"X-Api-Key": providertest.Key, "Authorization": "", "Anthropic-Version": version, "Content-Type": "application/json"},
	})
}
