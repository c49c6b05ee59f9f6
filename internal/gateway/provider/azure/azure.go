// Package azure talks to Azure OpenAI, which speaks OpenAI's API at addresses of its own: with api_version each deployment
// has one, without it they share https://NAME.openai.azure.com/openai/v1. The gateway's wiring gives it the kind of this
// name. The model of a request is the name of a deployment.
package azure

import (
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/openai"
	"airfield/internal/secret"
)

// keyHeader is where a key is shown. Who has a token of Entra instead sets secret_headers: {Authorization: …}.
const keyHeader = "api-key"

// New connects to nothing yet; it is a gateway.Kind.
func New(name string, c gateway.ProviderConfig, _ *slog.Logger) (gateway.Provider, error) {
	c = keyed(c)
	if inV1(c) {
		return openai.Open(name, c, place(c.APIVersion))
	}
	c.BaseURL = below(c)
	return openai.Open(name, c, deployment(c.APIVersion))
}

// keyed moves the key to Azure's own header.
func keyed(c gateway.ProviderConfig) gateway.ProviderConfig {
	if !c.APIKey.Empty() {
		c.SecretHeaders = maps.Clone(c.SecretHeaders)
		if c.SecretHeaders == nil {
			c.SecretHeaders = map[string]secret.Value{}
		}
		c.SecretHeaders[keyHeader] = c.APIKey
		c.APIKey = secret.Value{}
	}
	return c
}

// inV1 reports whether the deployments share an address.
func inV1(c gateway.ProviderConfig) bool {
	return c.APIVersion == "" || strings.HasSuffix(strings.TrimRight(c.BaseURL, "/"), "/v1")
}

// below is the address that ends with /openai, whether the configuration says so or not.
func below(c gateway.ProviderConfig) string {
	base := strings.TrimRight(c.BaseURL, "/")
	if strings.HasSuffix(base, "/openai") {
		return base
	}
	return base + "/openai"
}

// place is that of the v1 API, whose versions are preview or nothing.
func place(version string) openai.Place {
	if version == "" {
		return nil
	}
	query := url.Values{"api-version": {version}}.Encode()
	return func(_, path string) (string, string) { return path, query }
}

// deployment is the place of each deployment.
func deployment(version string) openai.Place {
	query := url.Values{"api-version": {version}}.Encode()
	return func(model, path string) (string, string) {
		if path == "responses" {
			return path, query // these have one address for all deployments
		}
		return "deployments/" + url.PathEscape(model) + "/" + path, query
	}
}

// Models is where the models are listed, and what they are asked for with.
func Models(c gateway.ProviderConfig) (address string, header http.Header) {
	c = keyed(c)
	header, _ = c.Header()
	address = strings.TrimRight(c.BaseURL, "/") + "/models"
	if !inV1(c) {
		address = below(c) + "/models"
	}
	if c.APIVersion != "" {
		address += "?" + url.Values{"api-version": {c.APIVersion}}.Encode()
	}
	return address, header
}
