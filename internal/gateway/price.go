package gateway

import (
	"fmt"

	"airfield/internal/llm"
	"airfield/internal/money"
)

// PriceConfig is what a deployment charges: dollars per million tokens or characters, for an image, a second and a request.
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
	ImageInput     money.Nanos            `yaml:"image_input" json:"image_input" doc:"Tokens of pictures that go in; by default as input."`
	Characters     money.Nanos            `yaml:"characters" json:"characters" doc:"Characters that are spoken: dollars per million."`
	Seconds        money.Nanos            `yaml:"seconds" json:"seconds" doc:"Dollars for a second of sound that is heard."`
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
	ImageInput     money.Nanos `yaml:"image_input" json:"image_input" doc:"Tokens of pictures that go in."`
	Characters     money.Nanos `yaml:"characters" json:"characters" doc:"Characters that are spoken: dollars per million."`
	Seconds        money.Nanos `yaml:"seconds" json:"seconds" doc:"Dollars for a second of sound that is heard."`
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
	usual := RateConfig{p.Input, p.CacheRead, p.CacheWrite, p.CacheWriteLong, p.AudioInput, p.Output, p.Reasoning, p.AudioOutput, p.Images, p.Requests, p.ImageInput, p.Characters, p.Seconds}
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
		ImageInput: money.PerMillion(r.ImageInput), Characters: money.PerMillion(r.Characters), Seconds: each(r.Seconds),
	}
}

const mostEach = 1000 * money.Dollar // for an image, a request or a second: Check refuses more

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
	rates := []RateConfig{{Images: p.Images, Requests: p.Requests, Seconds: p.Seconds}}
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
		if max(r.Images, r.Requests, r.Seconds) > mostEach {
			return fmt.Errorf("images, requests and seconds are dollars for one: at most %s", mostEach)
		}
	}
	return nil
}
