package openai

import (
	"testing"

	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/providertest"
	"airfield/internal/llm"
)

func TestWhoDeviatesIsUnderstood(t *testing.T) {
	providertest.Deviations(t, New, providertest.Options{
		Base: "/v1", Surface: llm.ChatCompletions, Config: gateway.ProviderConfig{Kind: "openai", OutputCap: "max_tokens"},
	}, "testdata/deviation/*.txtar")
}
