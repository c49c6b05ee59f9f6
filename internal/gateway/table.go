package gateway

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"airfield/internal/fault"
	"airfield/internal/llm"
)

// table is one configuration made ready: it never changes after it was built.
type table struct {
	providers map[string]*connected
	models    map[string]*model
}

type connected struct {
	Provider
	config ProviderConfig
}

type model struct {
	ModelConfig
	deployments []*deployment
}

type deployment struct {
	name         string // PROVIDER/MODEL, as the log shows it
	providerName string
	priceList    string
	upstream     string // the provider's name of the model
	quoted       string // the same as JSON
	provider     Provider
	price        *llm.Price // from the configuration, where it has one
	timeouts     Timeouts
	omitUsage    bool
}

// build makes a table. Providers whose configuration has not changed are taken over, with their connections.
func (g *Gateway) build(c Config, old *table) (_ *table, err error) {
	t := &table{providers: map[string]*connected{}, models: map[string]*model{}}
	defer func() {
		if err != nil {
			t.closeExcept(old)
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		pc := c.Providers[name]
		if old != nil {
			if p := old.providers[name]; p != nil && reflect.DeepEqual(p.config, pc) {
				t.providers[name] = p
				continue
			}
		}
		kind, ok := g.kinds[pc.Kind]
		if !ok {
			return nil, fault.New(fault.Invalid, "provider_kind", "providers.%s.kind %q is not known", name, pc.Kind).
				Hinted("known kinds: %v", slices.Sorted(maps.Keys(g.kinds)))
		}
		p, err := kind(name, pc, g.log.With("provider", name))
		if err != nil {
			return nil, fault.New(fault.Invalid, "provider_config", "provider %s: %w", name, err)
		}
		t.providers[name] = &connected{Provider: p, config: pc}
	}
	for name, mc := range c.Models {
		m := &model{ModelConfig: mc}
		for _, dc := range mc.Deployments {
			p := t.providers[dc.Provider]
			d := &deployment{
				name: dc.Provider + "/" + dc.Model, providerName: dc.Provider, priceList: p.config.PriceList, upstream: dc.Model, quoted: quote(dc.Model),
				provider: p.Provider, timeouts: p.config.Timeouts, omitUsage: p.config.OmitStreamUsage,
			}
			if dc.Prices != nil {
				price := dc.Prices.price("config:" + d.name)
				d.price = &price
			}
			m.deployments = append(m.deployments, d)
		}
		t.models[name] = m
	}
	return t, nil
}

// closeExcept closes the providers that other does not use.
func (t *table) closeExcept(other *table) {
	if t == nil {
		return
	}
	for name, p := range t.providers {
		if other == nil || other.providers[name] != p {
			p.Close() // nothing is lost by an idle connection that does not close
		}
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string is always JSON
	return string(b)
}

func unknownModel(name string) *fault.Fault {
	return fault.New(fault.NotFound, "model_not_found", "there is no model %q", name).At("model").
		Hinted("GET /v1/models lists the models of this key")
}
