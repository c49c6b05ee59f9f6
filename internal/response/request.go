package response

import (
	"bytes"
	"encoding/json"
	"slices"

	"airfield/internal/fault"
)

// object is a JSON object whose members are left as they came.
type object = map[string]json.RawMessage

// request is what of a caller's request matters here.
type request struct {
	fields   object
	model    string
	stream   bool
	store    bool
	declined bool // store is false, in so many words
	previous string
	input    []json.RawMessage // as items
	include  []string
	limit    int64 // max_output_tokens, 0 for none
	calls    int   // max_tool_calls, 0 for none
	search   *search
}

// readRequest returns nil where the body is not even an object: what is wrong with it is said by the gateway.
func readRequest(body []byte) (*request, error) {
	q := &request{store: true}
	if json.Unmarshal(body, &q.fields) != nil || q.fields == nil {
		return nil, nil
	}
	var previous, conversation, background *json.RawMessage
	for name, into := range map[string]**json.RawMessage{"previous_response_id": &previous, "conversation": &conversation, "background": &background} {
		if v, ok := q.fields[name]; ok && string(v) != "null" {
			*into = &v
		}
	}
	if background != nil && string(*background) != "false" {
		return nil, fault.New(fault.Invalid, "background_unsupported", "background responses are not offered: the answer comes with the request").At("background").
			Hinted("leave background out; for many requests without haste there are batches")
	}
	if conversation != nil {
		return nil, fault.New(fault.Invalid, "conversation_unsupported", "conversations as objects of their own are not offered").At("conversation").
			Hinted("continue a response with previous_response_id")
	}
	if previous != nil && json.Unmarshal(*previous, &q.previous) != nil {
		return nil, fault.New(fault.Invalid, "invalid_field", "previous_response_id must be a text").At("previous_response_id")
	}
	for _, f := range []struct {
		name string
		into any
		what string
	}{
		{"model", &q.model, "a text"}, {"stream", &q.stream, "true or false"}, {"store", &q.store, "true or false"}, {"include", &q.include, "a list of texts"},
		{"max_output_tokens", &q.limit, "a whole number"}, {"max_tool_calls", &q.calls, "a whole number"},
	} {
		if v, ok := q.fields[f.name]; ok && json.Unmarshal(v, f.into) != nil {
			return nil, fault.New(fault.Invalid, "invalid_field", "%s must be %s", f.name, f.what).At(f.name)
		}
	}
	q.declined = string(bytes.TrimSpace(q.fields["store"])) == "false"
	if err := q.readInput(); err != nil {
		return nil, err
	}
	var err error
	q.search, err = readSearch(q.fields)
	return q, err
}

// readInput makes items of the input; what is in them is checked by whoever is sent them.
func (q *request) readInput() error {
	raw := q.fields["input"]
	var text string
	switch {
	case len(raw) == 0 || string(raw) == "null":
	case json.Unmarshal(raw, &text) == nil:
		q.input = []json.RawMessage{must(map[string]any{"type": "message", "role": "user", "content": []any{map[string]any{"type": "input_text", "text": text}}})}
	default:
		if json.Unmarshal(raw, &q.input) != nil || slices.ContainsFunc(q.input, func(i json.RawMessage) bool { return len(i) == 0 || i[0] != '{' }) {
			return fault.New(fault.Invalid, "invalid_field", "input must be a text or a list of items").At("input")
		}
	}
	return nil
}

// asIs reports whether the request goes on as the caller wrote it: nothing of it is kept, looked up or run here.
func (q *request) asIs() bool {
	return q.declined && q.previous == "" && q.search == nil && !slices.ContainsFunc(q.input, func(i json.RawMessage) bool {
		kind := typeOf(i)
		return kind == "item_reference" || kind == "file_search_call"
	})
}

const (
	thoughtsInclude = "reasoning.encrypted_content"
	resultsInclude  = "file_search_call.results"
)

// body is a request with other items, for a provider that shall keep nothing.
func (q *request) body(items []json.RawMessage, thoughts bool) object {
	b := make(object, len(q.fields)+2)
	for name, value := range q.fields {
		b[name] = value
	}
	delete(b, "previous_response_id")
	delete(b, "conversation")
	delete(b, "background")
	b["store"] = json.RawMessage("false")
	b["input"] = json.RawMessage("[]")
	if len(items) > 0 {
		b["input"] = must(items)
	}
	include := slices.DeleteFunc(slices.Clone(q.include), func(s string) bool { return s == resultsInclude })
	if thoughts && !slices.Contains(include, thoughtsInclude) {
		include = append(include, thoughtsInclude)
	}
	if delete(b, "include"); len(include) > 0 {
		b["include"] = must(include)
	}
	return b
}

// must writes what is always JSON: maps and lists of texts, numbers and JSON that was read before.
func must(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
