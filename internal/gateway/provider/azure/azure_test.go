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

func TestModelsAreListedWhereTheyAre(t *testing.T) {
	for _, c := range []struct{ base, version, want string }{
		{"https://x/openai/v1", "", "https://x/openai/v1/models"},
		{"https://x/openai/v1/", "preview", "https://x/openai/v1/models?api-version=preview"},
		{"https://x/", "2024-10-21", "https://x/openai/models?api-version=2024-10-21"},
		{"https://x/openai", "2024-10-21", "https://x/openai/models?api-version=2024-10-21"},
	} {
		address, header := Models(gateway.ProviderConfig{BaseURL: c.base, APIVersion: c.version, APIKey: secret.New("k")})
		if address != c.want || header.Get("api-key") != "k" || header.Get("Authorization") != "" {
			t.Errorf("%s %v", address, header)
		}
	}
}
