package ingest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/ingest/schema"
)

// CodeMetadata is the reason of a dead letter whose metadata is malformed or against the collection's schema.
const CodeMetadata = "metadata_invalid"

// Metadata is what is known about a document. The zero value of a field means that nothing is said.
type Metadata struct {
	Title        string
	Tier         caller.Tier
	BusinessUnit string
	Type         string
	Date         string // YYYY-MM-DD
	Tags         []string
	Fields       map[string]any // free: strings, numbers, booleans, lists of strings

	likely string // of what was found in bytes: the type where nobody says one, by the format; kept nowhere
}

var standardFields = []string{"title", "tier", "business_unit", "type", "date", "tags"}

// Limits of metadata, so that no document can bloat every row it is copied to.
const (
	maxFields     = 64
	maxFieldBytes = 4096
	maxTags       = 64
)

// ParseMetadata reads the flat form: the standard fields by their names, everything else free. What is wrong is an
// invalid fault that points at the field.
func ParseMetadata(flat map[string]any) (Metadata, error) {
	var m Metadata
	if len(flat) > maxFields {
		return m, invalidField("", "has %d fields; at most %d are kept", len(flat), maxFields)
	}
	for _, key := range slices.Sorted(maps.Keys(flat)) {
		value := flat[key]
		if value == nil {
			continue
		}
		var err error
		switch key {
		case "title":
			m.Title, err = text(key, value)
		case "business_unit":
			m.BusinessUnit, err = text(key, value)
		case "type":
			m.Type, err = text(key, value)
		case "date":
			m.Date, err = date(value)
		case "tier":
			m.Tier, err = tier(value)
		case "tags":
			m.Tags, err = tags(value)
		default:
			if m.Fields == nil {
				m.Fields = map[string]any{}
			}
			m.Fields[key], err = field(key, value)
		}
		if err != nil {
			return Metadata{}, err
		}
	}
	return m, nil
}

// Flat is the form that is validated, shown and stored: only what is said.
func (m Metadata) Flat() map[string]any {
	flat := map[string]any{}
	maps.Copy(flat, m.Fields)
	set := func(key, value string) {
		if value != "" {
			flat[key] = value
		}
	}
	set("title", m.Title)
	set("business_unit", m.BusinessUnit)
	set("type", m.Type)
	set("date", m.Date)
	if m.Tier != caller.None {
		flat["tier"] = m.Tier.String()
	}
	if m.Tags != nil {
		flat["tags"] = m.Tags
	}
	return flat
}

// MarshalJSON writes the flat form.
func (m Metadata) MarshalJSON() ([]byte, error) { return json.Marshal(m.Flat()) }

// UnmarshalJSON reads the flat form.
func (m *Metadata) UnmarshalJSON(b []byte) error {
	var flat map[string]any
	if err := json.Unmarshal(b, &flat); err != nil {
		return err
	}
	parsed, err := ParseMetadata(flat)
	if err == nil {
		*m = parsed
	}
	return err
}

// Over returns what m says, and what base says where m is silent. Free fields are merged one by one.
func (m Metadata) Over(base Metadata) Metadata {
	or := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	m.Title, m.BusinessUnit, m.Type, m.Date = or(m.Title, base.Title), or(m.BusinessUnit, base.BusinessUnit), or(m.Type, base.Type), or(m.Date, base.Date)
	if m.Tier == caller.None {
		m.Tier = base.Tier
	}
	if m.Tags == nil {
		m.Tags = base.Tags
	}
	if len(base.Fields) > 0 {
		fields := maps.Clone(base.Fields)
		maps.Copy(fields, m.Fields)
		m.Fields = fields
	}
	return m
}

// maxFailures is how many things that are wrong are told at once.
const maxFailures = 10

