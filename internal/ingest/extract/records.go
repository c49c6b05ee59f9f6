package extract

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"airfield/internal/ingest/schema"
	"airfield/internal/template"
)

// Records says what objects and rows of structured files become: a record's text, title, key and metadata. Fields are named as
// they are at the record's top, or by a JSON pointer.
type Records struct {
	Schema    map[string]any    `yaml:"schema" json:"schema,omitempty" doc:"A JSON Schema (2020-12) that every record must meet."`
	Template  string            `yaml:"template" json:"template,omitempty" doc:"The record's text, as a Mustache template over its fields; it may be Markdown. Left out: a line for each field."`
	Text      []string          `yaml:"text" json:"text,omitempty" doc:"Without a template, the fields that are its text; all where empty."`
	Title     string            `yaml:"title" json:"title,omitempty" doc:"The field that is its title. A file that is one object has it as its own."`
	Key       []string          `yaml:"key" json:"key,omitempty" doc:"The fields that tell it from every other record of its file."`
	Metadata  map[string]string `yaml:"metadata" json:"metadata,omitempty" doc:"Metadata of the document (title, tier, business_unit, type, date, tags, or a free field) and the fields that it is taken from."`
	OnInvalid string            `yaml:"on_invalid" json:"on_invalid,omitempty" doc:"What becomes of a document with a record that is not as it must be: dead_letter (where empty: nothing of it is taken) or skip (the record is left out, and the document partial)."`
}

// What becomes of a document with an invalid record.
const (
	InvalidDeadLetter = "dead_letter"
	InvalidSkip       = "skip"
)

// RecordFailure is one thing that is wrong with one record.
type RecordFailure struct {
	Record int    `json:"record"` // from 1, in its file; 0 where it cannot be told
	Place  string `json:"place"`  // "line 8", "$[3]", "Prices, row 12"
	schema.Failure
}

func (f RecordFailure) String() string {
	where := f.Place
	if f.Record > 0 {
		where = fmt.Sprintf("record %d (%s)", f.Record, f.Place)
	}
	return where + " at " + f.Failure.String()
}

// RecordsRead is what was read of a file by its collection's records.
type RecordsRead struct {
	Records  int             `json:"records"`  // that were looked at
	LeftOut  int             `json:"left_out"` // of them, because something is wrong with them
	Failures []RecordFailure `json:"failures"` // the first ones
	More     int             `json:"more"`     // failures that are not listed
	Metadata map[string]any  `json:"metadata"` // of the document, as mapped
}

const (
	maxTemplateBytes  = 64 << 10
	maxRecordText     = 1 << 20 // bytes that a template may make of one record
	maxRecordFailures = 20      // that are listed
	maxRecordTitle    = 200     // bytes
)

// recordMaker is a Records that is ready for use.
type recordMaker struct {
	rules    *Records
	schema   *jsonschema.Schema
	template template.Template
	title    string // pointers
	text     []pointed
	key      []pointed
	metadata map[string]string
}

type pointed struct{ name, pointer string }

// Check refuses what cannot be used, with its place, and warns of fields that the schema does not name.
func (r *Records) Check() (warnings []string, err error) {
	m, err := newRecordMaker(r)
	if err != nil {
		return nil, err
	}
	known, _ := r.Schema["properties"].(map[string]any)
	open, said := r.Schema["additionalProperties"].(bool)
	used := map[string]string{}
	var unnamed []string
	if m.title != "" {
		used["title"] = m.title
	}
	for i, p := range m.text {
		used[fmt.Sprintf("text.%d", i)] = p.pointer
	}
	for i, p := range m.key {
		used[fmt.Sprintf("key.%d", i)] = p.pointer
	}
	for name, pointer := range m.metadata {
		used["metadata."+name] = pointer
	}
	for _, name := range m.template.Names() {
		if name != "." {
			used[fmt.Sprintf("template: line %d: {{%s}}", tagLine(r.Template, name), name)] = schema.Pointer([]string{name})
		}
	}
	for _, where := range slices.Sorted(maps.Keys(used)) {
		name := topOf(used[where])
		if _, ok := known[name]; ok || known == nil {
			continue
		}
		if said && !open {
			return nil, fmt.Errorf("%s: the schema has no field %q, and takes no others", where, name)
		}
		unnamed = append(unnamed, fmt.Sprintf("%q (%s)", name, where))
	}
	if len(unnamed) > 0 {
		warnings = append(warnings, "records: the schema says nothing of the fields "+strings.Join(unnamed, ", "))
	}
	return warnings, nil
}

