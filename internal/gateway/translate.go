package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"airfield/internal/fault"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/sse"
	"airfield/internal/gateway/token"
	"airfield/internal/llm"
)

// said is a call's request in neutral words, read once, for the deployments that speak another API than the caller.
type said struct {
	request *neutral.Request
	err     *fault.Fault
}

// speech is the request in neutral words.
func (c *call) speech() *said {
	if c.said == nil {
		c.said = &said{}
		q, err := c.asked.shape.neutral.ReadRequest(c.req.Body)
		if err != nil {
			c.said.err = fault.As(err)
		}
		c.said.request = q
	}
	return c.said
}

// unspeakable says why a deployment cannot be asked in the caller's words nor in its own; empty where it can.
func (c *call) unspeakable(d *deployment) string {
	if d.provider.Takes(c.req.Surface) {
		return ""
	}
	dialect := d.provider.Dialect()
	if c.counts() {
		if s := c.speech(); s.err != nil {
			return s.err.Text
		}
		return ""
	}
	if dialect == nil || c.asked.shape.neutral == nil {
		return "provider " + d.providerName + " does not serve " + string(c.req.Surface)
	}
	s := c.speech()
	if s.err != nil {
		return s.err.Text
	}
	if reason := dialect.Check(c.told(d, 0)); reason != "" {
		return reason + " (" + string(c.req.Surface) + " is told to provider " + d.providerName + " as " + string(dialect.Surface()) + ")"
	}
	return ""
}

// send makes one exchange with a deployment, in the caller's words or in its own.
func (c *call) send(d *deployment, bound int64, service string) (*Response, error) {
	a := &Attempt{Surface: c.req.Surface, Model: d.upstream, Stream: c.asked.stream, Header: c.req.Header, CallID: c.row.ID, Traceparent: c.traceparent}
	if d.provider.Takes(c.req.Surface) {
		a.Body, a.ContentType = c.asked.upstreamBody(c.req.Body, d, bound, service), c.req.ContentType
		return d.provider.Send(c.watch.ctx, a)
	}
	if c.counts() {
		return counted(c.speech().request)
	}
	dialect, q := d.provider.Dialect(), c.told(d, bound)
	var err error
	if a.Surface = dialect.Surface(); a.Surface == c.req.Surface {
		return nil, fmt.Errorf("provider %s neither takes %s nor speaks anything else", d.providerName, a.Surface)
	}
	if a.Body, err = dialect.WriteRequest(q); err != nil {
		return nil, fault.New(fault.Invalid, "untranslatable", "the request cannot be told to %s: %w", d.name, err)
	}
	answer, err := d.provider.Send(c.watch.ctx, a)
	if err != nil {
		return nil, err
	}
	return translated(c.asked.shape.neutral, dialect, q, answer, c.expected().Input), nil
}

// told is the request as a deployment is told it: another gets another. The bounds that money is held for are those that the
// gateway read, whatever a dialect might make of the same bytes.
func (c *call) told(d *deployment, bound int64) *neutral.Request {
	q := *c.speech().request
	q.Model, q.Stream, q.Most = d.upstream, c.asked.stream, d.maxOutput
	if q.MaxOutput = c.asked.maxTokens; q.MaxOutput == 0 {
		q.MaxOutput = bound
	}
	return &q
}

// translated is an answer in the caller's words; input is how many tokens went in, should the provider not say.
func translated(surface neutral.Surface, dialect neutral.Dialect, q *neutral.Request, answer *Response, input int64) *Response {
	t := &translation{surface: surface, dialect: dialect, request: q, source: answer.Body, input: input}
	t.known, _ = answer.Meter.(*Known)
	out := *answer
	out.Body, out.Size, out.Meter = t, -1, t
	switch {
	case answer.Status >= 400:
		out.ContentType, t.more, t.refusal = "application/json", t.wholeBody, answer.Status
	case answer.Stream:
		out.ContentType, t.more = "text/event-stream; charset=utf-8", t.nextEvents
		t.events, t.reader, t.writer = sse.NewReader(), dialect.NewReader(), surface.NewWriter(q)
		t.events.Reset(answer.Body)
	default:
		out.ContentType, t.more = "application/json", t.wholeBody
	}
	return &out
}

