package postgres

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
)

// types knows the types that every database has, by their numbers.
var types = pgtype.NewMap()

// column is one value of a row, as the database writes it; nil is NULL.
type column struct {
	name string
	oid  uint32
	text []byte
}

// encode makes one JSON object of a row, in the order of its columns.
func encode(row []column) []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, c := range row {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(quoted(c.name))
		b.WriteByte(':')
		b.Write(value(c.oid, c.text))
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// value is a value as JSON. What JSON has no word for, NaN and infinity among it, is a text as the database writes it.
func value(oid uint32, text []byte) []byte {
	if text == nil {
		return []byte("null")
	}
	switch oid {
	case pgtype.BoolOID:
		switch string(text) {
		case "t":
			return []byte("true")
		case "f":
			return []byte("false")
		}
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID:
		if json.Valid(text) {
			return bytes.Clone(text)
		}
	case pgtype.JSONOID, pgtype.JSONBOID:
		var b bytes.Buffer
		if json.Compact(&b, text) == nil {
			return b.Bytes()
		}
	case pgtype.TimestamptzOID:
		if at, err := time.Parse("2006-01-02 15:04:05.999999999Z07", string(text)); err == nil {
			return quoted(at.UTC().Format(time.RFC3339Nano))
		}
	case pgtype.TimestampOID:
		if at, err := time.Parse("2006-01-02 15:04:05.999999999", string(text)); err == nil {
			return quoted(at.Format(time.RFC3339Nano))
		}
	default:
		if t, ok := types.TypeForOID(oid); ok {
			if array, ok := t.Codec.(*pgtype.ArrayCodec); ok {
				if list, ok := list(array.ElementType.OID, text); ok {
					return list
				}
			}
		}
	}
	return quoted(string(text))
}

// quoted is a JSON string that is read as it is written here, by YAML too.
func quoted(text string) []byte {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(text) // cannot fail
	return bytes.TrimRight(b.Bytes(), "\n")
}

// maxNested is how many dimensions an array of the database can have.
const maxNested = 6

// list makes a JSON list of an array; false where it is written in a way we do not read, with bounds of its own.
func list(element uint32, text []byte) ([]byte, bool) {
	a := array{text: text, element: element}
	if !a.list(0) || a.at != len(text) {
		return nil, false
	}
	return a.out.Bytes(), true
}

type array struct {
	text    []byte
	at      int
	element uint32
	out     bytes.Buffer
}

func (a *array) next() byte {
	if a.at >= len(a.text) {
		return 0
	}
	return a.text[a.at]
}

func (a *array) list(depth int) bool {
	if a.next() != '{' || depth >= maxNested {
		return false
	}
	a.at++
	a.out.WriteByte('[')
	for first := true; ; first = false {
		if first && a.next() == '}' {
			break
		}
		if !a.item(depth) {
			return false
		}
		if a.next() == '}' {
			break
		}
		if a.next() != ',' {
			return false
		}
		a.at++
		a.out.WriteByte(',')
	}
	a.at++
	a.out.WriteByte(']')
	return true
}

func (a *array) item(depth int) bool {
	switch a.next() {
	case '{':
		return a.list(depth + 1)
	case '"':
		text := []byte{}
		for a.at++; a.at < len(a.text) && a.text[a.at] != '"'; a.at++ {
			if a.text[a.at] == '\\' {
				a.at++
			}
			if a.at < len(a.text) {
				text = append(text, a.text[a.at])
			}
		}
		if a.next() != '"' {
			return false
		}
		a.at++
		a.out.Write(value(a.element, text))
		return true
	}
	begin := a.at
	for a.at < len(a.text) && !bytes.ContainsRune([]byte(`,{}"`), rune(a.text[a.at])) {
		a.at++
	}
	text := a.text[begin:a.at]
	if len(text) == 0 {
		return false
	}
	if string(text) == "NULL" {
		text = nil
	}
	a.out.Write(value(a.element, text))
	return true
}
