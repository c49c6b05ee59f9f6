// Package gateway is one call's way: route, attempt, relay, settle, record. The doors (api) bring it calls from
// outside, ingestion and retrieval call it in process; every one of them goes the same way and leaves a row.
package gateway

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"

	"airfield/internal/limit"
	"airfield/internal/secret"
)

// Config says which models there are and who serves them.
type Config struct {
	Providers map[string]ProviderConfig `yaml:"providers" json:"providers" doc:"The upstreams, by a name of your choice."`
	Models    map[string]ModelConfig    `yaml:"models" json:"models" doc:"The models that callers may ask for, by the name they use."`
	Routing   Routing                   `yaml:"routing" json:"routing" doc:"How calls are brought to deployments: deadlines, attempts, breakers, queues."`

	Workflows map[string]WorkflowConfig `yaml:"-" json:"-"` // of the section of that name, which others share
}

// ProviderConfig is one upstream.
type ProviderConfig struct {
	Kind            string                  `yaml:"kind" json:"kind" doc:"What it speaks: openai for every OpenAI-compatible endpoint, azure, gemini (also for Vertex AI), bedrock, or builtin."`
	BaseURL         string                  `yaml:"base_url" json:"base_url" doc:"Where it is, up to and including the version: https://api.openai.com/v1. May be left out for gemini, where it is the Gemini API, and for bedrock, whose region says it. For azure https://NAME.openai.azure.com/openai/v1."`
	APIKey          secret.Value            `yaml:"api_key" json:"api_key" doc:"The key it asks for, as env:NAME or file:PATH; left out for endpoints without one."`
	Headers         map[string]string       `yaml:"headers" json:"headers" doc:"Further headers sent with every request."`
	SecretHeaders   map[string]secret.Value `yaml:"secret_headers" json:"secret_headers" doc:"Further headers whose values are secrets, as env:NAME or file:PATH: an endpoint's own way to ask for a key, such as api-key."`
	PriceList       string                  `yaml:"price_list" json:"price_list" doc:"The provider whose prices apply; by default the one of this name; for the kinds azure, bedrock and gemini it is openai, bedrock and google."`
	OmitStreamUsage bool                    `yaml:"omit_stream_usage" json:"omit_stream_usage" doc:"Do not ask for usage on streams, for endpoints that refuse stream_options; tokens are then estimated."`
	Surfaces        []string                `yaml:"surfaces" json:"surfaces" doc:"Which APIs an endpoint of kind openai serves itself: chat.completions, embeddings and whatever else; requests of another are told to it as chat completions. Default: chat.completions and embeddings, and for OpenAI's own prices all of OpenAI's."`
	OutputCap       string                  `yaml:"output_cap" json:"output_cap" doc:"The field in which it takes a bound of the output, where Airfield must set one: max_tokens, or max_completion_tokens, which is the default for OpenAI's own prices."`
	APIVersion      string                  `yaml:"api_version" json:"api_version" doc:"Of azure: the version of its API, such as 2024-10-21, where its deployments are asked by their own addresses. Leave it out for a base_url that ends with /openai/v1."`
	Region          string                  `yaml:"region" json:"region" doc:"Of bedrock: the AWS region. Default: what AWS_REGION or the profile of this machine says."`
	AccessKeyID     secret.Value            `yaml:"access_key_id" json:"access_key_id" doc:"Of bedrock: who signs the requests, as env:NAME or file:PATH, where it is neither api_key nor what AWS's own tools find on this machine (environment, profile, role)."`
	SecretAccessKey secret.Value            `yaml:"secret_access_key" json:"secret_access_key" doc:"Of bedrock: the secret of access_key_id, as env:NAME or file:PATH."`
	SessionToken    secret.Value            `yaml:"session_token" json:"session_token" doc:"Of bedrock: the token that goes with temporary keys, as env:NAME or file:PATH."`
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
	Total         time.Duration `yaml:"total" json:"total" doc:"The longest an attempt may take at this provider, from sending it to its last byte."`
}

