package cost

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"airfield/internal/llm"
)

// list is the price list: public list prices, each with its source and a day on which it was true. A model that charges
// in a way that is not known in full is left out, and so is flagged as unpriced rather than counted too low.
//
//go:embed prices.json
var list []byte

// The layers of prices, the strongest first.
const (
	Override = "deployment" // of the configuration
	Imported = "imported"
	Builtin  = "list" // in the binary
)

// Quote is a price with where it is from, for people.
type Quote struct {
	Row
	ID         string    `json:"id"`
	Layer      string    `json:"layer" enum:"deployment,imported,list"`
	Deployment string    `json:"deployment,omitempty" doc:"Whose price it is, where the configuration sets one."`
	ImportedAt time.Time `json:"imported_at,omitzero"`
	ImportedBy string    `json:"imported_by,omitempty"`

	meant Day // the end that it was imported with, before a later price put one to it
}

// Names reports whether a model has the text in one of its names, or is meant by a name with a date.
func (q *Quote) Names(text string) bool {
	return slices.ContainsFunc(q.names(), func(model string) bool {
		return strings.Contains(model, text) || q.Dated && model == undated(text)
	})
}

type name struct{ provider, model string }

// Prices knows what providers charge: what was imported, and beneath it the list in the binary. It is used by many at
// once; what was imported is swapped whole.
type Prices struct {
	list     *layer
	imported atomic.Pointer[layer]
}

// NewPrices reads the list that is in the binary: no network, no file.
func NewPrices() (*Prices, error) {
	l, err := parse(list)
	if err != nil {
		return nil, err
	}
	p := &Prices{list: l}
	p.imported.Store(&layer{})
	return p, nil
}

func parse(text []byte) (*layer, error) {
	var rows []Row
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&rows); err != nil {
		return nil, fmt.Errorf("read the price list: %w", err)
	}
	l := newLayer()
	for _, r := range rows {
		if err := l.add(Quote{Row: r, Layer: Builtin}); err != nil {
			return nil, fmt.Errorf("read the price list: %s/%s: %w", r.Provider, r.Model, err)
		}
	}
	return l, nil
}

// Price is what a provider charges for a model at a time. False means that no price is known: the cost of a call is then
// unknown, which is not nothing. A price for the very name goes before one for the name without its date, and within
// that what was imported goes before the list.
func (p *Prices) Price(provider, model string, at time.Time) (llm.Price, bool) {
	q, ok := p.find(provider, model, at)
	if !ok {
		return llm.Price{}, false
	}
	return q.price, true
}

func (p *Prices) find(provider, model string, at time.Time) (*line, bool) {
	model = bare(model)
	n, imported, named := name{provider, model}, p.imported.Load(), false
	for _, l := range [...]*layer{imported, p.list} {
		lines := l.exact[n]
		named = named || len(lines) > 0
		if found := holding(lines, at); found != nil {
			return found, true
		}
	}
	if named {
		return nil, false // but not for that time
	}
	n.model = undated(model)
	for _, l := range [...]*layer{imported, p.list} {
		if found := holding(l.dated[n], at); found != nil {
			return found, true
		}
	}
	return nil, false
}

// List returns every price, what was imported first.
func (p *Prices) List() []Quote {
	imported := p.imported.Load().quotes
	return append(append(make([]Quote, 0, len(imported)+len(p.list.quotes)), imported...), p.list.quotes...)
}

// At returns the prices that are in force at a time: for each model and each of its names the one that would be charged.
func (p *Prices) At(at time.Time) []Quote {
	var out []Quote
	for _, q := range p.List() {
		kept := q
		kept.Aliases = nil
		var names []string
		for _, model := range q.names() {
			if found, ok := p.find(q.Provider, model, at); ok && found.price.ID == q.ID && found.layer == q.Layer {
				names = append(names, model)
			}
		}
		if len(names) > 0 {
			kept.Model, kept.Aliases = names[0], names[1:]
			out = append(out, kept)
		}
	}
	return out
}

// bare is a model's id without the ARN that names it on Amazon Bedrock: arn:aws:bedrock:REGION:ACCOUNT:inference-profile/ID.
// The ids of an account's own profiles name no model. What stands before an id for its geography (us., eu., global.) stays:
// prices differ by it.
func bare(model string) string {
	if !strings.HasPrefix(model, "arn:") {
		return model
	}
	kind, id, _ := strings.Cut(model, "/")
	if !strings.HasSuffix(kind, ":inference-profile") && !strings.HasSuffix(kind, ":foundation-model") {
		return model
	}
	return id
}

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
