package cost

import (
	"fmt"
	"time"

	"airfield/internal/llm"
)

// layer is a set of prices, indexed. It does not change once it is used.
type layer struct {
	exact  map[name][]*line
	dated  map[name][]*line
	quotes []Quote
}

// line is a price as calls are charged by it.
type line struct {
	from, until time.Time
	layer       string
	price       llm.Price
}

func newLayer() *layer { return &layer{exact: map[name][]*line{}, dated: map[name][]*line{}} }

// add takes a price in, or says why it cannot be one.
func (l *layer) add(q Quote) error {
	if err := q.Row.Check(); err != nil {
		return err
	}
	q.ID = q.Row.id(q.Layer)
	n := &line{from: q.From.Time, until: q.Until.Time, layer: q.Layer, price: q.Row.price(q.ID)}
	seen := map[string]bool{}
	for _, model := range q.names() {
		if seen[model] {
			return fmt.Errorf("%q is named twice", model)
		}
		seen[model] = true
		for _, other := range l.exact[name{q.Provider, model}] {
			if n.overlaps(other) {
				return fmt.Errorf("%s has two prices at one time", model)
			}
		}
	}
	for _, model := range q.names() {
		key := name{q.Provider, model}
		l.exact[key] = append(l.exact[key], n)
		if q.Dated {
			l.dated[key] = append(l.dated[key], n)
		}
	}
	l.quotes = append(l.quotes, q)
	return nil
}

// id is what a call's row says of the price it was charged by.
func (r *Row) id(layer string) string {
	id := r.Provider + "/" + r.Model + "@" + r.AsOf.UTC().Format(time.DateOnly)
	if !r.From.IsZero() {
		id = r.Provider + "/" + r.Model + "@" + r.From.UTC().Format(time.DateOnly)
	}
	if layer == Imported {
		return Imported + ":" + id
	}
	return id
}

func holding(lines []*line, at time.Time) *line {
	for _, l := range lines {
		if !at.Before(l.from) && (l.until.IsZero() || at.Before(l.until)) {
			return l
		}
	}
	return nil
}

func (l *line) overlaps(o *line) bool {
	return (l.until.IsZero() || o.from.Before(l.until)) && (o.until.IsZero() || l.from.Before(o.until))
}
