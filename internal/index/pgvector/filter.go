package pgvector

import (
	"encoding/json"
	"strconv"
	"strings"

	"airfield/internal/caller"
	"airfield/internal/index"
)

// arguments are those of a statement that is being written.
type arguments []any

func (a *arguments) add(v any) string {
	*a = append(*a, v)
	return "$" + strconv.Itoa(len(*a))
}

// seen is the condition on d, a row of documents, that the clearance sees it and the filter matches: what index.Match
// says, in SQL. Empty: everything is seen.
func seen(clearance caller.Tier, f index.Filter, a *arguments) string {
	var parts []string
	if clearance != caller.Restricted {
		parts = append(parts, "d.tier <= "+a.add(int16(clearance)))
	}
	if !f.Empty() {
		parts = append(parts, condition(f, a))
	}
	return strings.Join(parts, " AND ")
}

// condition is never NULL, so that it can be denied.
func condition(f index.Filter, a *arguments) string {
	switch f.Type {
	case index.And, index.Or:
		parts := make([]string, len(f.Filters))
		for i, p := range f.Filters {
			parts[i] = condition(p, a)
		}
		return "(" + strings.Join(parts, map[index.Op]string{index.And: " AND ", index.Or: " OR "}[f.Type]) + ")"
	case index.Eq:
		return equal(f.Key, f.Value, a)
	case index.Ne:
		return "NOT " + equal(f.Key, f.Value, a)
	case index.In:
		return among(f, a)
	case index.Nin:
		return "NOT " + among(f, a)
	}
	operator := map[index.Op]string{index.Gt: ">", index.Gte: ">=", index.Lt: "<", index.Lte: "<="}[f.Type]
	number, ok := f.Value.(float64)
	if operator == "" || !ok {
		return "false"
	}
	key := a.add(keep(f.Key)) + "::text"
	return "CASE WHEN jsonb_typeof(d.attributes -> " + key + ") = 'number' THEN (d.attributes ->> " + key + ")::numeric " + operator + " " +
		a.add(strconv.FormatFloat(number, 'g', -1, 64)) + "::text::numeric ELSE false END"
}

// equal asks for containment, which the documents' inverted index answers. Of a list any element counts.
func equal(key string, value any, a *arguments) string {
	contains := func(v any) string {
		return "d.attributes @> " + a.add(text(map[string]any{keep(key): v})) + "::text::jsonb"
	}
	if s, ok := value.(string); ok {
		return "(" + contains(keep(s)) + " OR " + contains([]string{keep(s)}) + ")"
	}
	return "(" + contains(value) + ")"
}

// among is equal to any of the values.
func among(f index.Filter, a *arguments) string {
	values, _ := f.Value.([]any)
	var words, others []string
	for _, v := range values {
		if s, ok := v.(string); ok {
			words = append(words, keep(s))
		} else {
			others = append(others, text(v))
		}
	}
	if len(values) == 0 {
		return "false"
	}
	var parts []string
	attribute := "d.attributes -> " + a.add(keep(f.Key)) + "::text"
	if len(words) > 0 {
		parts = append(parts, "COALESCE("+attribute+" ?| "+a.add(words)+"::text[], false)")
	}
	if len(others) > 0 {
		parts = append(parts, "COALESCE("+attribute+" = ANY("+a.add(others)+"::text[]::jsonb[]), false)")
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}

// text is a value as JSON; a normal filter's values always have one.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(b)
}
