// Package gateway is one call's way: route, attempt, relay, settle, record. The doors (api) bring it calls from
// outside, ingestion and retrieval call it in process; every one of them goes the same way and leaves a row.
package gateway

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"airfield/internal/llm"
	"airfield/internal/money"
	"airfield/internal/secret"
)

// Config says which models there are and who serves them.
type Config struct {
	Providers map[string]ProviderConfig `yaml:"providers" json:"providers" doc:"The upstreams, by a name of your choice."`
	Models    map[string]ModelConfig    `yaml:"models" json:"models" doc:"The models that callers may ask for, by the name they use."`
}

// ProviderConfig is one upstream.
type ProviderConfig struct {
	Kind            string                  `yaml:"kind" json:"kind" doc:"What it speaks: openai for every OpenAI-compatible endpoint, or builtin."`
	BaseURL         string                  `yaml:"base_url" json:"base_url" doc:"Where it is, up to and including the version: https://api.openai.com/v1."`
	APIKey          secret.Value            `yaml:"api_key" json:"api_key" doc:"The key it asks for, as env:NAME or file:PATH; left out for endpoints without one."`
	Headers         map[string]string       `yaml:"headers" json:"headers" doc:"Further headers sent with every request."`
	SecretHeaders   map[string]secret.Value `yaml:"secret_headers" json:"secret_headers" doc:"Further headers whose values are secrets, as env:NAME or file:PATH: an endpoint's own way to ask for a key, such as api-key."`
	PriceList       string                  `yaml:"price_list" json:"price_list" doc:"The provider whose prices apply; by default the one of this name."`
	OmitStreamUsage bool                    `yaml:"omit_stream_usage" json:"omit_stream_usage" doc:"Do not ask for usage on streams, for endpoints that refuse stream_options; tokens are then estimated."`
	Timeouts        Timeouts                `yaml:"timeouts" json:"timeouts" doc:"How long its parts of a call may take."`
}

// Header is what every request to the provider carries of its configuration, and which of the values are secret.
func (c ProviderConfig) Header() (header http.Header, secrets []string) {
	header = http.Header{}
	for name, value := range c.Headers {
		header.Set(name, value)
	}
	set := func(name, prefix string, value secret.Value) {
		if !value.Empty() {
			header.Set(name, prefix+value.Reveal())
			secrets = append(secrets, value.Reveal())
		}
	}
	for name, value := range c.SecretHeaders {
		set(name, "", value)
	}
	set("Authorization", "Bearer ", c.APIKey)
	return header, secrets
}

// Timeouts bounds one call. Zero means the default.
type Timeouts struct {
	Connect       time.Duration `yaml:"connect" json:"connect" doc:"The longest to connect, TLS included."`
	FirstByte     time.Duration `yaml:"first_byte" json:"first_byte" doc:"The longest from sending a request to the header of the answer; without streaming that is the whole generation."`
	BetweenChunks time.Duration `yaml:"between_chunks" json:"between_chunks" doc:"The longest silence inside an answer."`
	Total         time.Duration `yaml:"total" json:"total" doc:"The longest a call may take at this provider, over everything."`
}

// ModelConfig is one model under the name callers use.
type ModelConfig struct {
	Tier        string             `yaml:"tier" json:"tier" doc:"Its cost tier: economy, standard or premium."`
	Dimensions  int                `yaml:"dimensions" json:"dimensions" doc:"The length of its vectors, for an embedding model."`
	Deployments []DeploymentConfig `yaml:"deployments" json:"deployments" doc:"Who serves it, in the order in which they are tried."`
}

// DeploymentConfig is one provider's endpoint for a model.
type DeploymentConfig struct {
	Provider string       `yaml:"provider" json:"provider" doc:"A name from providers."`
	Model    string       `yaml:"model" json:"model" doc:"The provider's name of the model; by default the same."`
	Prices   *PriceConfig `yaml:"prices" json:"prices" doc:"What it charges, where that differs from the price list."`
}

// PriceConfig is what a deployment charges: dollars per million tokens, for an image and for a request.
type PriceConfig struct {
	Input          money.Nanos            `yaml:"input" json:"input" doc:"Tokens that go in."`
	CacheRead      money.Nanos            `yaml:"cache_read" json:"cache_read" doc:"Tokens read from the provider's cache; by default as input."`
	CacheWrite     money.Nanos            `yaml:"cache_write" json:"cache_write" doc:"Tokens written to the provider's cache; by default as input."`
	CacheWriteLong money.Nanos            `yaml:"cache_write_long" json:"cache_write_long" doc:"Tokens written to stay for an hour; by default as cache_write."`
	AudioInput     money.Nanos            `yaml:"audio_input" json:"audio_input" doc:"Tokens of sound that go in; by default as input."`
	Output         money.Nanos            `yaml:"output" json:"output" doc:"Tokens that come out."`
	Reasoning      money.Nanos            `yaml:"reasoning" json:"reasoning" doc:"Reasoning tokens; by default as output."`
	AudioOutput    money.Nanos            `yaml:"audio_output" json:"audio_output" doc:"Tokens of sound that come out; by default as output."`
	Images         money.Nanos            `yaml:"images" json:"images" doc:"Dollars for an image that is made."`
	Requests       money.Nanos            `yaml:"requests" json:"requests" doc:"Dollars for a request."`
	Context        []ContextPrice         `yaml:"context" json:"context" doc:"What the whole request costs when its prompt is long, the shortest first."`
	Services       map[string]ServiceRate `yaml:"services" json:"services" doc:"What service tiers charge, by the provider's name: batch, flex, priority."`
}

