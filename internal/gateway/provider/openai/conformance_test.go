package openai

import (
	"testing"

	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/providertest"
	"airfield/internal/llm"
)

func TestOpenAIIsSpokenTo(t *testing.T) {
	providertest.Run(t, New, providertest.Options{
		Model: "gpt-4o", Base: "/v1", Surface: llm.ChatCompletions, NoCacheWrites: true,
		Config:  gateway.ProviderConfig{Kind: "openai", OutputCap: "max_completion_tokens"},
		Path:    func(bool) string { return "/v1/chat/completions" },
		Headers: map[string]string{"Authorization": "Bearer " + providertest.Key, "Content-Type": "application/json"},
	})
}
