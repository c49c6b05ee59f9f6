package index

import "slices"

// Match evaluates a normal filter on the attributes of one document: the meaning that every index must agree with.
func (f Filter) Match(attributes map[string]any) bool {
	if f.Empty() {
		return true
	}
	v := attributes[f.Key]
	switch f.Type {
	case And:
		return !slices.ContainsFunc(f.Filters, func(p Filter) bool { return !p.Match(attributes) })
	case Or:
		return slices.ContainsFunc(f.Filters, func(p Filter) bool { return p.Match(attributes) })
	case Eq:
		return equal(v, f.Value)
	case Ne:
		return !equal(v, f.Value)
	case In, Nin:
		values, _ := f.Value.([]any)
		return slices.ContainsFunc(values, func(w any) bool { return equal(v, w) }) == (f.Type == In)
	}
	a, ok := v.(float64)
	b, fine := f.Value.(float64)
	if !ok || !fine {
		return false
	}
	switch f.Type {
	case Gt:
		return a > b
	case Gte:
		return a >= b
	case Lt:
		return a < b
	case Lte:
		return a <= b
	}
	return false
}

// equal compares an attribute with a value of a filter; of a list, any element counts.
func equal(attribute, value any) bool {
	if list, ok := attribute.([]string); ok {
		s, ok := value.(string)
		return ok && slices.Contains(list, s)
	}
	return attribute != nil && attribute == value
}
