package ingest

import (
	"context"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/ingest/schema"
)

// given is what came with a version, as its row keeps it.
type given struct {
	Metadata Metadata `json:"metadata"`
	Problem  string   `json:"problem,omitempty"` // why what came cannot be used: a sidecar that cannot be read
}

func (g given) equal(o given) bool {
	a, errA := json.Marshal(g)
	b, errB := json.Marshal(o)
	return errA == nil && errB == nil && string(a) == string(b)
}

// resolve decides a document's metadata: upload or sidecar, then what was found in the bytes, then the source's
// defaults, then the collection's; the type last by the format, where that leaves no doubt. It fails when what came cannot be used or does not meet the schema.
func (c Collection) resolve(source string, g given, found Metadata) (Metadata, error) {
	if g.Problem != "" {
		return Metadata{}, fault.New(fault.Invalid, CodeMetadata, "%s", g.Problem).Hinted("correct the sidecar; until then the document is restricted")
	}
	rules, err := schema.Compile(c.Config.MetadataSchema)
	if err != nil {
		return Metadata{}, fault.New(fault.Invalid, "schema_invalid", "the metadata_schema of collection %s cannot be used: %w", c.Name, err)
	}
	found.Fields = c.wanted(found.Fields)
	m := g.Metadata.Over(found).Over(c.Config.Sources[source].Defaults.metadata()).Over(c.Config.Defaults.metadata())
	if m.Tier == caller.None {
		m.Tier = caller.Restricted
	}
	if m.Type == "" && rules == nil { // a schema is about what people say
		m.Type = found.likely
	}
	return m, m.validate(rules)
}

// likelyType is the type of a document whose format leaves no doubt of it; "" for the formats that hold anything.
func likelyType(mediaType string) string {
	switch mediaType {
	case "message/rfc822":
		return "email"
	case "application/vnd.openxmlformats-officedocument.presentationml.presentation":
		return "presentation"
	case "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":
		return "spreadsheet"
	}
	return ""
}

// wanted leaves out found fields that a closed schema does not name: nobody chose that a PDF tells its author.
func (c Collection) wanted(found map[string]any) map[string]any {
	open, said := c.Config.MetadataSchema["additionalProperties"].(bool)
	if !said || open {
		return found
	}
	known, _ := c.Config.MetadataSchema["properties"].(map[string]any)
	kept := map[string]any{}
	for key, value := range found {
		if _, ok := known[key]; ok {
			kept[key] = value
		}
	}
	return kept
}

// parseFound reads what the extractor found in the bytes: front matter, a document's properties, its language. An access
// tier must be right; any other field that cannot be used is left out with a warning. A document that names no date has
// that of its last change.
func parseFound(title, language string, found map[string]string) (m Metadata, warnings []string, err error) {
	m.Title = title
	for _, key := range slices.Sorted(maps.Keys(found)) {
		one, err := ParseMetadata(map[string]any{key: found[key]})
		switch {
		case err != nil && key == "tier":
			return Metadata{}, nil, err
		case err != nil:
			warnings = append(warnings, "left out: "+fault.As(err).Text)
		default:
			m = one.Over(m)
		}
	}
	if len(m.Fields) > maxFields {
		m.Fields = nil
		warnings = append(warnings, "left out: more fields in the document's own metadata than are kept")
	}
	if m.Date == "" {
		m.Date = dayOf(found["modified"], found["created"])
	}
	if _, said := m.Fields["language"]; !said && language != "" && len(m.Fields) < maxFields {
		m = Metadata{Fields: map[string]any{"language": language}}.Over(m)
	}
	return m, warnings, nil
}

// dayOf is the day of the first time that is one: what programs write about a file is not always.
func dayOf(times ...string) string {
	for _, value := range times {
		if t, err := time.Parse(time.RFC3339, value); err == nil {
			return t.UTC().Format(time.DateOnly)
		}
		if t, err := time.Parse(time.DateOnly, value); err == nil {
			return t.Format(time.DateOnly)
		}
	}
	return ""
}

// titleOf is what a document is called: by its metadata, else by its file.
func titleOf(m Metadata, name string) string {
	if m.Title != "" {
		return m.Title
	}
	base := path.Base(strings.ReplaceAll(name, `\`, "/"))
	if stem := strings.TrimSuffix(base, path.Ext(base)); stem != "" {
		return stem
	}
	return base
}

// writeMetadata makes the metadata the document's own.
func writeMetadata(ctx context.Context, tx *db.Tx, documentID, name string, m Metadata) error {
	if m.Tags == nil {
		m.Tags = []string{}
	}
	if m.Fields == nil {
		m.Fields = map[string]any{}
	}
	tags, err := json.Marshal(m.Tags)
	if err != nil {
		return err
	}
	fields, err := json.Marshal(m.Fields)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE documents SET title = ?, tier = ?, business_unit = ?, type = ?, date = ?, tags = ?, metadata = ?, updated_at = ? WHERE id = ?",
		titleOf(m, name), int(m.Tier), m.BusinessUnit, m.Type, m.Date, string(tags), string(fields), db.Micros(time.Now()), documentID)
	return err
}

// atLeast is the tier that is set at once when new bytes or new metadata came: never a more open one than before.
func (d docRow) atLeast(g given) caller.Tier {
	want := g.Metadata.Tier
	if g.Problem != "" || (d.Live == "" && want == caller.None) {
		want = caller.Restricted // nothing is known for certain before the version was validated
	}
	if d.Live == "" {
		return want
	}
	return max(d.Tier, want)
}
