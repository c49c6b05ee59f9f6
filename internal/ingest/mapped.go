package ingest

import (
	"maps"
	"slices"
	"strings"

	"airfield/internal/fault"
	"airfield/internal/ingest/extract"
	"airfield/internal/ingest/schema"
)

// foundIn is the metadata that a file's bytes give: what its collection's records say, then what its format does.
func foundIn(c CollectionConfig, result extract.Result) (found Metadata, warnings []string, err error) {
	found, warnings, err = parseFound(result.Title, result.Language, result.Metadata)
	if err != nil || result.Records == nil {
		return found, warnings, err
	}
	mapped, err := parseMapped(c, result.Records.Metadata)
	return mapped.Over(found), warnings, err
}

// parseMapped reads the metadata that records were mapped to. The fault names every field that cannot be used, and where it was
// taken from. A time is the day that it falls on.
func parseMapped(c CollectionConfig, flat map[string]any) (m Metadata, err error) {
	var wrong []string
	var first string
	for _, key := range slices.Sorted(maps.Keys(flat)) {
		value := flat[key]
		if text, ok := value.(string); ok && key == "date" {
			if day := dayOf(strings.TrimSpace(text)); day != "" {
				value = day
			}
		}
		one, err := ParseMetadata(map[string]any{key: value})
		if err != nil {
			pointer := ""
			if c.Records != nil {
				pointer, _ = schema.Reference(c.Records.Metadata[key])
			}
			if wrong = append(wrong, pointer+" ("+schema.TypeOf(flat[key])+"): "+fault.As(err).Text); first == "" {
				first = pointer
			}
			continue
		}
		m = one.Over(m)
	}
	if len(wrong) == 0 {
		return m, nil
	}
	return Metadata{}, fault.New(fault.Invalid, CodeMetadata, "the record's metadata cannot be used: %s", strings.Join(wrong, "; ")).
		Hinted("correct the record, or change records.metadata of the collection").At(first)
}

// Foresee returns the metadata that a document of this content would have where nothing is said about it.
func (c CollectionConfig) Foresee(result extract.Result) (Metadata, []string, error) {
	found, warnings, err := foundIn(c, result)
	if err != nil {
		return Metadata{}, warnings, err
	}
	found.likely = likelyType(result.MediaType)
	m, err := Collection{Config: c}.resolve("", given{}, found)
	return m, warnings, err
}
