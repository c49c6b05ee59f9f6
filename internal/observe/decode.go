package observe

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"airfield/internal/llm"
	"airfield/internal/money"
	"airfield/internal/telemetry"
)

// entry is a decoded record: a call or a span.
type entry struct {
	kind byte
	call llm.Call
	span telemetry.Span
}

var errRecord = errors.New("not a record of calls or spans")

// decode reads one record. Texts are made fit for both databases: a row that one of them refuses for ever would
// hold up all that follow.
func decode(record []byte) (entry, error) {
	if len(record) == 0 {
		return entry{}, errRecord
	}
	d := decoder{rest: string(record[1:])} // one copy, which every text then shares
	e := entry{kind: record[0]}
	switch e.kind {
	case kindAdmit, kindFinish:
		d.call(&e.call)
		d.bad = d.bad || e.call.ID == ""
	case kindSpan:
		d.span(&e.span)
		d.bad = d.bad || e.span.SpanID == ""
	default:
		d.bad = true
	}
	if d.bad {
		return entry{}, errRecord
	}
	return e, nil
}

// decodeAdmission reads of an admission only whose it is: its end usually follows at once and says the rest.
func decodeAdmission(record []byte) (callID string, started time.Time, err error) {
	d := decoder{rest: string(record[1:min(len(record), 128)])}
	callID, started = d.text(), d.time()
	if d.bad || callID == "" {
		return "", time.Time{}, errRecord
	}
	return callID, started, nil
}

type decoder struct {
	rest string
	bad  bool
}

// number reads a varint; at the end of the record it is 0, for fields that an older record does not have.
func (d *decoder) number() int64 {
	u := d.unsigned()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) unsigned() uint64 {
	if d.bad || d.rest == "" {
		return 0
	}
	var u uint64
	for i := 0; i < len(d.rest) && i < binary.MaxVarintLen64; i++ {
		c := d.rest[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		u |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.rest = d.rest[i+1:]
			return u
		}
	}
	d.bad = true
	return 0
}

func (d *decoder) text() string {
	n := d.unsigned()
	if n > uint64(len(d.rest)) {
		d.bad = true
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return storable(s[:min(len(s), maxText)])
}

// Bounds of what a row keeps of a text. Callers and providers choose some of them, and PostgreSQL refuses a key of more
// than some kilobytes.
const (
	maxText  = 4096
	maxModel = 256
)

// storable replaces what PostgreSQL cannot keep in a text.
func storable(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

func (d *decoder) flag() bool { return d.number() != 0 }

func (d *decoder) time() time.Time {
	if n := d.number(); n != 0 {
		return time.UnixMicro(n).UTC()
	}
	return time.Time{}
}

// count reads how many things follow, each of which takes at least a byte.
func (d *decoder) count() int {
	n := d.number()
	if n < 0 || n > int64(len(d.rest)) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) texts() map[string]string {
	n := d.count()
	if n == 0 {
		return nil
	}
	m := make(map[string]string, min(n, 64))
	for range n {
		k := d.text()
		m[k] = d.text()
	}
	return m
}

// call must name the fields in the order of encoder.call.
func (d *decoder) call(c *llm.Call) {
	c.ID = d.text()
	c.Start = d.time()
	c.Duration = time.Duration(d.number())
	c.FirstByte = time.Duration(d.number())
	c.Environment = d.text()
	c.BusinessUnit = d.text()
	c.Workflow = d.text()
	c.KeyID = d.text()
	c.User = d.text()
	c.Session = d.text()
	c.Tags = d.texts()
	c.Surface = llm.Surface(d.text())
	c.Model = d.text()
	c.Model = storable(c.Model[:min(len(c.Model), maxModel)])
	c.Deployment = d.text()
	c.Provider = d.text()
	c.Upstream = d.text()
	c.Stream = d.flag()
	c.Status = int(d.number())
	c.Outcome = llm.Outcome(d.text())
	c.ErrorKind = d.text()
	c.Error = d.text()
	c.Finish = d.text()
	c.Usage.Input = d.number()
	c.Usage.CacheRead = d.number()
	c.Usage.CacheWrite = d.number()
	c.Usage.Output = d.number()
	c.Usage.Reasoning = d.number()
	c.Usage.Source = llm.UsageSource(d.text())
	c.Cost = money.Nanos(d.number())
	c.PriceID = d.text()
	c.Priced = d.flag()
	c.TraceID = d.text()
	c.SpanID = d.text()
	c.ParentSpanID = d.text()
	c.Prompt = d.text()
	c.Version = int(d.number())
	c.Cache = d.text()
	c.Degraded = d.text()
	c.RequestSize = d.number()
	c.ResponseSize = d.number()
	if n := d.count(); n > 0 {
		c.Attempts = make([]llm.Attempt, 0, min(n, 16))
		for range n {
			if d.bad {
				return
			}
			c.Attempts = append(c.Attempts, d.attempt())
		}
	}
	c.Usage.CacheWriteLong = d.number()
	c.Usage.AudioInput = d.number()
	c.Usage.AudioOutput = d.number()
	c.Usage.Images = d.number()
	c.Service = d.text()
	c.Waited = time.Duration(d.number())
	c.Decision = d.text()
	c.Lease = d.text()
	if n := d.count(); n > 0 {
		c.Holds = make([]llm.Hold, 0, min(n, 16))
		for range n {
			c.Holds = append(c.Holds, llm.Hold{Account: d.text(), Period: d.time()})
		}
	}
	c.Redaction = d.text()
	if n := d.count(); n > 0 {
		c.Redacted = make(map[string]int, min(n, 16))
		for range n {
			class := d.text()
			c.Redacted[class] = int(d.number())
		}
	}
	c.Usage.ImageInput = d.number()
	c.Usage.Characters = d.number()
	c.Usage.Seconds = d.number()
	c.Bodies = d.text()
	c.BodiesUntil = d.time()
}

func (d *decoder) attempt() llm.Attempt {
	return llm.Attempt{Deployment: d.text(), Provider: d.text(), Model: d.text(), Start: d.time(), FirstByte: time.Duration(d.number()),
		Duration: time.Duration(d.number()), Status: int(d.number()), Outcome: llm.Outcome(d.text()), Error: d.text(), RequestID: d.text()}
}

func (d *decoder) span(s *telemetry.Span) {
	s.TraceID = d.text()
	s.SpanID = d.text()
	s.ParentID = d.text()
	s.Name = d.text()
	s.Start = d.time()
	s.End = d.time()
	s.Error = d.text()
	s.Attributes = d.texts()
}