// RateConfig are the rates of a context tier or a service tier.
type RateConfig struct {
	Input          money.Nanos `yaml:"input" json:"input" doc:"Tokens that go in."`
	CacheRead      money.Nanos `yaml:"cache_read" json:"cache_read" doc:"Tokens read from the provider's cache."`
	CacheWrite     money.Nanos `yaml:"cache_write" json:"cache_write" doc:"Tokens written to the provider's cache."`
	CacheWriteLong money.Nanos `yaml:"cache_write_long" json:"cache_write_long" doc:"Tokens written to stay for an hour."`
	AudioInput     money.Nanos `yaml:"audio_input" json:"audio_input" doc:"Tokens of sound that go in."`
	Output         money.Nanos `yaml:"output" json:"output" doc:"Tokens that come out."`
	Reasoning      money.Nanos `yaml:"reasoning" json:"reasoning" doc:"Reasoning tokens."`
	AudioOutput    money.Nanos `yaml:"audio_output" json:"audio_output" doc:"Tokens of sound that come out."`
	Images         money.Nanos `yaml:"images" json:"images" doc:"Dollars for an image that is made."`
	Requests       money.Nanos `yaml:"requests" json:"requests" doc:"Dollars for a request."`
}

// ContextPrice is a context tier. A bucket that it does not name costs what it costs below, or as the bucket it belongs
// to, whichever is dearer.
type ContextPrice struct {
	Above      int64 `yaml:"above" json:"above" doc:"Tokens of the prompt, cached ones among them, above which it holds."`
	RateConfig `yaml:",inline"`
}

// ServiceRate is a service tier. A bucket that it does not name costs as in the usual tier, or as the bucket it belongs
// to, whichever is dearer.
type ServiceRate struct {
	RateConfig `yaml:",inline"`
	Context    []ContextPrice `yaml:"context" json:"context" doc:"Its own context tiers; without them it is never cheaper than the usual ones."`
}

// price is the configuration as calls are charged.
func (p PriceConfig) price(id string) llm.Price {
	usual := RateConfig{p.Input, p.CacheRead, p.CacheWrite, p.CacheWriteLong, p.AudioInput, p.Output, p.Reasoning, p.AudioOutput, p.Images, p.Requests}
	price := llm.Price{ID: id, Rates: usual.rates(), Context: contextTiers(p.Context)}
	for name, s := range p.Services {
		if price.Services == nil {
			price.Services = make(map[string]llm.Service, len(p.Services))
		}
		price.Services[name] = llm.Service{Rates: s.rates(), Context: contextTiers(s.Context)}
	}
	return price
}

func (r RateConfig) rates() llm.Rates {
	each := func(n money.Nanos) money.PerMillion {
		if n > mostEach {
			n = mostEach
		}
		return money.PerMillion(n) * 1_000_000
	}
	return llm.Rates{
		Input: money.PerMillion(r.Input), CacheRead: money.PerMillion(r.CacheRead), CacheWrite: money.PerMillion(r.CacheWrite), CacheWriteLong: money.PerMillion(r.CacheWriteLong),
		AudioInput: money.PerMillion(r.AudioInput), Output: money.PerMillion(r.Output), Reasoning: money.PerMillion(r.Reasoning), AudioOutput: money.PerMillion(r.AudioOutput),
		Images: each(r.Images), Requests: each(r.Requests),
	}
}

const mostEach = 1000 * money.Dollar // for an image or a request: Check refuses more

func contextTiers(list []ContextPrice) []llm.ContextTier {
	var tiers []llm.ContextTier
	for _, t := range list {
		tiers = append(tiers, llm.ContextTier{Above: t.Above, Rates: t.rates()})
	}
	return tiers
}

