package extract

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"airfield/internal/fault"
)

// readJSON makes a record of every element of a top-level array, of every object in an array that a top-level object
// holds, and of the object's other values. Values are flattened to "path: value" lines in the order of the file.
func readJSON(text string, src *source, s *sink) error {
	w := jsonWalk{dec: decoder(text), sink: s}
	err := w.document()
	if err == nil {
		if err = w.end(); err == nil {
			return nil
		}
		// More than one value: JSON Lines under another name, if the first line is a value of its own.
		if first, _, more := strings.Cut(strings.TrimSpace(text), "\n"); more && json.Valid([]byte(first)) && !s.delivered() {
			return readJSONL(text, src, s)
		}
	}
	return jsonFault(err, text, src, w.dec)
}

// readJSONL makes a record of every line. Lines that are not JSON are reported with their number and left out.
func readJSONL(text string, src *source, s *sink) error {
	var bad, number int
	var first error
	for line := range strings.Lines(text) {
		number++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		w := jsonWalk{dec: decoder(line), sink: s}
		lines, err := w.value("", 0)
		if err == nil {
			err = w.end()
		}
		if isJSON(err) {
			bad++
			if first == nil {
				first = fmt.Errorf("line %d is not JSON: %w", number, err)
			}
			s.partial("line %d is not JSON and was left out: %v", number, err)
			continue
		}
		if err != nil {
			return err
		}
		if err := s.add(Block{Kind: KindRecord, Text: strings.Join(lines, "\n"), Anchor: fmt.Sprintf("line %d", number)}); err != nil {
			return err
		}
	}
	if bad > 0 && !s.delivered() {
		return damaged(src, "%v", first)
	}
	return nil
}

func decoder(text string) *json.Decoder {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	return dec
}

var (
	errDeep     = fmt.Errorf("nested deeper than %d", maxDepth)
	errTrailing = errors.New("text after the end of the value")
)

// jsonWalk reads values token by token, so that order is kept and no tree is built.
type jsonWalk struct {
	dec  *json.Decoder
	sink *sink
}

func (w *jsonWalk) end() error {
	switch _, err := w.dec.Token(); {
	case err == io.EOF:
		return nil
	case err != nil:
		return err
	}
	return errTrailing
}

func (w *jsonWalk) document() error {
	token, err := w.dec.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		return w.elements("$")
	case json.Delim('{'):
		return w.object()
	}
	return w.record("$", []string{scalar(token)})
}

// elements makes a record of each element of the array that has just been opened.
func (w *jsonWalk) elements(path string) error {
	for i := 0; w.dec.More(); i++ {
		lines, err := w.value("", 1)
		if err != nil {
			return err
		}
		if err := w.record(fmt.Sprintf("%s[%d]", path, i), lines); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return err
}

// object reads the top-level object: arrays of objects become records of their own, the rest one record around them.
func (w *jsonWalk) object() error {
	var own []string
	for w.dec.More() {
		key, err := w.dec.Token()
		if err != nil {
			return err
		}
		name := shortKey(key)
		token, err := w.dec.Token()
		if err != nil {
			return err
		}
		if token != json.Delim('[') {
			lines, err := w.opened(name, token, 1)
			if err != nil {
				return err
			}
			own = append(own, lines...)
			continue
		}
		if err := w.record("$", own); err != nil {
			return err
		}
		if own, err = w.member(name); err != nil {
			return err
		}
	}
	if _, err := w.dec.Token(); err != nil {
		return err
	}
	return w.record("$", own)
}

// member reads an array in the top-level object: objects in it are records, scalars are lines of the object's own.
func (w *jsonWalk) member(name string) (own []string, err error) {
	var scalars []string
	for i := 0; w.dec.More(); i++ {
		token, err := w.dec.Token()
		if err != nil {
			return nil, err
		}
		if _, nested := token.(json.Delim); !nested {
			scalars = append(scalars, scalar(token))
			continue
		}
		lines, err := w.opened("", token, 2)
		if err != nil {
			return nil, err
		}
		if err := w.record(fmt.Sprintf("$.%s[%d]", name, i), lines); err != nil {
			return nil, err
		}
	}
	if _, err := w.dec.Token(); err != nil {
		return nil, err
	}
	if len(scalars) > 0 {
		own = []string{name + ": " + strings.Join(scalars, ", ")}
	}
	return own, nil
}

func (w *jsonWalk) record(anchor string, lines []string) error {
	return w.sink.add(Block{Kind: KindRecord, Text: strings.Join(lines, "\n"), Anchor: anchor})
}

func (w *jsonWalk) value(path string, depth int) ([]string, error) {
	token, err := w.dec.Token()
	if err != nil {
		return nil, err
	}
	return w.opened(path, token, depth)
}

// opened flattens the value that begins with token.
func (w *jsonWalk) opened(path string, token json.Token, depth int) ([]string, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w at %s", errDeep, path[:cutAt(path, 100)])
	}
	var lines []string
	switch token {
	case json.Delim('{'):
		for w.dec.More() {
			key, err := w.dec.Token()
			if err != nil {
				return nil, err
			}
			name := shortKey(key)
			if path != "" {
				name = path + "." + name
			}
			inner, err := w.value(name, depth+1)
			if err != nil {
				return nil, err
			}
			lines = append(lines, inner...)
		}
	case json.Delim('['):
		var scalars []string
		for i := 0; w.dec.More(); i++ {
			token, err := w.dec.Token()
			if err != nil {
				return nil, err
			}
			if _, nested := token.(json.Delim); !nested {
				scalars = append(scalars, scalar(token))
				continue
			}
			inner, err := w.opened(fmt.Sprintf("%s[%d]", path, i), token, depth+1)
			if err != nil {
				return nil, err
			}
			lines = append(lines, inner...)
		}
		if len(scalars) > 0 {
			lines = append([]string{labelled(path, strings.Join(scalars, ", "))}, lines...)
		}
	default:
		if text := scalar(token); text != "" {
			lines = append(lines, labelled(path, text))
		}
		return lines, nil
	}
	_, err := w.dec.Token()
	return lines, err
}

// shortKey bounds a key, because it is repeated before everything under it.
func shortKey(key json.Token) string {
	name, _ := key.(string)
	return name[:cutAt(name, 200)]
}

func labelled(path, text string) string {
	if path == "" {
		return text
	}
	return path + ": " + text
}

func scalar(token json.Token) string {
	if token == nil {
		return ""
	}
	return fmt.Sprint(token)
}

func isJSON(err error) bool {
	var syntax *json.SyntaxError
	return errors.As(err, &syntax) || errors.Is(err, errDeep) || errors.Is(err, errTrailing) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// jsonFault names line and column of what the parser stumbled over.
func jsonFault(err error, text string, src *source, dec *json.Decoder) error {
	if err == nil || !isJSON(err) {
		return err
	}
	at := dec.InputOffset()
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = syntax.Offset
	}
	at = min(max(at, 0), int64(len(text)))
	before := text[:at]
	line := strings.Count(before, "\n") + 1
	column := int(at) - strings.LastIndexByte(before, '\n')
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fault.New(fault.Invalid, CodeDamaged, "%q is not valid JSON at line %d, column %d: %s", src.Name, line, column, err.Error()).
		Hinted("correct the file at that place").At(fmt.Sprintf("%d:%d", line, column))
}
