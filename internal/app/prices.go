package app

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/access"
	"airfield/internal/cost"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/observe"
)

// pricer finds what a call is charged after the fact: by the configuration that is in force, else by what is known of
// the price at the time of the call.
type pricer struct {
	prices *cost.Prices
	config atomic.Pointer[gateway.Pricing]
}

func newPricer(prices *cost.Prices, c gateway.Config) *pricer {
	p := &pricer{prices: prices}
	p.reload(c)
	return p
}

func (p *pricer) reload(c gateway.Config) { p.config.Store(c.Pricing()) }

func (p *pricer) price(c *llm.Call) (llm.Price, bool) {
	return p.config.Load().Price(c, p.prices, c.Start)
}

// Estimate prices the calls that a dead process left open. Where the gateway had held money for a call, the most that it
// could cost stands: it is spent, as far as anybody knows.
func (p *pricer) Estimate(c *llm.Call) {
	if price, ok := p.price(c); ok {
		cost, _ := price.CostAt(c.Service, c.Usage)
		c.Cost, c.Priced, c.PriceID = max(c.Cost, cost), true, price.ID
	}
}

// quotes are the prices in force at a time, or those of all layers and times where that is zero.
func (p *pricer) quotes(at time.Time) []cost.Quote {
	var list []cost.Quote
	for _, o := range p.config.Load().Overrides() {
		row := cost.RowOf(o.Provider, o.Upstream, o.Price)
		row.Source = "airfield.yaml, for the model " + o.Model
		list = append(list, cost.Quote{Row: row, ID: o.Price.ID, Layer: cost.Override, Deployment: o.Deployment})
	}
	if at.IsZero() {
		return append(list, p.prices.List()...)
	}
	return append(list, p.prices.At(at)...)
}

// pricing is what the admin API does with prices.
type pricing struct {
	parts   *parts
	running sync.Mutex // one repricing of a process at a time
}

// Quotes lists prices.
func (p *pricing) Quotes(at time.Time) []cost.Quote { return p.parts.pricer.quotes(at) }

// Import takes over a file of prices.
func (p *pricing) Import(ctx context.Context, f *cost.File, o cost.ImportOptions) (cost.ImportReport, error) {
	return p.parts.imports.Import(ctx, f, o)
}

// Remove takes imported prices out.
func (p *pricing) Remove(ctx context.Context, provider, model string, from cost.Day) (int64, error) {
	return p.parts.imports.Remove(ctx, provider, model, from)
}

// Reprice finds the cost of calls anew. It is written down before it begins, so that nothing changes unseen, and with
// what it changed when it ends.
func (p *pricing) Reprice(ctx context.Context, f observe.Repricing, report func(observe.Repriced) error) (sum observe.Repriced, err error) {
	if !p.running.TryLock() {
		return sum, fault.New(fault.Conflict, "reprice_running", "calls are being repriced already").Hinted("wait until that has ended; what it has done is not done twice")
	}
	defer p.running.Unlock()
	if err := p.parts.imports.Load(ctx); err != nil {
		return sum, err
	}
	detail := map[string]any{"since": f.Since.UTC(), "only_unpriced": f.OnlyUnpriced}
	for name, value := range map[string]string{"workflow": f.Workflow, "model": f.Model} {
		if value != "" {
			detail[name] = value
		}
	}
	if !f.Until.IsZero() {
		detail["until"] = f.Until.UTC()
	}
	note := func(ctx context.Context, action string) error {
		return p.parts.audit.Note(ctx, access.Entry{Action: action, Target: "calls", Detail: detail})
	}
	if !f.DryRun {
		if err := note(ctx, "prices.reprice"); err != nil {
			return sum, err
		}
		defer func() {
			detail["looked_at"], detail["changed"], detail["old_usd"], detail["new_usd"], detail["whole"] = sum.Looked, sum.Changed, sum.Old, sum.New, err == nil
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
			defer cancel()
			if noted := note(last, "prices.repriced"); err == nil {
				err = noted
			}
		}()
	}
	return p.parts.store.Reprice(ctx, f, p.parts.pricer.price, report, p.parts.repricers()...)
}

// repricers are those who keep what calls cost, besides the log.
func (p *parts) repricers() []observe.Repricer { return []observe.Repricer{p.ledger, p.budgets} }