// translation is the body of a translated answer, and its meter: it reads the provider's answer as it is asked for more.
type translation struct {
	surface neutral.Surface
	dialect neutral.Dialect
	request *neutral.Request
	input   int64  // tokens, estimated
	known   *Known // of a provider that knew the usage beforehand
	source  io.ReadCloser
	refusal int          // the status, where it is an error
	more    func() error // fills out
	out     bytes.Buffer // what was translated and not yet read
	err     error        // what comes after out
	events  *sse.Reader
	reader  neutral.Reader
	writer  neutral.Writer
	output  token.Counter
	read    Reading
	over    bool // the stream said that it is whole, or that it failed
}

// maxTranslated bounds an answer that is translated as a whole.
const maxTranslated = 64 << 20

func (t *translation) Read(p []byte) (int, error) {
	for t.out.Len() == 0 {
		if t.err != nil {
			return 0, t.err
		}
		t.err = t.more()
	}
	return t.out.Read(p)
}

func (t *translation) Close() error { return t.source.Close() }

// wholeBody translates a whole answer, or a refusal.
func (t *translation) wholeBody() error {
	body, err := io.ReadAll(io.LimitReader(t.source, maxTranslated+1))
	if err != nil && (t.refusal == 0 || len(body) == 0) {
		return err
	}
	if t.refusal > 0 {
		t.out.Write(t.surface.WriteError(t.dialect.ReadError(t.refusal, body)))
		return io.EOF
	}
	if len(body) > maxTranslated {
		return fault.New(fault.Upstream, "upstream_answer", "the answer has more than the %d bytes that are translated", maxTranslated)
	}
	a, err := t.dialect.ReadAnswer(body)
	if err != nil {
		if a != nil {
			t.read.Usage = a.Usage
		}
		return fault.New(fault.Upstream, "upstream_answer", "the answer cannot be read: %w", err)
	}
	for i := range a.Parts {
		t.output.Add([]byte(a.Parts[i].Text))
	}
	a.Usage = t.finished(a)
	b, err := t.surface.WriteAnswer(t.request, a)
	if err != nil {
		return fault.New(fault.Internal, "untranslatable", "the answer cannot be written: %w", err)
	}
	t.out.Write(b)
	return io.EOF
}

// nextEvents reads once from the provider's stream and translates what came.
func (t *translation) nextEvents() error {
	err := t.events.Fill()
	for !t.over {
		e, ok := t.events.Next()
		if !ok {
			break
		}
		if e.Part {
			return fault.New(fault.Upstream, "upstream_answer", "an event of the answer has more than the %d bytes that are translated", sse.MaxEvent)
		}
		if e.Data == nil || e.Unended {
			continue
		}
		if wrong := t.reader.Read(e.Data, t.emit); wrong != nil {
			return fault.New(fault.Upstream, "upstream_answer", "the answer cannot be read: %w", wrong)
		}
	}
	t.events.Ready()
	if errors.Is(err, io.EOF) && !t.over {
		t.reader.End(t.emit)
	}
	return err
}

func (t *translation) emit(e *neutral.Event) {
	if t.over {
		return
	}
	switch e.Kind {
	case neutral.Delta:
		t.output.Add([]byte(e.Part.Text))
	case neutral.Finish:
		t.over = true
		e.Answer.Usage = t.finished(&e.Answer)
	case neutral.Failed:
		t.over = true
		t.read.Problem = e.Err.Message
	}
	t.out.Write(t.writer.Write(t.out.AvailableBuffer(), e))
}

// finished keeps what the answer used, and returns it as the caller is told: estimated, where nobody said.
func (t *translation) finished(a *neutral.Answer) llm.Usage {
	u := a.Usage
	if t.known != nil && t.known.Read.Usage.Source != "" {
		u = t.known.Read.Usage
	}
	if u.Source == "" {
		u = llm.Usage{Input: t.input, Output: t.output.Tokens(), Source: llm.Estimated}
	}
	t.read.Usage, t.read.Finish, t.read.Service = u, string(a.Stop), a.Service
	if s, ok := t.surface.(neutral.Ender); ok {
		t.read.Finish = s.Ended(a.Stop)
	}
	return u
}

// Event says what one of our own events is.
func (t *translation) Event(data []byte) Event { return t.surface.Classify(data) }

// Body has nothing to learn: the answer was read as it was translated.
func (t *translation) Body([]byte, bool) error { return nil }

// Reading is what the provider said.
func (t *translation) Reading() Reading {
	r := t.read
	r.Output = t.output.Tokens()
	if r.Usage.Source == "" && t.reader != nil {
		r.Usage = t.reader.Used() // it is not whole, but what was said of it counts
	}
	return r
}
