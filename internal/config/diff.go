package config

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/goccy/go-yaml"

	"airfield/internal/ingest"
)

// Difference is one key whose value is not the other configuration's.
type Difference struct {
	Key  string `json:"key"`
	From any    `json:"from"`
	To   any    `json:"to"`
}

func (d Difference) String() string {
	return fmt.Sprintf("%s: %s (was %s)", d.Key, inline(d.To), inline(d.From))
}

// Value is the new value as it is written in the file.
func (d Difference) Value() string { return inline(d.To) }

func inline(v any) string {
	if v == nil {
		return "not set"
	}
	text, err := yaml.MarshalWithOptions(v, yaml.Flow(true))
	if err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(string(text))
}

// Baseline is what c would be if every entry of it were there and said nothing: what Diff leaves out is as by default.
func Baseline(c *Config) *Config {
	base := Default()
	base.Collections = map[string]Collection{}
	for name, collection := range c.Collections {
		plain := Collection{ingest.DefaultCollection()}
		plain.Sources = map[string]ingest.SourceConfig{}
		for source := range collection.Sources {
			plain.Sources[source] = ingest.SourceConfig{}
		}
		base.Collections[name] = plain
	}
	return &base
}

// Diff lists what b says that a does not, key by key. Secrets appear by their reference only.
func Diff(a, b *Config) []Difference {
	from, to := map[string]any{}, map[string]any{}
	flatten("", reflect.ValueOf(*a), from)
	flatten("", reflect.ValueOf(*b), to)
	keys := map[string]bool{}
	for k := range from {
		keys[k] = true
	}
	for k := range to {
		keys[k] = true
	}
	var all []Difference
	for k := range keys {
		if !reflect.DeepEqual(from[k], to[k]) {
			all = append(all, Difference{Key: k, From: from[k], To: to[k]})
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Key < all[j].Key })
	return all
}

func flatten(path string, v reflect.Value, into map[string]any) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	join := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	switch {
	case leaf(v.Type()):
		if value := plain(v); value != nil {
			into[path] = value
		} else if v.Kind() == reflect.Bool || v.CanInt() && !reflect.PointerTo(v.Type()).Implements(textType) {
			into[path] = v.Interface()
		}
	case v.Kind() == reflect.Struct:
		for _, m := range members(v.Type()) {
			flatten(join(m.name), v.FieldByIndex(m.field.Index), into)
		}
	case v.Kind() == reflect.Map:
		for _, key := range v.MapKeys() {
			flatten(join(key.String()), v.MapIndex(key), into)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			flatten(join(fmt.Sprint(i)), v.Index(i), into)
		}
	}
}

// live are the sections that a running process takes over; every other needs a restart.
var live = []string{"providers", "models", "routing", "notify", "business_units", "workflows", "collections", "budgets"}

// Restart lists the differences that a running process cannot take over.
func Restart(all []Difference) []Difference {
	var fixed []Difference
	for _, d := range all {
		section, _, _ := strings.Cut(d.Key, ".")
		if !slices.Contains(live, section) {
			fixed = append(fixed, d)
		}
	}
	return fixed
}
