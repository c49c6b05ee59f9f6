package embedded

import (
	"math"

	"github.com/RoaringBitmap/roaring/v2"

	"airfield/internal/caller"
	"airfield/internal/index"
)

// attributes answers which documents, by ordinal, a clearance sees and a filter matches: a bitmap for each tier and
// each value, and the numbers in order.
type attributes struct {
	tiers [caller.Restricted + 1]*roaring.Bitmap
	keys  map[string]*column
}

// column is one attribute. Its values are strings and bools.
type column struct {
	values  map[any]*postings
	numbers ranges
}

// postings are the documents with one value: most values of a path or a name have one, which needs no bitmap.
type postings struct {
	one  uint32
	many *roaring.Bitmap
}

func newAttributes() *attributes {
	a := &attributes{keys: map[string]*column{}}
	for i := range a.tiers {
		a.tiers[i] = roaring.New()
	}
	return a
}

// each calls f with every value of the attributes.
func each(values map[string]any, f func(key string, value any)) {
	for key, value := range values {
		if list, ok := value.([]string); ok {
			for _, s := range list {
				f(key, s)
			}
			continue
		}
		f(key, value)
	}
}

func (a *attributes) add(document uint32, tier caller.Tier, values map[string]any) {
	a.tiers[tier].Add(document)
	each(values, func(key string, value any) {
		c := a.keys[key]
		if c == nil {
			c = &column{values: map[any]*postings{}}
			a.keys[key] = c
		}
		if n, ok := value.(float64); ok {
			c.numbers.add(point{n, document})
			return
		}
		p := c.values[value]
		switch {
		case p == nil:
			c.values[value] = &postings{one: document}
		case p.many != nil:
			p.many.Add(document)
		case p.one != document:
			p.many = roaring.BitmapOf(p.one, document)
		}
	})
}

func (a *attributes) remove(document uint32, tier caller.Tier, values map[string]any) {
	a.tiers[tier].Remove(document)
	each(values, func(key string, value any) {
		c := a.keys[key]
		if c == nil {
			return
		}
		if n, ok := value.(float64); ok {
			c.numbers.remove(point{n, document})
		} else if p := c.values[value]; p != nil {
			if p.many != nil {
				p.many.Remove(document)
			}
			if p.many == nil && p.one == document || p.many != nil && p.many.IsEmpty() {
				delete(c.values, value)
			}
		}
		if len(c.values) == 0 && c.numbers.empty() {
			delete(a.keys, key)
		}
	})
}

// seen returns the documents that a clearance sees and a filter matches.
func (a *attributes) seen(clearance caller.Tier, f index.Filter) *roaring.Bitmap {
	all := roaring.New()
	for tier := range a.tiers {
		if clearance.Sees(caller.Tier(tier)) {
			all.Or(a.tiers[tier])
		}
	}
	if f.Empty() || all.IsEmpty() {
		return all
	}
	return a.match(f, all)
}

// match returns those of all that the filter matches. It does not change all.
func (a *attributes) match(f index.Filter, all *roaring.Bitmap) *roaring.Bitmap {
	switch f.Type {
	case index.And:
		out := all
		for _, p := range f.Filters {
			out = a.match(p, out)
		}
		return out
	case index.Or:
		out := roaring.New()
		for _, p := range f.Filters {
			out.Or(a.match(p, all))
		}
		return out
	}
	out := roaring.New()
	c := a.keys[f.Key]
	if c != nil {
		n, _ := f.Value.(float64)
		switch f.Type {
		case index.Eq, index.Ne:
			c.equal(f.Value, out)
		case index.In, index.Nin:
			values, _ := f.Value.([]any)
			for _, v := range values {
				c.equal(v, out)
			}
		case index.Gt:
			c.numbers.between(math.Nextafter(n, math.Inf(1)), math.Inf(1), out)
		case index.Gte:
			c.numbers.between(n, math.Inf(1), out)
		case index.Lt:
			c.numbers.between(math.Inf(-1), math.Nextafter(n, math.Inf(-1)), out)
		case index.Lte:
			c.numbers.between(math.Inf(-1), n, out)
		}
	}
	if f.Type == index.Ne || f.Type == index.Nin {
		return roaring.AndNot(all, out)
	}
	out.And(all)
	return out
}

// equal adds the documents that have the value to out.
func (c *column) equal(value any, out *roaring.Bitmap) {
	if n, ok := value.(float64); ok {
		c.numbers.between(n, n, out)
	} else if p := c.values[value]; p != nil {
		if p.many != nil {
			out.Or(p.many)
		} else {
			out.Add(p.one)
		}
	}
}