// validate holds the metadata against a collection's schema; the fault points at each field that is wrong.
func (m Metadata) validate(rules *jsonschema.Schema) error {
	if rules == nil {
		return nil
	}
	raw, err := json.Marshal(m.Flat())
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
	if err != nil {
		return err
	}
	failures, more := schema.Check(rules, doc, maxFailures)
	if len(failures) == 0 {
		return nil
	}
	said := make([]string, len(failures))
	for i, f := range failures {
		said[i] = f.String()
	}
	if more > 0 {
		said = append(said, fmt.Sprintf("and %d more", more))
	}
	return fault.New(fault.Invalid, CodeMetadata, "the metadata does not meet the collection's schema at %s", strings.Join(said, "; ")).
		Hinted("correct it in the upload or in the sidecar NAME.meta.yaml, or change metadata_schema of the collection").At(failures[0].Pointer)
}

func invalidField(key, format string, args ...any) error {
	what := "the metadata "
	if key != "" {
		what = "the metadata field " + key + " "
	}
	return fault.New(fault.Invalid, CodeMetadata, "%s", what+fmt.Sprintf(format, args...)).At("/" + key)
}

func text(key string, value any) (string, error) {
	s, ok := value.(string)
	if !ok {
		return "", invalidField(key, "must be a text, not %s", typeName(value))
	}
	if len(s) > maxFieldBytes {
		return "", invalidField(key, "has %d bytes; at most %d are kept", len(s), maxFieldBytes)
	}
	return strings.TrimSpace(strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")), nil
}

func date(value any) (string, error) {
	if t, ok := value.(time.Time); ok {
		return t.Format(time.DateOnly), nil
	}
	s, err := text("date", value)
	if err != nil || s == "" {
		return "", err
	}
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return "", invalidField("date", "must be a day such as 2026-03-31, not %q", s)
	}
	return s, nil
}

func tier(value any) (caller.Tier, error) {
	s, err := text("tier", value)
	if err != nil {
		return caller.None, err
	}
	t, err := caller.ParseTier(s)
	if err != nil {
		return caller.None, invalidField("tier", "must be public, internal, confidential or restricted, not %q", s)
	}
	return t, nil
}

// tags takes a list, or one text with commas: the hosted APIs' attributes know no lists.
func tags(value any) ([]string, error) {
	list, err := texts("tags", value)
	if s, ok := value.(string); ok {
		if s, err = text("tags", s); err == nil {
			list = strings.Split(s, ",")
		}
	}
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if len(out) > maxTags {
		return nil, invalidField("tags", "has %d entries; at most %d are kept", len(out), maxTags)
	}
	return out, nil
}

func texts(key string, value any) ([]string, error) {
	switch list := value.(type) {
	case []string:
		return list, nil
	case []any:
		out := make([]string, 0, len(list))
		for _, e := range list {
			s, err := text(key, e)
			if err != nil {
				return nil, invalidField(key, "must be a list of texts")
			}
			out = append(out, s)
		}
		return out, nil
	case string:
		return nil, nil
	}
	return nil, invalidField(key, "must be a list of texts, not %s", typeName(value))
}

// field takes what an index can filter by.
func field(key string, value any) (any, error) {
	if key == "" || len(key) > 64 {
		return nil, invalidField(key, "must have a name of 1 to 64 bytes")
	}
	switch v := value.(type) {
	case string:
		return text(key, v)
	case bool, float64:
		return v, nil
	case int:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case uint64:
		return float64(v), nil
	case time.Time:
		return v.Format(time.DateOnly), nil
	case []any, []string:
		list, err := texts(key, v)
		if err == nil && len(list) > maxTags {
			err = invalidField(key, "has %d entries; at most %d are kept", len(list), maxTags)
		}
		return list, err
	}
	return nil, invalidField(key, "must be a text, a number, a boolean or a list of texts, not %s", typeName(value))
}

func typeName(v any) string {
	switch v.(type) {
	case map[string]any:
		return "an object"
	case []any, []string:
		return "a list"
	case bool:
		return "a boolean"
	case float64, int, int64, uint64:
		return "a number"
	case string:
		return "a text"
	}
	return fmt.Sprintf("%T", v)
}
