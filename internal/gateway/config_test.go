package gateway

import (
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"airfield/internal/llm"
)

func TestAConfigurationIsReadFromYAML(t *testing.T) {
	var c Config
	err := yaml.UnmarshalWithOptions([]byte(`
providers:
  openai: {kind: openai, base_url: https://api.openai.com/v1, api_key: env:NO_SUCH_KEY, timeouts: {first_byte: 90s}}
models:
  gpt-4o-mini:
    tier: economy
    deployments:
      - provider: openai
        prices: {input: 0.15, output: "0.60", cache_read: $0.075, reasoning: 2}
`), &c, yaml.Strict())
	if err != nil {
		t.Fatal(err)
	}
	p := c.Models["gpt-4o-mini"].Deployments[0].Prices.price("x")
	if !reflect.DeepEqual(p, llm.Price{ID: "x", Rates: llm.Rates{Input: 150_000_000, Output: 600_000_000, CacheRead: 75_000_000, Reasoning: 2_000_000_000}}) {
		t.Fatalf("%+v", p)
	}
	warnings, err := c.Check()
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "env:NO_SUCH_KEY is empty") {
		t.Fatal(warnings, err)
	}
	full := c.complete()
	if o := full.Providers["openai"]; o.Timeouts.FirstByte.String() != "1m30s" || o.Timeouts.Connect == 0 || o.PriceList != "openai" {
		t.Fatalf("%+v", o)
	}
	if full.Models["gpt-4o-mini"].Deployments[0].Model != "gpt-4o-mini" || c.Models["gpt-4o-mini"].Deployments[0].Model != "" {
		t.Fatal("the default is not filled in, or the original was changed")
	}
	if full.Models[BuiltinEmbed].Dimensions != 384 || len(full.Models[BuiltinAnswer].Deployments) != 1 {
		t.Fatal("the builtin models are missing")
	}
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	base := func() Config {
		return Config{
			Providers: map[string]ProviderConfig{"up": {Kind: "openai", BaseURL: "https://example.com/v1"}},
			Models:    map[string]ModelConfig{"m": {Deployments: []DeploymentConfig{{Provider: "up"}}}},
		}
	}
	if w, err := base().Check(); err != nil || len(w) != 0 {
		t.Fatal(w, err)
	}
	if w, err := Default().Check(); err != nil || len(w) != 0 {
		t.Fatal(w, err)
	}
	for want, spoil := range map[string]func(c *Config){
		"providers.up.kind is missing":    func(c *Config) { c.Providers["up"] = ProviderConfig{BaseURL: "https://example.com"} },
		"is not an http or https address": func(c *Config) { c.Providers["up"] = ProviderConfig{Kind: "openai", BaseURL: "example.com/v1"} },
		"must have no user, query or fragment": func(c *Config) {
			c.Providers["up"] = ProviderConfig{Kind: "openai", BaseURL: "https://a:b@example.com"}
		},
		"timeouts must not be negative": func(c *Config) {
			c.Providers["up"] = ProviderConfig{Kind: "openai", BaseURL: "https://x", Timeouts: Timeouts{Total: -1}}
		},
		"models.m.tier": func(c *Config) {
			c.Models["m"] = ModelConfig{Tier: "gold", Deployments: []DeploymentConfig{{Provider: "up"}}}
		},
		"models.m.deployments is empty":                func(c *Config) { c.Models["m"] = ModelConfig{} },
		`models.m.deployments[0].provider "nobody" is`: func(c *Config) { c.Models["m"] = ModelConfig{Deployments: []DeploymentConfig{{Provider: "nobody"}}} },
		"models.m.deployments[0].prices must not be neg": func(c *Config) {
			c.Models["m"] = ModelConfig{Deployments: []DeploymentConfig{{Provider: "up", Prices: &PriceConfig{Input: -1}}}}
		},
		"models.m.dimensions": func(c *Config) {
			c.Models["m"] = ModelConfig{Dimensions: -1, Deployments: []DeploymentConfig{{Provider: "up"}}}
		},
	} {
		c := base()
		spoil(&c)
		if _, err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
