package gateway

import (
	"maps"
	"slices"
	"time"

	"airfield/internal/llm"
)

// Pricing is what a configuration says of prices, to find the cost of a call after it ended.
type Pricing struct {
	overrides map[overridden]*llm.Price
	lists     map[string]string // the price list of a provider
	all       []Overriding
}

type overridden struct{ model, deployment string } // model is empty where every model of that deployment has the same

// Overriding is a price that the configuration sets.
type Overriding struct {
	Model      string // as callers ask
	Deployment string
	Provider   string // whose list it goes before
	Upstream   string
	Price      llm.Price
}

// Pricing returns what the configuration says of prices.
func (c Config) Pricing() *Pricing {
	c = c.complete()
	p := &Pricing{overrides: map[overridden]*llm.Price{}, lists: map[string]string{}}
	for name, provider := range c.Providers {
		p.lists[name] = provider.PriceList
	}
	for _, model := range slices.Sorted(maps.Keys(c.Models)) {
		for _, d := range c.Models[model].Deployments {
			if d.Prices == nil {
				continue
			}
			name := d.Provider + "/" + d.Model
			price := d.Prices.price("config:" + name)
			p.overrides[overridden{model, name}] = &price
			if _, have := p.overrides[overridden{"", name}]; !have {
				p.overrides[overridden{"", name}] = &price
			}
			p.all = append(p.all, Overriding{Model: model, Deployment: name, Provider: p.lists[d.Provider], Upstream: d.Model, Price: price})
		}
	}
	return p
}

// Price is what the deployment that served a call charges at a time: by the configuration, else by the price list. A
// call that asked for another name than that of a model, such as a cost tier, is charged as the first model that has
// the deployment.
func (p *Pricing) Price(c *llm.Call, list Prices, at time.Time) (llm.Price, bool) {
	for _, model := range [...]string{c.Model, ""} {
		if price := p.overrides[overridden{model, c.Deployment}]; price != nil {
			return *price, true
		}
	}
	provider, ok := p.lists[c.Provider]
	if !ok {
		provider = c.Provider // it is no longer configured
	}
	return list.Price(provider, c.Upstream, at)
}

// Overrides are the prices that the configuration sets.
func (p *Pricing) Overrides() []Overriding { return p.all }
