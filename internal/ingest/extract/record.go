package extract

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"airfield/internal/caller"
	"airfield/internal/ingest/schema"
	"airfield/internal/template"
)

// madeRecord is what one record becomes.
type madeRecord struct {
	text, title, key string
	metadata         map[string]any
	tier             caller.Tier
}

// make reads a record, which is JSON, and returns all that is wrong with it, most things at the most.
func (m *recordMaker) make(raw []byte, most int) (made madeRecord, failures []schema.Failure, more int) {
	w := jsonWalk{dec: decoder(string(raw))}
	lines, err := w.value("", 0) // in the order of the file, and within bounds
	if err == nil {
		err = w.end()
	}
	var value any
	if err == nil {
		err = decoder(string(raw)).Decode(&value)
	}
	if err != nil {
		return made, []schema.Failure{{What: "cannot be read as JSON: " + err.Error()}}, 0
	}
	object, ok := value.(map[string]any)
	if !ok {
		return made, []schema.Failure{{What: "must be an object", Type: schema.TypeOf(value)}}, 0
	}
	if failures, more = schema.Check(m.schema, value, most); len(failures) > 0 {
		return made, failures, more
	}
	wrong := func(pointer, what string) {
		f := schema.Failure{Pointer: pointer, What: what}
		if v, ok := schema.Find(value, pointer); ok {
			f.Type = schema.TypeOf(v)
		}
		failures = append(failures, f)
	}
	made.title = m.titleOf(value, wrong)
	made.key = m.keyOf(value, &made, wrong)
	m.describe(value, &made, wrong)
	if made.text, err = m.textOf(object, lines); err != nil {
		wrong("", err.Error())
	} else if clean(made.text) == "" {
		wrong("", "becomes no text")
	}
	if len(failures) > most {
		failures, more = failures[:most], len(failures)-most
	}
	return made, failures, more
}

func (m *recordMaker) textOf(object map[string]any, lines []string) (string, error) {
	if m.rules.Template != "" {
		values, _ := template.Fill(object).(template.Object)
		room := template.NewRoom(maxRecordText)
		switch err := m.template.Render(room, values); {
		case errors.Is(err, template.ErrFull):
			return "", fmt.Errorf("becomes a text of more than %d bytes", maxRecordText)
		case errors.Is(err, template.ErrRounds):
			return "", fmt.Errorf("has too many items for the template's sections within sections")
		case err != nil:
			return "", fmt.Errorf("cannot be written by the template")
		}
		return room.String(), nil
	}
	if len(m.text) > 0 {
		lines = nil
		for _, p := range m.text {
			value, ok := schema.Find(object, p.pointer)
			if !ok {
				continue
			}
			raw, err := json.Marshal(value)
			if err != nil {
				return "", fmt.Errorf("cannot be written as text")
			}
			w := jsonWalk{dec: decoder(string(raw))}
			more, err := w.value(strings.ReplaceAll(strings.TrimPrefix(p.name, "/"), "/", "."), 0)
			if err != nil {
				return "", fmt.Errorf("cannot be written as text")
			}
			lines = append(lines, more...)
		}
	}
	return strings.Join(lines, "\n"), nil
}

// word is a scalar as text; nothing where it is null or empty.
func word(v any) (text string, ok bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return strings.Join(strings.Fields(clean(v)), " "), true
	case bool, json.Number:
		return fmt.Sprint(v), true
	}
	return "", false
}

func (m *recordMaker) titleOf(value any, wrong func(pointer, what string)) string {
	if m.title == "" {
		return ""
	}
	found, ok := schema.Find(value, m.title)
	if !ok {
		return ""
	}
	title, ok := word(found)
	if !ok {
		wrong(m.title, "must be a string or a number: it is the record's title")
	}
	return strings.TrimSpace(title[:cutAt(title, maxRecordTitle)])
}

// keyOf is the record's key. It is its title too, where there is no other.
func (m *recordMaker) keyOf(value any, made *madeRecord, wrong func(pointer, what string)) string {
	if len(m.key) == 0 {
		return ""
	}
	var parts, named []string
	for _, p := range m.key {
		found, _ := schema.Find(value, p.pointer)
		part, ok := word(found)
		switch {
		case !ok:
			wrong(p.pointer, "must be a string or a number: it is the record's key")
		case part == "":
			wrong(p.pointer, "is missing: it is the record's key")
		}
		parts = append(parts, part)
		named = append(named, p.name+": "+part)
	}
	if made.title == "" {
		title := strings.Join(named, ", ")
		made.title = strings.TrimSpace(title[:cutAt(title, maxRecordTitle)])
	}
	key, err := json.Marshal(parts)
	if err != nil {
		return ""
	}
	return string(key)
}

// describe takes the record's metadata. An access tier must be there and be one: nobody may guess whom a record is for.
func (m *recordMaker) describe(value any, made *madeRecord, wrong func(pointer, what string)) {
	for _, name := range slices.Sorted(maps.Keys(m.metadata)) {
		pointer := m.metadata[name]
		found, _ := schema.Find(value, pointer)
		if name == "tier" {
			text, _ := found.(string)
			tier, err := caller.ParseTier(strings.ToLower(strings.TrimSpace(text)))
			if err != nil {
				wrong(pointer, "must be public, internal, confidential or restricted: it is the access tier")
			}
			made.tier = tier
			continue
		}
		taken, ok := plainMetadata(name, found)
		if !ok {
			wrong(pointer, "cannot be metadata: a string, a number, a boolean or a list of strings can")
		}
		if taken != nil {
			if made.metadata == nil {
				made.metadata = map[string]any{}
			}
			made.metadata[name] = taken
		}
	}
}

// plainMetadata is a value as metadata has it; nil where it says nothing.
func plainMetadata(name string, v any) (any, bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case string:
		if strings.TrimSpace(v) == "" {
			return nil, true
		}
		return v, true
	case bool, json.Number:
		if slices.Contains([]string{"title", "business_unit", "type", "date", "tags"}, name) {
			return fmt.Sprint(v), true
		}
		return v, true
	case []any:
		list := make([]string, 0, len(v))
		for _, item := range v {
			text, ok := word(item)
			if !ok {
				return nil, false
			}
			if text != "" {
				list = append(list, text)
			}
		}
		return list, true
	}
	return nil, false
}
