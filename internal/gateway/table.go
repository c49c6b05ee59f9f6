package gateway

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"airfield/internal/fault"
	"airfield/internal/limit"
	"airfield/internal/llm"
	"airfield/internal/redact"
)

// table is one configuration made ready: it never changes after it was built.
type table struct {
	providers map[string]*connected
	models    map[string]*model
	tiers     map[string]*model // what serves tier/NAME
	health    map[string]*health
	workflows map[string]*workflow
	routing   Routing
	rules     *redact.Rules
}

// workflow is the policy for one workflow's calls.
type workflow struct {
	WorkflowConfig
	priority int
	ask      limit.Ask
	low      *lowered
	allowed  map[*model]bool // nil for all models
	alike    *alike          // nil where only the same text gets the same answer
}

type connected struct {
	Provider
	config ProviderConfig
}

type model struct {
	ModelConfig
	name        string
	deployments []*deployment
	chain       []*model // itself and its fallbacks, in the order in which they are asked
	ask         limit.Ask
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
	outputCap    string // the field that bounds the output
	model        *model
	context      int64
	maxOutput    int64
	lacks        ability
	weight       int
	asks         []limit.Ask // the limits of the model and its own
	health       *health
}

// build makes a table. Providers whose configuration has not changed are taken over, with their connections.
func (g *Gateway) build(c Config, old *table) (_ *table, err error) {
	t := &table{providers: map[string]*connected{}, models: map[string]*model{}, health: map[string]*health{}, workflows: map[string]*workflow{}, routing: c.Routing}
	defer func() {
		if err != nil {
			t.closeExcept(old)
		}
	}()
	if t.rules, err = redact.New(c.Redaction); err != nil {
		return nil, fault.New(fault.Invalid, "redaction", "redaction.%w", err)
	}
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
		m := &model{ModelConfig: mc, name: name, ask: limit.Ask{Name: "model:" + name, Rate: mc.Limits}}
		for _, dc := range mc.Deployments {
			m.deployments = append(m.deployments, g.deployment(t, old, m, dc))
		}
		t.models[name] = m
	}
	for _, m := range t.models {
		m.chain = append(m.chain, m)
		for _, name := range m.Fallback {
			m.chain = append(m.chain, t.models[name])
		}
	}
	t.buildTiers()
	for name, wc := range c.Workflows {
		var before *workflow
		if old != nil {
			before = old.workflows[name]
		}
		low := new(lowered)
		if before != nil {
			low = before.low
		}
		w := &workflow{WorkflowConfig: wc, priority: priorities[wc.Priority], ask: limit.Ask{Name: "workflow:" + name, Rate: wc.Limits}, low: low}
		w.allowed = t.allowedModels(w)
		w.alike = alikeFor(wc.Cache.Semantic, before)
		t.workflows[name] = w
	}
	return t, nil
}

func (g *Gateway) deployment(t, old *table, m *model, dc DeploymentConfig) *deployment {
	p := t.providers[dc.Provider]
	d := &deployment{
		name: dc.Provider + "/" + dc.Model, providerName: dc.Provider, priceList: p.config.PriceList, upstream: dc.Model, quoted: quote(dc.Model),
		provider: p.Provider, timeouts: p.config.Timeouts, omitUsage: p.config.OmitStreamUsage, outputCap: p.config.OutputCap,
		model: m, context: m.Context, maxOutput: m.MaxOutput, lacks: abilitiesOf(m.Lacks, dc.Lacks), weight: dc.Weight,
	}
	d.asks = appendAsk(appendAsk(nil, m.ask), limit.Ask{Name: "deployment:" + d.name, Rate: dc.Limits})
	if dc.Prices != nil {
		price := dc.Prices.price("config:" + d.name)
		d.price = &price
	}
	if d.health = t.health[d.name]; d.health == nil {
		d.health = g.healthOf(d, t, old)
		t.health[d.name] = d.health
	}
	return d
}

// healthOf takes over what is known of a deployment whose provider is still the same.
func (g *Gateway) healthOf(d *deployment, t, old *table) *health {
	if old != nil {
		h := old.health[d.name]
		if h != nil && h.breaker.config == t.routing.Breaker && old.providers[d.providerName] == t.providers[d.providerName] {
			return h
		}
	}
	return newHealth(d.name, t.routing.Breaker, g.queue.Wake, g.breakerChanged)
}

// TierPrefix begins the name of a model that stands for a cost tier: tier/economy.
const TierPrefix = "tier/"

// buildTiers makes a model of each cost tier, of the chat models in it: the cheapest deployment is asked first. Vectors
// of different models do not go together, so there are none for them. The builtin models, which cost nothing and know
// little, stand for a tier only while nothing else does.
func (t *table) buildTiers() {
	t.tiers = map[string]*model{}
	for _, builtin := range []bool{false, true} {
		filled := maps.Clone(t.tiers)
		for _, name := range slices.Sorted(maps.Keys(t.models)) {
			m := t.models[name]
			if m.Tier == "" || m.Dimensions > 0 || t.builtin(m) != builtin || builtin && filled[m.Tier] != nil {
				continue
			}
			tier := t.tiers[m.Tier]
			if tier == nil {
				tier = &model{ModelConfig: ModelConfig{Tier: m.Tier, Choose: chooseCheapest}, name: TierPrefix + m.Tier}
				tier.chain = []*model{tier}
				t.tiers[m.Tier] = tier
			}
			tier.deployments = append(tier.deployments, m.deployments...)
		}
	}
}

// builtin reports whether nobody else serves a model.
func (t *table) builtin(m *model) bool {
	return !slices.ContainsFunc(m.deployments, func(d *deployment) bool { return t.providers[d.providerName].config.Kind != Builtin })
}

// find returns the model that a name stands for.
func (t *table) find(surface llm.Surface, name string) (*model, error) {
	tier, ok := strings.CutPrefix(name, TierPrefix)
	if !ok {
		if m := t.models[name]; m != nil {
			return m, nil
		}
		return nil, unknownModel(name)
	}
	if !shapeOf(surface).generates {
		return nil, fault.New(fault.Invalid, "tier_surface", "%s cannot be asked of a cost tier: vectors of different models do not go together", surface).At("model").Hinted("name a model")
	}
	if m := t.tiers[tier]; m != nil {
		return m, nil
	}
	return nil, fault.New(fault.NotFound, "tier_empty", "no model is of the cost tier %q", tier).At("model").
		Hinted("set tier of a model to economy, standard or premium; there are models of %v", slices.Sorted(maps.Keys(t.tiers)))
}

// appendAsk leaves out what limits nothing.
func appendAsk(asks []limit.Ask, a limit.Ask) []limit.Ask {
	if a.Rate.Zero() {
		return asks
	}
	return append(asks, a)
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
	return fault.New(fault.NotFound, "model_not_found", "there is no model %q", clip(name, maxModelName)).At("model").
		Hinted("GET /v1/models lists the models of this key")
}
