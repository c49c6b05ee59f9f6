package gateway

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"airfield/internal/llm"
	"airfield/internal/money"
	"airfield/internal/secret"
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
	bedrock := Config{Providers: map[string]ProviderConfig{"aws": {Kind: Bedrock, Region: "us-gov-west-1"}}}
	if w, err := bedrock.Check(); err != nil || len(w) != 0 || bedrock.complete().Providers["aws"].PriceList != Bedrock {
		t.Fatal(w, err)
	}
	for want, spoil := range map[string]func(c *Config){
		"providers.up.kind is missing":    func(c *Config) { c.Providers["up"] = ProviderConfig{BaseURL: "https://example.com"} },
		"is not an http or https address": func(c *Config) { c.Providers["up"] = ProviderConfig{Kind: "openai", BaseURL: "example.com/v1"} },
		"must have no user, query or fragment": func(c *Config) {
			c.Providers["up"] = ProviderConfig{Kind: "openai", BaseURL: "https://a:b@example.com"}
		},
		"are for the kind bedrock": func(c *Config) {
			c.Providers["up"] = ProviderConfig{Kind: "openai", BaseURL: "https://x", Region: "eu-west-1"}
		},
		"is not the name of an AWS": func(c *Config) { c.Providers["up"] = ProviderConfig{Kind: Bedrock, Region: "evil.com/"} },
		"leave one out": func(c *Config) {
			c.Providers["up"] = ProviderConfig{Kind: Bedrock, APIKey: secret.New("k"), AccessKeyID: secret.New("a"), SecretAccessKey: secret.New("b")}
		},
		"go together": func(c *Config) { c.Providers["up"] = ProviderConfig{Kind: Bedrock, AccessKeyID: secret.New("a")} },
		"timeouts must not be negative": func(c *Config) {
			c.Providers["up"] = ProviderConfig{Kind: "openai", BaseURL: "https://x", Timeouts: Timeouts{Total: -1}}
		},
		"models.m.tier": func(c *Config) {
			c.Models["m"] = ModelConfig{Tier: "gold", Deployments: []DeploymentConfig{{Provider: "up"}}}
		},
		"models.m.deployments is empty":                func(c *Config) { c.Models["m"] = ModelConfig{} },
		`models.m.deployments[0].provider "nobody" is`: func(c *Config) { c.Models["m"] = ModelConfig{Deployments: []DeploymentConfig{{Provider: "nobody"}}} },
		"models.m.deployments[0].prices.input must not be neg": func(c *Config) {
			c.Models["m"] = ModelConfig{Deployments: []DeploymentConfig{{Provider: "up", Prices: &PriceConfig{Input: -1}}}}
		},
		"models.m.deployments[0].prices.context[1].above must be more": func(c *Config) {
			tier := ContextPrice{Above: 5, RateConfig: RateConfig{Input: 1}}
			c.Models["m"] = ModelConfig{Deployments: []DeploymentConfig{{Provider: "up", Prices: &PriceConfig{Input: 1, Context: []ContextPrice{tier, tier}}}}}
		},
		"models.m.deployments[0].prices.images and requests are dollars for one": func(c *Config) {
			c.Models["m"] = ModelConfig{Deployments: []DeploymentConfig{{Provider: "up", Prices: &PriceConfig{Images: 5000 * money.Dollar}}}}
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

func TestPricesOfEveryKindAreReadFromYAML(t *testing.T) {
	var c PriceConfig
	err := yaml.UnmarshalWithOptions([]byte(`
input: 2
output: 8
cache_write_long: 4
audio_input: 10
audio_output: 20
images: 0.04
requests: 0.001
context:
  - {above: 200000, input: 4, output: 12}
services:
  batch: {input: 1, output: 4}
  priority: {input: 3.5, output: 14, context: [{above: 100000, input: 7}]}
`), &c, yaml.Strict())
	if err != nil {
		t.Fatal(err)
	}
	dollar := money.PerMillion(money.Dollar)
	want := llm.Price{ID: "x", Rates: llm.Rates{Input: 2 * dollar, Output: 8 * dollar, CacheWriteLong: 4 * dollar, AudioInput: 10 * dollar, AudioOutput: 20 * dollar, Images: 40_000 * dollar, Requests: 1000 * dollar},
		Context: []llm.ContextTier{{Above: 200_000, Rates: llm.Rates{Input: 4 * dollar, Output: 12 * dollar}}},
		Services: map[string]llm.Service{
			"batch":    {Rates: llm.Rates{Input: dollar, Output: 4 * dollar}},
			"priority": {Rates: llm.Rates{Input: dollar * 7 / 2, Output: 14 * dollar}, Context: []llm.ContextTier{{Above: 100_000, Rates: llm.Rates{Input: 7 * dollar}}}},
		}}
	got := c.price("x")
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v", got)
	}
	if n, _ := got.CostAt("", llm.Usage{Images: 2}); n != 80*money.Dollar/1000+money.Dollar/1000 {
		t.Fatal("two images and a request cost", n)
	}
}

type noList struct{}

func (noList) Price(provider, model string, _ time.Time) (llm.Price, bool) {
	return llm.Price{ID: provider + "|" + model}, true
}

func TestTheConfigurationSaysWhatACallWasChargedBy(t *testing.T) {
	at := func(n money.Nanos) *PriceConfig { return &PriceConfig{Input: n} }
	p := Config{
		Providers: map[string]ProviderConfig{"up": {Kind: "openai", BaseURL: "https://example.com", PriceList: "openai"}},
		Models: map[string]ModelConfig{
			"a": {Deployments: []DeploymentConfig{{Provider: "up", Model: "real", Prices: at(1)}}},
			"b": {Deployments: []DeploymentConfig{{Provider: "up", Model: "real", Prices: at(2)}, {Provider: "up", Model: "other"}}},
		},
	}.Pricing()
	for name, c := range map[string]struct {
		call llm.Call
		want string
	}{
		"the model's own":          {llm.Call{Model: "b", Deployment: "up/real", Provider: "up", Upstream: "real"}, "config:up/real 2"},
		"by the name of a tier":    {llm.Call{Model: "tier/economy", Deployment: "up/real", Provider: "up", Upstream: "real"}, "config:up/real 1"},
		"none of its own":          {llm.Call{Model: "b", Deployment: "up/other", Provider: "up", Upstream: "other"}, "openai|other 0"},
		"a provider that has gone": {llm.Call{Model: "c", Deployment: "old/x", Provider: "old", Upstream: "x"}, "old|x 0"},
	} {
		price, ok := p.Price(&c.call, noList{}, time.Time{})
		if got := fmt.Sprintf("%s %d", price.ID, price.Input); !ok || got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if n := len(p.Overrides()); n != 2 {
		t.Error(n)
	}
}
