package openai

import (
	"bytes"
	"errors"
	"slices"

	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral/chat"
	"airfield/internal/gateway/neutral/responses"
	"airfield/internal/gateway/scan"
	"airfield/internal/llm"
)

// responseMeter reads usage from the answers of the Responses API.
type responseMeter struct{ meter }

// Event reads one event. The last one carries the whole response, and there is no other end mark.
func (m *responseMeter) Event(data []byte) gateway.Event {
	var kind string
	var whole, delta, message []byte
	o := scan.Object(data)
	for o.Next() {
		switch string(o.Key) {
		case "type":
			kind, _ = scan.Text(o.Value)
		case "response":
			whole = o.Value
		case "delta":
			delta = o.Value
		case "message":
			message = o.Value
		case "error": // as some endpoints write it
			if scan.Kind(o.Value) != 'n' {
				message = o.Value
			}
		}
	}
	if o.Err() != nil {
		return gateway.Content
	}
	switch kind {
	case "response.completed", "response.incomplete":
		m.response(whole, false)
		if m.finish == "" {
			m.finish = kind[len("response."):]
		}
		return gateway.Done
	case "response.failed":
		m.response(whole, false)
		if m.problem == "" {
			m.problem = "without saying why"
		}
		return gateway.Failure
	case "error":
		m.problem = problem(message)
		return gateway.Failure
	case "":
		if message != nil { // an error without a type is one all the same
			m.problem = problem(message)
			return gateway.Failure
		}
	}
	if scan.Kind(delta) == '"' {
		m.output.Add(delta[1 : len(delta)-1])
	}
	return gateway.Content
}

// Body reads a whole response, or finds the usage in the last part of one.
func (m *responseMeter) Body(body []byte, partial bool) error {
	if partial {
		m.tailUsage(body)
		return nil
	}
	if err := scan.Valid(body); err != nil {
		return err
	}
	if !m.response(body, true) {
		return errors.New("it has no output")
	}
	return nil
}

// response reads a response and reports whether it is one; where usage is not told, what was generated is counted.
func (m *responseMeter) response(value []byte, count bool) (ok bool) {
	var output []byte
	reason := ""
	for o := scan.Object(value); o.Next(); {
		switch string(o.Key) {
		case "output":
			output = o.Value
		case "status":
			m.finish, _ = scan.Text(o.Value)
		case "incomplete_details":
			for d := scan.Object(o.Value); d.Next(); {
				if string(d.Key) == "reason" {
					reason, _ = scan.Text(d.Value)
				}
			}
		case "error":
			if scan.Kind(o.Value) != 'n' {
				m.problem = problem(o.Value)
			}
		case "usage":
			m.readUsage(o.Value)
		case "service_tier":
			m.serve(o.Value)
		}
	}
	if reason != "" {
		m.finish = reason
	}
	if scan.Kind(output) != '[' {
		return false
	}
	if count && m.usage.Completion() == 0 {
		scan.Strings(output, m.output.Add)
	}
	return true
}

// usageNames are the names in the usage of a response as chat completions have them: what they say is the same.
var usageNames = map[string]string{
	"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens", "total_tokens": "total_tokens",
	"input_tokens_details": "prompt_tokens_details", "output_tokens_details": "completion_tokens_details",
}

// readUsage reads a usage as the surface writes it, and reports whether it was one.
func (m *meter) readUsage(value []byte) bool {
	if m.surface != llm.Responses {
		return chat.ReadUsage(value, &m.usage)
	}
	b := []byte{'{'}
	o := scan.Object(value)
	for o.Next() {
		if name := usageNames[string(o.Key)]; name != "" {
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = append(append(append(append(b, '"'), name...), `":`...), o.Value...)
		}
	}
	return o.Err() == nil && chat.ReadUsage(append(b, '}'), &m.usage)
}

// ownThoughts takes out the thoughts that another provider's model had earlier in a conversation: OpenAI's refuses the
// whole request for them. Everything else stays as the caller wrote it.
func ownThoughts(body []byte) []byte {
	if !bytes.Contains(body, []byte(responses.SealPrefix)) {
		return body
	}
	var out []byte
	for m := scan.Object(body); m.Next(); {
		if string(m.Key) != "input" || scan.Kind(m.Value) != '[' {
			continue
		}
		var kept [][]byte
		for a := scan.Array(m.Value); a.Next(); {
			if !foreign(a.Value) {
				kept = append(kept, a.Value)
			}
		}
		list := append(append([]byte{'['}, bytes.Join(kept, []byte{','})...), ']')
		out = slices.Concat(body[:m.Offset], list, body[m.Offset+len(m.Value):])
	}
	if out == nil {
		return body
	}
	return out
}

// foreign reports whether an item is such a thought.
func foreign(item []byte) (sealed bool) {
	thought := false
	for m := scan.Object(item); m.Next(); {
		s, _ := scan.Text(m.Value)
		switch string(m.Key) {
		case "type":
			thought = s == "reasoning"
		case "encrypted_content":
			sealed = len(s) >= len(responses.SealPrefix) && s[:len(responses.SealPrefix)] == responses.SealPrefix
		}
	}
	return thought && sealed
}