// topOf is the field at the top that a pointer goes through.
func topOf(pointer string) string {
	top, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(top)
}

// tagLine is the line of a template on which a name first stands in a tag.
func tagLine(text, name string) int {
	for at := 0; ; {
		open := strings.Index(text[at:], "{{")
		if open < 0 {
			return 1
		}
		at += open
		tag, _, _ := strings.Cut(text[at+2:], "}}")
		tag = strings.TrimSpace(strings.TrimLeft(tag, "{#^&/ "))
		if tag == name || strings.HasPrefix(tag, name+".") {
			return 1 + strings.Count(text[:at], "\n")
		}
		at += 2
	}
}

func newRecordMaker(r *Records) (*recordMaker, error) {
	m := &recordMaker{rules: r, metadata: map[string]string{}}
	var err error
	if m.schema, err = schema.Compile(r.Schema); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	if len(r.Template) > maxTemplateBytes {
		return nil, fmt.Errorf("template: it has %d bytes; at most %d are allowed", len(r.Template), maxTemplateBytes)
	}
	if r.Template != "" {
		if m.template, err = template.Parse(r.Template, nil); err != nil {
			return nil, fmt.Errorf("template: %w", err)
		}
		if len(r.Text) > 0 {
			return nil, fmt.Errorf("template and text: a record's text is made by one of them")
		}
	}
	if r.Title != "" {
		if m.title, err = schema.Reference(r.Title); err != nil {
			return nil, fmt.Errorf("title: %w", err)
		}
	}
	if m.text, err = pointersOf("text", r.Text); err != nil {
		return nil, err
	}
	if m.key, err = pointersOf("key", r.Key); err != nil {
		return nil, err
	}
	for name, from := range r.Metadata {
		if m.metadata[name], err = schema.Reference(from); err != nil {
			return nil, fmt.Errorf("metadata.%s: %w", name, err)
		}
	}
	switch r.OnInvalid {
	case "", InvalidDeadLetter, InvalidSkip:
		return m, nil
	}
	return nil, fmt.Errorf("on_invalid: there are %s and %s, not %q", InvalidDeadLetter, InvalidSkip, r.OnInvalid)
}

func pointersOf(at string, list []string) (out []pointed, err error) {
	for i, text := range list {
		pointer, err := schema.Reference(text)
		if err != nil {
			return nil, fmt.Errorf("%s.%d: %w", at, i, err)
		}
		out = append(out, pointed{text, pointer})
	}
	return out, nil
}

// typed is a cell as JSON: what the schema wants to be a number or a boolean and is written as one is one, the rest is text.
func (m *recordMaker) typed(column, cell string) json.RawMessage {
	properties, _ := m.rules.Schema["properties"].(map[string]any)
	property, _ := properties[column].(map[string]any)
	var wanted []any
	switch t := property["type"].(type) {
	case string:
		wanted = []any{t}
	case []any:
		wanted = t
	}
	if !slices.Contains(wanted, "string") {
		number := slices.Contains(wanted, "number") || slices.Contains(wanted, "integer")
		lower := strings.ToLower(cell)
		switch {
		case number && json.Valid([]byte(cell)) && strings.ContainsAny(cell[:1], "-0123456789"):
			return json.RawMessage(cell)
		case slices.Contains(wanted, "boolean") && (lower == "true" || lower == "false"):
			return json.RawMessage(lower)
		}
	}
	text, err := json.Marshal(cell)
	if err != nil {
		return json.RawMessage(`""`)
	}
	return text
}

// row makes a record's JSON of a row, in the order of its columns. Empty cells are fields that are not there.
func (m *recordMaker) row(columns, cells []string) []byte {
	var out strings.Builder
	out.WriteByte('{')
	for i, cell := range cells {
		if cell = strings.TrimSpace(cell); cell == "" {
			continue
		}
		name := fmt.Sprintf("column %d", i+1)
		if i < len(columns) && columns[i] != "" {
			name = columns[i]
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			continue
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		out.Write(quoted)
		out.WriteByte(':')
		out.Write(m.typed(name, cell))
	}
	out.WriteByte('}')
	return []byte(out.String())
}
