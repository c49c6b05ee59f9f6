package azure

import (
	"testing"

	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/providertest"
	"airfield/internal/llm"
	"airfield/internal/secret"
)

func options() providertest.Options {
	return providertest.Options{
		Model: "gpt-4o", Base: "/openai/v1", Surface: llm.ChatCompletions, NoCacheWrites: true, ThoughtsUntold: true,
		Config:  gateway.ProviderConfig{Kind: gateway.Azure, OutputCap: "max_completion_tokens"},
		Path:    func(bool) string { return "/openai/v1/chat/completions" },
		Headers: map[string]string{"api-key": providertest.Key, "Authorization": "", "Content-Type": "application/json"},
	}
}

func TestDeploymentsShareAnAddress(t *testing.T) { providertest.Run(t, New, options()) }

func TestEachDeploymentHasAnAddress(t *testing.T) {
	o := options()
	o.Again = true
	o.Base, o.Config.APIVersion = "", "2024-10-21"
	o.Path = func(bool) string { return "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21" }
	providertest.Run(t, New, o)
}

func TestATokenOfEntraGoesInPlaceOfAKey(t *testing.T) {
	o := options()
	o.Again = true
	o.Config.SecretHeaders = map[string]secret.Value{"Authorization": secret.New("Bearer eyJ.token.of-entra")}
	o.Headers = map[string]string{"api-key": "", "Authorization": "Bearer eyJ.token.of-entra"}
	providertest.Run(t, New, o)
}