// ModelConfig is one model under the name callers use.
type ModelConfig struct {
	Tier        string             `yaml:"tier" json:"tier" doc:"Its cost tier: economy, standard or premium."`
	Dimensions  int                `yaml:"dimensions" json:"dimensions" doc:"The length of its vectors, for an embedding model."`
	Context     int64              `yaml:"context_tokens" json:"context_tokens" doc:"Its context window: longer requests pass it by. It also bounds what a request with pictures can cost."`
	MaxOutput   int64              `yaml:"max_output_tokens" json:"max_output_tokens" doc:"The bound of an answer that Airfield sets under a hard budget where the caller set none. Default 4096."`
	Lacks       []string           `yaml:"lacks" json:"lacks" doc:"What it cannot do: tools, images, audio, json_schema, stream. Requests that need it pass it by."`
	Choose      string             `yaml:"choose" json:"choose" doc:"Which deployment is asked first: order (as they are written, the default), weighted (by chance), least_loaded (by calls in flight) or cheapest (for this request)."`
	Fallback    []string           `yaml:"fallback" json:"fallback" doc:"Models that are asked, in this order, when its own deployments cannot serve a call."`
	Limits      limit.Rate         `yaml:"limits" json:"limits" doc:"What all calls for it together may use."`
	Deployments []DeploymentConfig `yaml:"deployments" json:"deployments" doc:"Who serves it."`
}

// The ways to choose among deployments.
const (
	chooseOrder    = "order"
	chooseWeighted = "weighted"
	chooseLoaded   = "least_loaded"
	chooseCheapest = "cheapest"
)

// DeploymentConfig is one provider's endpoint for a model.
type DeploymentConfig struct {
	Provider string       `yaml:"provider" json:"provider" doc:"A name from providers."`
	Model    string       `yaml:"model" json:"model" doc:"The provider's name of the model; by default the same."`
	Weight   int          `yaml:"weight" json:"weight" doc:"Its share of the calls, for weighted and least_loaded. Default 1."`
	Lacks    []string     `yaml:"lacks" json:"lacks" doc:"What it cannot do, besides what the model lacks."`
	Limits   limit.Rate   `yaml:"limits" json:"limits" doc:"What calls to it may use: the provider's limits for your account, so that they are not run into."`
	Prices   *PriceConfig `yaml:"prices" json:"prices" doc:"What it charges, where that differs from the price list."`
}

// The builtin models are always there, with no network and no key.
const (
	Builtin       = "builtin"
	BuiltinEmbed  = "builtin-embed"
	BuiltinAnswer = "builtin-answer"
)

// The kinds that the configuration knows more of than their names.
const (
	Azure   = "azure"
	Gemini  = "gemini"  // it has an address of its own
	Bedrock = "bedrock" // its address follows from its region
)

// priceLists are those of kinds whose prices have one list under any name. Azure charges for its global deployments what
// OpenAI does.
var priceLists = map[string]string{Azure: "openai", Bedrock: Bedrock, Gemini: "google"}

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
	full.Routing, full.Workflows = c.Routing, c.Workflows
	if full.Routing == (Routing{}) {
		full.Routing = DefaultRouting()
	}
	for name, p := range full.Providers {
		p.Timeouts = p.Timeouts.complete()
		if p.PriceList == "" {
			p.PriceList = cmp.Or(priceLists[p.Kind], name)
		}
		if p.OutputCap == "" {
			p.OutputCap = maxTokens
			if p.PriceList == "openai" {
				p.OutputCap = maxCompletionTokens
			}
		}
		full.Providers[name] = p
	}
	for name, m := range full.Models {
		m.Deployments = slices.Clone(m.Deployments)
		for i := range m.Deployments {
			d := &m.Deployments[i]
			d.Model, d.Weight = cmp.Or(d.Model, name), cmp.Or(d.Weight, 1)
		}
		m.Choose, m.MaxOutput = cmp.Or(m.Choose, chooseOrder), cmp.Or(m.MaxOutput, 4096)
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
