package extract

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/ingest/schema"
)

// recordFile reads the records of one file.
type recordFile struct {
	*recordMaker
	src    *source
	sink   *sink
	read   RecordsRead
	keys   map[[16]byte]int // and the record that has each
	single bool             // the file is one object
	tier   caller.Tier      // the highest of all
	given  int              // records that were taken
}

// readRecords reads a file whose collection says what its records become.
func (c *child) readRecords(format string, src *source, s *sink) error {
	m, err := c.recordMaker(src.Records)
	if err != nil {
		return fault.New(fault.Invalid, CodeRecord, "the records of the collection cannot be used: %w", err)
	}
	f := &recordFile{recordMaker: m, src: src, sink: s, keys: map[[16]byte]int{}, read: RecordsRead{Failures: []RecordFailure{}}}
	s.whole = !f.lenient()
	if format == formatXLSX {
		if err := readXLSX(src, s, f); err != nil {
			return err
		}
		return f.end()
	}
	text, err := src.text()
	if err != nil {
		return err
	}
	switch format {
	case formatCSV, formatTSV:
		_, _, err = eachRow(text, format == formatTSV, s, func(columns []string, row csvRow) error {
			return f.take(anchor(row), f.row(columns, row.cells))
		})
	case formatJSON:
		err = f.json(text)
	default:
		err = f.lines(text)
	}
	if err != nil {
		return err
	}
	return f.end()
}

// recordMaker keeps the last one: a source's files follow one another under the same rules.
func (c *child) recordMaker(rules *Records) (*recordMaker, error) {
	raw, err := json.Marshal(rules)
	if err != nil {
		return nil, err
	}
	if c.records == nil || c.recordRules != string(raw) {
		m, err := newRecordMaker(rules)
		if err != nil {
			return nil, err
		}
		c.records, c.recordRules = m, string(raw)
	}
	return c.records, nil
}

// lenient reports whether a record that is wrong leaves the others.
func (f *recordFile) lenient() bool {
	return f.src.Preview || f.rules.OnInvalid == InvalidSkip
}

// take makes one record and adds it, or notes what is wrong with it.
func (f *recordFile) take(place string, raw []byte) error {
	f.read.Records++
	made, failures, more := f.make(raw, maxRecordFailures)
	if len(failures) == 0 && made.key != "" {
		sum := sha256.Sum256([]byte(made.key))
		key := [16]byte(sum[:])
		if first, taken := f.keys[key]; taken {
			failures = []schema.Failure{{Pointer: f.key[0].pointer, What: fmt.Sprintf("record %d has this key already", first)}}
		} else {
			f.keys[key] = f.read.Records
		}
	}
	if len(failures) > 0 {
		f.read.LeftOut++
		f.read.More += more
		for _, one := range failures {
			f.fail(RecordFailure{Record: f.read.Records, Place: place, Failure: one})
		}
		return nil
	}
	if f.read.LeftOut > 0 && !f.lenient() {
		return nil // nothing of the file will be taken
	}
	f.describe(made)
	if f.single {
		f.sink.res.Title = made.title
	}
	return f.sink.add(Block{Kind: KindRecord, Text: made.text, Anchor: place, Title: made.title, Key: made.key, Whole: true})
}

func (f *recordFile) fail(one RecordFailure) {
	if len(f.read.Failures) >= maxRecordFailures {
		f.read.More++
		return
	}
	f.read.Failures = append(f.read.Failures, one)
}

// describe makes the metadata of a record that of the document: what all of its records say, and the highest tier.
func (f *recordFile) describe(made madeRecord) {
	f.tier = max(f.tier, made.tier)
	if f.given++; f.given == 1 {
		f.read.Metadata = maps.Clone(made.metadata)
		return
	}
	for name, value := range f.read.Metadata {
		if other, ok := made.metadata[name]; !ok || fmt.Sprint(other) != fmt.Sprint(value) {
			delete(f.read.Metadata, name)
		}
	}
}

// broken is for what cannot be read further: it fails the file, or is the last thing that is said of it.
func (f *recordFile) broken(err error) error {
	var fl *fault.Fault
	if !f.lenient() || !errors.As(err, &fl) {
		return err
	}
	f.read.LeftOut++
	f.fail(RecordFailure{Place: "after record " + fmt.Sprint(f.read.Records), Failure: schema.Failure{What: fl.Text}})
	return nil
}

// end says what is wrong, and fails the file where its collection wants that.
func (f *recordFile) end() error {
	if f.tier != caller.None {
		if f.read.Metadata == nil {
			f.read.Metadata = map[string]any{}
		}
		f.read.Metadata["tier"] = f.tier.String()
	}
	f.sink.res.Records = &f.read
	wrong := f.read.LeftOut
	switch {
	case f.read.Records == 0 && wrong == 0 && !f.src.Preview:
		return fault.New(fault.Invalid, CodeEmpty, "%q holds no records", f.src.Name).Hinted("remove it, or send a version with records")
	case wrong == 0, f.src.Preview:
		return nil
	case !f.lenient() || f.given == 0:
		return fault.New(fault.Invalid, CodeRecord, "%d of %d records of %q are not as they must be: %s", wrong, max(f.read.Records, wrong), f.src.Name, f.said()).
			Hinted("correct them, or change records of the collection")
	}
	f.sink.partial("%d of %d records were left out: %s", wrong, max(f.read.Records, wrong), f.said())
	return nil
}

func (f *recordFile) said() string {
	said := make([]string, 0, len(f.read.Failures)+1)
	for _, one := range f.read.Failures {
		said = append(said, one.String())
	}
	if f.read.More > 0 {
		said = append(said, fmt.Sprintf("and %d more", f.read.More))
	}
	return strings.Join(said, "; ")
}

// json reads one object, or an array whose elements are the records. More than one value is JSON Lines under another name.
func (f *recordFile) json(text string) error {
	dec := decoder(text)
	token, err := dec.Token()
	if err != nil {
		return f.broken(jsonFault(err, text, f.src, dec))
	}
	if token != json.Delim('[') {
		if !json.Valid([]byte(text)) {
			if first, _, more := strings.Cut(strings.TrimSpace(text), "\n"); more && json.Valid([]byte(first)) {
				return f.lines(text)
			}
			return f.broken(jsonFault(f.whole(text, &dec), text, f.src, dec))
		}
		f.single = true
		return f.take("$", []byte(text))
	}
	for i := 0; dec.More(); i++ {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return f.broken(jsonFault(orEnd(err), text, f.src, dec))
		}
		if err := f.take(fmt.Sprintf("$[%d]", i), raw); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return f.broken(jsonFault(orEnd(err), text, f.src, dec))
	}
	w := jsonWalk{dec: dec}
	return f.broken(jsonFault(w.end(), text, f.src, dec))
}

// whole reads text that is not one JSON value, for what is wrong with it.
func (f *recordFile) whole(text string, dec **json.Decoder) error {
	*dec = decoder(text)
	var raw json.RawMessage
	if err := (*dec).Decode(&raw); err != nil {
		return orEnd(err)
	}
	w := jsonWalk{dec: *dec}
	return w.end()
}

// orEnd is the end of a file in the middle of a value.
func orEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// lines reads a record a line.
func (f *recordFile) lines(text string) error {
	number := 0
	for line := range strings.Lines(text) {
		number++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := f.take(fmt.Sprintf("line %d", number), []byte(line)); err != nil {
			return err
		}
	}
	return nil
}
