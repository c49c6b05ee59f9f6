package gemini

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"airfield/internal/gateway/neutral"
	"airfield/internal/id"
	"airfield/internal/llm"
)

// ReadAnswer reads a GenerateContentResponse: a stream of one piece.
func (d *dialect) ReadAnswer(body []byte) (*neutral.Answer, error) {
	var got neutral.Collect
	r := d.NewReader()
	if err := r.Read(body, got.Add); err != nil {
		return nil, err
	}
	r.End(got.Add)
	switch {
	case got.Err != nil:
		return &neutral.Answer{Usage: r.Used()}, errors.New(got.Err.Message)
	case !got.Done:
		return nil, errors.New("it has no candidate that ended")
	}
	return &got.Answer, nil
}

// NewReader reads a stream of GenerateContentResponses, each of which holds the next pieces of the answer.
func (d *dialect) NewReader() neutral.Reader { return &reader{open: -1} }

type reader struct {
	begun  bool
	open   int // the part that more may be added to; -1 for none
	kind   neutral.PartKind
	parts  int
	called bool
	stop   neutral.Stop // why it ended; empty while it has not
	used   llm.Usage
	over   bool
}

func (r *reader) Read(data []byte, emit func(*neutral.Event)) error {
	var a *answer
	if err := json.Unmarshal(data, &a); err != nil {
		return fmt.Errorf("it is no JSON of a response: %w", err)
	}
	switch {
	case r.over:
		return nil
	case a == nil:
		return errors.New("it is null")
	case a.Error != nil:
		r.fail(a.Error.neutral(0), emit)
		return nil
	}
	if a.Usage != nil {
		a.Usage.read(&r.used)
	}
	if !r.begun {
		r.begun = true
		created, _ := time.Parse(time.RFC3339, a.Created) // only Vertex AI says
		emit(&neutral.Event{Kind: neutral.Begin, Answer: neutral.Answer{ID: a.ID, Model: a.Model, Created: created, Usage: r.used}})
	}
	if a.Prompt != nil && a.Prompt.Blocked != "" && len(a.Candidates) == 0 {
		r.stop = neutral.Filtered
	}
	if len(a.Candidates) > 0 {
		r.candidate(&a.Candidates[0], emit)
	}
	return nil
}

func (r *reader) candidate(c *candidate, emit func(*neutral.Event)) {
	if c.Content != nil {
		for i := range c.Content.Parts {
			r.part(&c.Content.Parts[i], emit)
		}
	}
	if c.Finish == "" || c.Finish == "FINISH_REASON_UNSPECIFIED" {
		return
	}
	stop, ok := stops[c.Finish]
	if !ok {
		message := "the model ended with " + clip(c.Finish, 60)
		if c.Message != "" {
			message += ": " + clip(c.Message, 500)
		}
		r.fail(&neutral.Error{Status: 502, Type: "server_error", Code: clip(c.Finish, 60), Message: message}, emit)
		return
	}
	r.stop = stop
}

// stops are the reasons for which a generation ends as it should, or is ended by a filter. After others, such as
// MALFORMED_FUNCTION_CALL, what was generated is not what was meant.
var stops = map[string]neutral.Stop{
	"STOP": neutral.EndTurn, "MAX_TOKENS": neutral.MaxTokens,
	"SAFETY": neutral.Filtered, "RECITATION": neutral.Filtered, "LANGUAGE": neutral.Filtered, "BLOCKLIST": neutral.Filtered,
	"PROHIBITED_CONTENT": neutral.Filtered, "SPII": neutral.Filtered, "MODEL_ARMOR": neutral.Filtered,
	"IMAGE_SAFETY": neutral.Filtered, "IMAGE_PROHIBITED_CONTENT": neutral.Filtered, "IMAGE_RECITATION": neutral.Filtered,
}

func (r *reader) part(p *part, emit func(*neutral.Event)) {
	switch {
	case p.Call != nil:
		r.called = true
		call := neutral.Part{Kind: neutral.ToolCall, ID: p.Call.ID, Name: p.Call.Name}
		if call.ID == "" {
			call.ID = id.New("call")
		}
		args := "{}"
		if object(p.Call.Args) {
			args = string(p.Call.Args)
		}
		r.whole(call, neutral.Part{Kind: neutral.ToolCall, Text: args, Signature: p.Signature}, emit)
	case p.Inline != nil:
		r.whole(neutral.Part{Kind: neutral.Image, Media: p.Inline.Media}, neutral.Part{Kind: neutral.Image, Data: p.Inline.Data, Signature: p.Signature}, emit)
	case p.Text != nil:
		r.text(p, emit)
	}
}

// text adds to the part that is open, or opens one. A signature may come with an empty text, after what it signs.
func (r *reader) text(p *part, emit func(*neutral.Event)) {
	kind := neutral.Text
	if p.Thought {
		kind = neutral.Reasoning
	}
	if *p.Text == "" && (p.Signature == "" || r.open < 0) {
		return
	}
	if *p.Text != "" && (r.open < 0 || r.kind != kind) {
		r.close(emit)
		r.begin(neutral.Part{Kind: kind}, emit)
	}
	emit(&neutral.Event{Kind: neutral.Delta, Index: r.open, Part: neutral.Part{Kind: r.kind, Text: *p.Text, Signature: p.Signature}})
}

// whole tells a part that comes in one piece.
func (r *reader) whole(head, rest neutral.Part, emit func(*neutral.Event)) {
	r.close(emit)
	r.begin(head, emit)
	emit(&neutral.Event{Kind: neutral.Delta, Index: r.open, Part: rest})
	r.close(emit)
}

func (r *reader) begin(p neutral.Part, emit func(*neutral.Event)) {
	r.open, r.kind = r.parts, p.Kind
	r.parts++
	emit(&neutral.Event{Kind: neutral.Open, Index: r.open, Part: p})
}

func (r *reader) close(emit func(*neutral.Event)) {
	if r.open >= 0 {
		emit(&neutral.Event{Kind: neutral.Close, Index: r.open})
		r.open = -1
	}
}

func (r *reader) fail(e *neutral.Error, emit func(*neutral.Event)) {
	r.over = true
	emit(&neutral.Event{Kind: neutral.Failed, Err: e})
}

// Used is what the last piece said: each has the usage until then.
func (r *reader) Used() llm.Usage { return r.used }

// End tells that the answer is whole: after its reason to end, more usage may come.
func (r *reader) End(emit func(*neutral.Event)) {
	if r.over || r.stop == "" {
		return
	}
	r.over = true
	r.close(emit)
	if r.stop == neutral.EndTurn && r.called {
		r.stop = neutral.CalledTools
	}
	emit(&neutral.Event{Kind: neutral.Finish, Answer: neutral.Answer{Stop: r.stop, Usage: r.used}})
}
