package observe

import (
	"encoding/binary"
	"time"

	"airfield/internal/llm"
	"airfield/internal/telemetry"
)

// A record of the journal is one byte that says what it is and the fields in a fixed order: numbers as zigzag varints,
// texts as their length and bytes. A field that is added later goes to the end of its kind, where older records stop
// (decode.go reads what is missing as zero); one of an attempt, or one that changes its meaning, takes a new kind.
const (
	kindAdmit  = 'A' // a call, as it is known at admission
	kindFinish = 'F' // a call that has ended
	kindSpan   = 'S'
)

type encoder []byte

func (e *encoder) number(n int64) { *e = binary.AppendVarint(*e, n) }

func (e *encoder) text(s string) {
	*e = binary.AppendUvarint(*e, uint64(len(s)))
	*e = append(*e, s...)
}

func (e *encoder) flag(b bool) {
	if b {
		*e = append(*e, 2) // the varint 1
	} else {
		*e = append(*e, 0)
	}
}

// time is microseconds, as in the database.
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.number(0)
	} else {
		e.number(t.UnixMicro())
	}
}

func (e *encoder) texts(m map[string]string) {
	e.number(int64(len(m)))
	for k, v := range m {
		e.text(k)
		e.text(v)
	}
}

// call must name the fields in the order of decoder.call.
func (e *encoder) call(kind byte, c *llm.Call) {
	*e = append(*e, kind)
	e.text(c.ID)
	e.time(c.Start)
	e.number(int64(c.Duration))
	e.number(int64(c.FirstByte))
	e.text(c.Environment)
	e.text(c.BusinessUnit)
	e.text(c.Workflow)
	e.text(c.KeyID)
	e.text(c.User)
	e.text(c.Session)
	e.texts(c.Tags)
	e.text(string(c.Surface))
	e.text(c.Model)
	e.text(c.Deployment)
	e.text(c.Provider)
	e.text(c.Upstream)
	e.flag(c.Stream)
	e.number(int64(c.Status))
	e.text(string(c.Outcome))
	e.text(c.ErrorKind)
	e.text(c.Error)
	e.text(c.Finish)
	e.number(c.Usage.Input)
	e.number(c.Usage.CacheRead)
	e.number(c.Usage.CacheWrite)
	e.number(c.Usage.Output)
	e.number(c.Usage.Reasoning)
	e.text(string(c.Usage.Source))
	e.number(int64(c.Cost))
	e.text(c.PriceID)
	e.flag(c.Priced)
	e.text(c.TraceID)
	e.text(c.SpanID)
	e.text(c.ParentSpanID)
	e.text(c.Prompt)
	e.number(int64(c.Version))
	e.text(c.Cache)
	e.text(c.Degraded)
	e.number(c.RequestSize)
	e.number(c.ResponseSize)
	e.number(int64(len(c.Attempts)))
	for i := range c.Attempts {
		e.attempt(&c.Attempts[i])
	}
	e.number(c.Usage.CacheWriteLong)
	e.number(c.Usage.AudioInput)
	e.number(c.Usage.AudioOutput)
	e.number(c.Usage.Images)
	e.text(c.Service)
	e.number(int64(c.Waited))
	e.text(c.Decision)
	e.text(c.Lease)
	e.number(int64(len(c.Holds)))
	for _, h := range c.Holds {
		e.text(h.Account)
		e.time(h.Period)
	}
	e.text(c.Redaction)
	e.number(int64(len(c.Redacted)))
	for class, n := range c.Redacted {
		e.text(class)
		e.number(int64(n))
	}
	e.number(c.Usage.ImageInput)
	e.number(c.Usage.Characters)
	e.number(c.Usage.Seconds)
	e.text(c.Bodies)
	e.time(c.BodiesUntil)
}

func (e *encoder) attempt(a *llm.Attempt) {
	e.text(a.Deployment)
	e.text(a.Provider)
	e.text(a.Model)
	e.time(a.Start)
	e.number(int64(a.FirstByte))
	e.number(int64(a.Duration))
	e.number(int64(a.Status))
	e.text(string(a.Outcome))
	e.text(a.Error)
	e.text(a.RequestID)
}

func (e *encoder) span(s *telemetry.Span) {
	*e = append(*e, kindSpan)
	e.text(s.TraceID)
	e.text(s.SpanID)
	e.text(s.ParentID)
	e.text(s.Name)
	e.time(s.Start)
	e.time(s.End)
	e.text(s.Error)
	e.texts(s.Attributes)
}
