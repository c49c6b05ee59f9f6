package providertest

import (
	"context"
	"errors"
	"fmt"
	"io"

	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/sse"
)

// heard is what came of asking a provider in its dialect.
type heard struct {
	response *gateway.Response
	answer   neutral.Answer
	whole    bool           // the answer is
	refused  *neutral.Error // in place of one
	torn     *neutral.Error // said in mid-stream
	told     []byte         // of a refusal, as it came
	err      error
}

// ask goes the gateway's way: the dialect writes, the provider sends, the dialect reads.
func (b *bench) ask(ctx context.Context, q *neutral.Request) (h heard) {
	dialect, said := b.provider.Dialect(), *q
	said.Model = b.Model
	if reason := dialect.Check(&said); reason != "" {
		return heard{err: errors.New("it cannot be said: " + reason)}
	}
	body, err := dialect.WriteRequest(&said)
	if err != nil {
		return heard{err: err}
	}
	r, err := b.provider.Send(ctx, &gateway.Attempt{Surface: dialect.Surface(), Model: said.Model, Stream: said.Stream, Body: body, CallID: "call_1"})
	if err != nil {
		return heard{err: err}
	}
	defer r.Body.Close()
	h.response = r
	switch {
	case r.Status >= 400:
		if h.told, h.err = io.ReadAll(r.Body); h.err == nil {
			h.refused = dialect.ReadError(r.Status, h.told)
		}
	case r.Stream:
		h.listen(dialect.NewReader(), r.Body)
	default:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return heard{response: r, err: err}
		}
		a, err := dialect.ReadAnswer(body)
		if h.err = err; err == nil {
			h.answer, h.whole = *a, true
		}
	}
	return h
}

// listen takes in a stream of server-sent events as the gateway does.
func (h *heard) listen(reader neutral.Reader, body io.Reader) {
	var got neutral.Collect
	var order order
	emit := func(e *neutral.Event) {
		if got.Done || got.Err != nil {
			return // the gateway listens no longer
		}
		if err := order.see(e); err != nil && h.err == nil {
			h.err = err
		}
		got.Add(e)
	}
	events := sse.NewReader()
	events.Reset(body)
	for {
		err := events.Fill()
		for h.err == nil {
			e, ok := events.Next()
			if !ok {
				break
			}
			if e.Data == nil || e.Unended || e.Part {
				continue
			}
			h.err = errors.Join(h.err, reader.Read(e.Data, emit))
		}
		events.Ready()
		if h.err == nil && errors.Is(err, io.EOF) {
			reader.End(emit)
			break
		}
		if h.err = errors.Join(h.err, err); h.err != nil {
			break
		}
	}
	h.answer, h.whole, h.torn = got.Answer, got.Done && h.err == nil, got.Err
}

// order holds events to what neutral.Event promises.
type order struct {
	begun  bool
	opened int
	closed map[int]bool
}

func (o *order) see(e *neutral.Event) error {
	if o.closed == nil {
		o.closed = map[int]bool{}
	}
	wrong := func(what string) error { return fmt.Errorf("part %d: %s", e.Index, what) }
	if e.Kind != neutral.Begin && e.Kind != neutral.Failed && !o.begun {
		return wrong("an event before the answer began")
	}
	switch e.Kind {
	case neutral.Begin:
		if o.begun {
			return errors.New("the answer begins twice")
		}
		o.begun = true
	case neutral.Open:
		if e.Index != o.opened {
			return wrong(fmt.Sprintf("opened as the %dth", o.opened))
		}
		if e.Part.Kind == neutral.ToolCall && (e.Part.ID == "" || e.Part.Name == "") {
			return wrong("a call of a tool without its id or name")
		}
		o.opened++
	case neutral.Delta, neutral.Close:
		if e.Index < 0 || e.Index >= o.opened || o.closed[e.Index] {
			return wrong("it is not open")
		}
		o.closed[e.Index] = e.Kind == neutral.Close
	case neutral.Finish:
		for i := range o.opened {
			if !o.closed[i] {
				return fmt.Errorf("part %d is open at the end", i)
			}
		}
	}
	return nil
}
