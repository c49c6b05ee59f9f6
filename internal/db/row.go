package db

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// special is a value in a backup that JSON has no word for.
type special struct {
	Bytes *[]byte `json:"bytes,omitempty"`
	Text  *[]byte `json:"text,omitempty"` // that is not UTF-8
}

// encodeRow writes a row as one line: a JSON array of strings, numbers, nulls and specials.
func encodeRow(values []any) ([]byte, error) {
	row := make([]any, len(values))
	for i, v := range values {
		row[i] = v
		switch v := v.(type) {
		case nil, int64, float64:
		case []byte:
			row[i] = special{Bytes: &v}
		case string:
			if !utf8.ValidString(v) {
				raw := []byte(v)
				row[i] = special{Text: &raw}
			}
		default:
			return nil, fmt.Errorf("a value of type %T is not foreseen", v)
		}
	}
	line, err := json.Marshal(row)
	return append(line, '\n'), err
}

// decodeRow reads what encodeRow wrote.
func decodeRow(line []byte, columns int) ([]any, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(line, &raw); err != nil {
		return nil, err
	}
	if len(raw) != columns {
		return nil, fmt.Errorf("a row of %d values for %d columns", len(raw), columns)
	}
	row := make([]any, len(raw))
	for i, text := range raw {
		v, err := decodeValue(text)
		if err != nil {
			return nil, err
		}
		row[i] = v
	}
	return row, nil
}

func decodeValue(text []byte) (any, error) {
	var s special
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if text[0] == '{' {
		d.DisallowUnknownFields()
		if err := d.Decode(&s); err != nil {
			return nil, err
		}
		switch {
		case s.Bytes != nil && s.Text == nil:
			return *s.Bytes, nil
		case s.Text != nil && s.Bytes == nil:
			return string(*s.Text), nil
		}
		return nil, fmt.Errorf("no value: %s", text)
	}
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil, string:
		return v, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		return v.Float64()
	}
	return nil, fmt.Errorf("no value: %s", text)
}