// check refuses what no provider can mean.
func (p PriceConfig) check() error {
	price := p.price("")
	if err := price.Check(); err != nil {
		return err
	}
	rates := []RateConfig{{Images: p.Images, Requests: p.Requests}}
	add := func(tiers []ContextPrice) {
		for _, t := range tiers {
			rates = append(rates, t.RateConfig)
		}
	}
	add(p.Context)
	for _, s := range p.Services {
		rates = append(rates, s.RateConfig)
		add(s.Context)
	}
	for _, r := range rates {
		if r.Images > mostEach || r.Requests > mostEach {
			return fmt.Errorf("images and requests are dollars for one: at most %s", mostEach)
		}
	}
	return nil
}

// The builtin models are always there, with no network and no key.
const (
	Builtin       = "builtin"
	BuiltinEmbed  = "builtin-embed"
	BuiltinAnswer = "builtin-answer"
)

// Default has the builtin provider and its two models.
func Default() Config { return Config{}.complete() }

// complete returns the configuration with the builtin models and every default filled in; c is left as it is.
func (c Config) complete() Config {
	full := Config{Providers: map[string]ProviderConfig{Builtin: {Kind: Builtin}}, Models: map[string]ModelConfig{
		BuiltinEmbed:  {Tier: "economy", Dimensions: 384, Deployments: []DeploymentConfig{{Provider: Builtin, Model: BuiltinEmbed}}},
		BuiltinAnswer: {Tier: "economy", Deployments: []DeploymentConfig{{Provider: Builtin, Model: BuiltinAnswer}}},
	}}
	maps.Copy(full.Providers, c.Providers)
	maps.Copy(full.Models, c.Models)
	for name, p := range full.Providers {
		p.Timeouts = p.Timeouts.complete()
		if p.PriceList == "" {
			p.PriceList = name
		}
		full.Providers[name] = p
	}
	for name, m := range full.Models {
		m.Deployments = slices.Clone(m.Deployments)
		for i := range m.Deployments {
			if m.Deployments[i].Model == "" {
				m.Deployments[i].Model = name
			}
		}
		full.Models[name] = m
	}
	return full
}

func (t Timeouts) complete() Timeouts {
	or := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	or(&t.Connect, 10*time.Second)
	or(&t.FirstByte, 2*time.Minute)
	or(&t.BetweenChunks, time.Minute)
	or(&t.Total, 10*time.Minute)
	return t
}

// Check refuses what cannot work and warns about what is unwise. Which kinds exist is for the gateway to say, which
// is given them.
func (c Config) Check() (warnings []string, err error) {
	c = c.complete()
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		p := c.Providers[name]
		where := "providers." + name
		if p.Kind == "" {
			refuse("%s.kind is missing: openai for every OpenAI-compatible endpoint, or builtin", where)
		}
		if t := p.Timeouts; t.Connect < 0 || t.FirstByte < 0 || t.BetweenChunks < 0 || t.Total < 0 {
			refuse("%s.timeouts must not be negative", where)
		}
		if p.Kind == Builtin {
			continue
		}
		u, err := url.Parse(p.BaseURL)
		switch {
		case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
			refuse("%s.base_url %q is not an http or https address, such as https://api.openai.com/v1", where, p.BaseURL)
		case u.User != nil || u.RawQuery != "" || u.Fragment != "":
			refuse("%s.base_url must have no user, query or fragment; keys go in api_key", where)
		case u.Scheme == "http" && !p.APIKey.Empty() && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1":
			warnings = append(warnings, where+".base_url is http: the key and every text travel unencrypted")
		}
		if p.APIKey.Ref() != "" && p.APIKey.Empty() {
			warnings = append(warnings, fmt.Sprintf("%s.api_key: %s is empty, requests go without a key", where, p.APIKey.Ref()))
		}
		for _, header := range slices.Sorted(maps.Keys(p.SecretHeaders)) {
			if v := p.SecretHeaders[header]; v.Empty() {
				warnings = append(warnings, fmt.Sprintf("%s.secret_headers.%s: %s is empty, requests go without it", where, header, v.Ref()))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		m := c.Models[name]
		where := "models." + name
		if name == "" {
			refuse("models: a model needs a name")
		}
		if !slices.Contains([]string{"", "economy", "standard", "premium"}, m.Tier) {
			refuse("%s.tier %q is not economy, standard or premium", where, m.Tier)
		}
		if m.Dimensions < 0 {
			refuse("%s.dimensions must not be negative", where)
		}
		if len(m.Deployments) == 0 {
			refuse("%s.deployments is empty: nobody serves it", where)
		}
		for i, d := range m.Deployments {
			if _, ok := c.Providers[d.Provider]; !ok {
				refuse("%s.deployments[%d].provider %q is not among the providers: %v", where, i, d.Provider, slices.Sorted(maps.Keys(c.Providers)))
			}
			if d.Prices != nil {
				if err := d.Prices.check(); err != nil {
					refuse("%s.deployments[%d].prices.%w", where, i, err)
				}
			}
		}
	}
	return warnings, errors.Join(errs...)
}
