package cost

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"airfield/internal/llm"
	"airfield/internal/money"
)

// list is the price list: public list prices in nano-dollars per million tokens (dollars per million times 10⁹), each
// with its source and the day it was true. It holds only models that have one price: those that charge a long prompt
// at another rate are left out, and so are flagged as unpriced rather than counted too low.
//
//go:embed prices.json
var list []byte

// row is a line of the list.
type row struct {
	Provider   string           `json:"provider"`
	Model      string           `json:"model"`
	Aliases    []string         `json:"aliases"`
	Dated      bool             `json:"dated"` // also any of these names with a date behind: gpt-4o-2024-08-06
	Free       bool             `json:"free"`
	From       string           `json:"from"`  // the first day, in UTC; empty is always
	Until      string           `json:"until"` // the first day it is no longer true
	Input      money.PerMillion `json:"input"`
	CacheRead  money.PerMillion `json:"cache_read"`
	CacheWrite money.PerMillion `json:"cache_write"`
	Output     money.PerMillion `json:"output"`
	Reasoning  money.PerMillion `json:"reasoning"`
	Source     string           `json:"source"`
	AsOf       string           `json:"as_of"`
}

// Quote is a line of the price list, for people.
type Quote struct {
	Provider string    `json:"provider"`
	Model    string    `json:"model"`
	Price    llm.Price `json:"price"`
	From     time.Time `json:"from,omitzero"`
	Until    time.Time `json:"until,omitzero"`
	Source   string    `json:"source"`
	AsOf     time.Time `json:"as_of"`
}

type name struct{ provider, model string }

// Prices is the list, indexed. It never changes, and is used by many at once.
type Prices struct {
	exact map[name][]Quote
	dated map[name][]Quote
	all   []Quote
}

// NewPrices reads the list that is in the binary: no network, no file.
func NewPrices() (*Prices, error) { return parse(list) }

func parse(text []byte) (*Prices, error) {
	var rows []row
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&rows); err != nil {
		return nil, fmt.Errorf("read the price list: %w", err)
	}
	p := &Prices{exact: map[name][]Quote{}, dated: map[name][]Quote{}}
	for _, r := range rows {
		q, err := r.quote()
		if err != nil {
			return nil, fmt.Errorf("read the price list: %s/%s: %w", r.Provider, r.Model, err)
		}
		p.all = append(p.all, q)
		for _, model := range append([]string{r.Model}, r.Aliases...) {
			n := name{r.Provider, model}
			for _, other := range p.exact[n] {
				if q.overlaps(other) {
					return nil, fmt.Errorf("read the price list: %s/%s has two prices at one time", r.Provider, model)
				}
			}
			p.exact[n] = append(p.exact[n], q)
			if r.Dated {
				p.dated[n] = append(p.dated[n], q)
			}
		}
	}
	return p, nil
}

func (r row) quote() (Quote, error) {
	q := Quote{Provider: r.Provider, Model: r.Model, Source: r.Source,
		Price: llm.Price{Rates: llm.Rates{Input: r.Input, CacheRead: r.CacheRead, CacheWrite: r.CacheWrite, Output: r.Output, Reasoning: r.Reasoning}}}
	for _, day := range []struct {
		text string
		into *time.Time
	}{{r.From, &q.From}, {r.Until, &q.Until}, {r.AsOf, &q.AsOf}} {
		if day.text == "" {
			continue
		}
		at, err := time.Parse(time.DateOnly, day.text)
		if err != nil {
			return q, err
		}
		*day.into = at
	}
	switch {
	case r.Provider == "" || r.Model == "" || r.Source == "" || r.AsOf == "":
		return q, fmt.Errorf("provider, model, source and as_of must be there")
	case r.Input < 0 || r.CacheRead < 0 || r.CacheWrite < 0 || r.Output < 0 || r.Reasoning < 0:
		return q, fmt.Errorf("a price is negative")
	case r.Free != (r.Input == 0 && r.Output == 0):
		return q, fmt.Errorf("what costs nothing must say that it is free, and only that")
	}
	q.Price.ID = r.Provider + "/" + r.Model + "@" + r.AsOf
	if r.From != "" {
		q.Price.ID = r.Provider + "/" + r.Model + "@" + r.From
	}
	return q, nil
}

func (q Quote) holds(at time.Time) bool {
	return !at.Before(q.From) && (q.Until.IsZero() || at.Before(q.Until))
}

func (q Quote) overlaps(o Quote) bool {
	return (q.Until.IsZero() || o.From.Before(q.Until)) && (o.Until.IsZero() || q.From.Before(o.Until))
}

// Price is what a provider charges for a model at a time. False means that no price is known: the cost of a call is then
// unknown, which is not nothing.
func (p *Prices) Price(provider, model string, at time.Time) (llm.Price, bool) {
	quotes, ok := p.exact[name{provider, model}]
	if !ok {
		quotes = p.dated[name{provider, undated(model)}]
	}
	for i := range quotes {
		if quotes[i].holds(at) {
			return quotes[i].Price, true
		}
	}
	return llm.Price{}, false
}

// List returns every line of the price list, in its order.
func (p *Prices) List() []Quote { return append([]Quote(nil), p.all...) }

// undated cuts a date off the end of a model's name: -2024-08-06 or -20241022.
func undated(model string) string {
	for _, layout := range []string{"-2006-01-02", "-20060102"} {
		if n := len(model) - len(layout); n > 0 {
			if _, err := time.Parse(layout, model[n:]); err == nil {
				return model[:n]
			}
		}
	}
	return model
}
