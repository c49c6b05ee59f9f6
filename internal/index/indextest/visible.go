package indextest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/index"
)

func tiers(t *testing.T, h *harness) {
	order := []caller.Tier{caller.Public, caller.Internal, caller.Confidential, caller.Restricted}
	for _, tier := range order {
		h.put(doc(tier.String(), tier, nil, 1))
	}
	var want []string
	for _, tier := range order {
		want = append(want, tier.String()+".0")
		q := both(10)
		q.Clearance = tier
		h.found(tier.String(), q, slices.Clone(want)...)
	}
	for _, nobody := range []caller.Tier{caller.None, -1, 5} {
		q := both(10)
		q.Clearance = nobody
		h.found("nobody", q)
		q.Filter = index.Filter{Type: index.Ne, Key: "any", Value: "thing"}
		h.found("nobody with a filter", q)
	}
}

func tierChange(t *testing.T, h *harness) {
	d := doc("a", caller.Public, nil, 4)
	h.put(d)
	q := both(10)
	q.Clearance = caller.Internal
	h.found("before", q, "a.0", "a.1", "a.2", "a.3")
	d.Tier = caller.Restricted
	h.put(d)
	h.found("after", q)
	q.Clearance = caller.Restricted
	h.found("the cleared", q, "a.0", "a.1", "a.2", "a.3")
}

func filters(t *testing.T, h *harness) {
	library := map[string]map[string]any{
		"contract": {"type": "contract", "date": 100.0, "tags": []string{"road", "eu"}, "signed": true},
		"price":    {"type": "price", "date": 200.5, "tags": []string{"sea"}, "signed": false},
		"policy":   {"type": "policy", "date": -3, "tags": []string{}},
		"bare":     nil,
		"odd":      {"type": 7, "date": "yesterday", "tags": "road", "signed": "true", "Type": "contract"},
		"same":     {"type": "contract", "date": 100.0, "source": strings.Repeat("long/", 100)},
	}
	var documents []index.Document
	for id, attributes := range library {
		documents = append(documents, doc(id, caller.Public, attributes, 1))
	}
	h.put(documents...)
	normal, _, err := index.Normal(documents, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := func(op index.Op, key string, value any) index.Filter {
		return index.Filter{Type: op, Key: key, Value: value}
	}
	all := func(op index.Op, parts ...index.Filter) index.Filter { return index.Filter{Type: op, Filters: parts} }
	for _, f := range []index.Filter{
		{}, c("eq", "type", "contract"), c("ne", "type", "contract"), c("eq", "type", 7), c("eq", "type", "7"), c("ne", "type", 7),
		c("eq", "date", 100), c("ne", "date", 100), c("eq", "date", "yesterday"),
		c("gt", "date", 100), c("gte", "date", 100), c("lt", "date", 100), c("lte", "date", 100), c("gt", "date", -1e300), c("lt", "date", math.MaxFloat64),
		c("gt", "type", 6), c("gt", "missing", 0), c("lte", "missing", 0), c("eq", "missing", ""), c("ne", "missing", ""), c("ne", "missing", false),
		c("eq", "tags", "road"), c("ne", "tags", "road"), c("eq", "tags", ""), c("in", "tags", []any{"sea", "eu"}), c("nin", "tags", []any{"sea", "eu"}),
		c("eq", "signed", true), c("eq", "signed", false), c("ne", "signed", true), c("eq", "signed", "true"),
		c("in", "type", []any{"contract", "price", 7.0, true}), c("nin", "type", []string{"contract", "price"}), c("in", "type", []any{}), c("nin", "type", []any{}),
		c("in", "date", []any{100.0, -3.0}), c("nin", "date", []any{100.0, -3.0}), c("eq", "source", strings.Repeat("long/", 100)),
		all("and", c("eq", "type", "contract"), c("gte", "date", 100), c("eq", "tags", "eu")), all("or", c("eq", "type", "price"), c("lt", "date", 0)),
		all("and", c("ne", "type", "contract"), all("or", c("eq", "signed", false), c("eq", "type", "policy"))),
		all("or", all("and", c("eq", "type", "nothing")), all("and", c("ne", "type", "price"), c("nin", "tags", []any{"road"}))),
	} {
		normalised, err := f.Normal()
		if err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		var want []string
		for _, d := range normal {
			if normalised.Match(d.Attributes) {
				want = append(want, d.ID+".0")
			}
		}
		q := both(10)
		q.Filter = f
		h.found(fmt.Sprintf("%+v", f), q, want...)
	}
}

func filterFirst(t *testing.T, h *harness) {
	// The only matching document is the worst by words and by direction of 60.
	var documents []index.Document
	for i := range 60 {
		d := doc(fmt.Sprintf("d%02d", i), caller.Public, map[string]any{"type": "many"}, 1)
		d.Chunks[0].Text = "common common common common"
		documents = append(documents, d)
	}
	last := &documents[59]
	last.Attributes = map[string]any{"type": "one"}
	last.Chunks[0].Text, last.Chunks[0].Vector = "common"+strings.Repeat(" filler", 200), direction(3)
	h.put(documents...)
	q := both(1)
	q.Filter = index.Filter{Type: index.Eq, Key: "type", Value: "one"}
	h.found("filter", q, "d59.0")
	restricted := doc("secret", caller.Restricted, nil, 3)
	h.put(restricted, index.Document{ID: "d59"})
	q = both(1)
	q.Clearance = caller.Public
	if got := h.search(q); len(got.Keyword) != 1 || len(got.Vector) != 1 || got.Keyword[0].DocumentID == "secret" || got.Vector[0].DocumentID == "secret" {
		t.Errorf("what must not be seen took the place of what may: %+v", got)
	}
}

func badQueries(t *testing.T, h *harness) {
	h.put(doc("a", caller.Public, nil, 1))
	nan := float32(math.NaN())
	for what, c := range map[string]struct {
		q    index.Query
		kind fault.Kind
	}{
		"another length":   {index.Query{Vector: []float32{1, 2}}, fault.Invalid},
		"NaN":              {index.Query{Vector: []float32{nan, 0, 0, 0, 0, 0, 0, 0}}, fault.Invalid},
		"a book":           {index.Query{Text: strings.Repeat("word ", 20_000)}, fault.TooLarge},
		"a bad filter":     {index.Query{Text: "x", Filter: index.Filter{Type: "like", Key: "a", Value: "b"}}, fault.Invalid},
		"a range of words": {index.Query{Text: "x", Filter: index.Filter{Type: "gt", Key: "a", Value: "b"}}, fault.Invalid},
	} {
		c.q.Space, c.q.Clearance = space, caller.Public
		_, err := h.x.Search(t.Context(), c.q)
		kind(t, what, err, c.kind)
	}
	h.found("many words", index.Query{Text: strings.Repeat("filler ", 500) + "common", Clearance: caller.Public}, "a.0")
}
