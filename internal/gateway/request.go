package gateway

import (
	"errors"
	"strings"
	"unicode/utf8"

	"airfield/internal/fault"
	"airfield/internal/gateway/scan"
	"airfield/internal/gateway/token"
	"airfield/internal/llm"
)

// asked is what the gateway reads of a request. Everything else in the body is the provider's business.
type asked struct {
	shape        *shape
	model        string
	modelAt      span // of the value, with its quotes
	stream       bool
	maxTokens    int64        // of output; 0 where the caller set no bound
	caps         [2]outputCap // as the shape's caps
	choices      int64        // answers asked for, at least 1
	content      [3]span      // what goes in, as the shape's content
	options      span         // stream_options, where there are any
	includeAt    span         // include_usage in them
	includeUsage bool
	user         string  // whom the caller says it is for
	service      string  // the service tier that is asked for
	unbounded    string  // a field that makes the cost of the call impossible to bound
	media        media   // what it is charged for besides text
	need         ability // of a model, once it was looked for
	looked       bool
}

// outputCap is a bound of the output as it stands in the body. One of null or 0 says nothing.
type outputCap struct {
	key, value span
	n          int64
}

// span is a part of the body.
type span struct{ from, to int }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }
func (s span) found() bool        { return s.to > 0 }

// The fields that are read. Each may stand in a body once: of two, nobody could say which one a provider obeys.
const (
	fieldModel = 1 << iota
	fieldStream
	fieldOptions
	fieldMaxTokens
	fieldMaxCompletion
	fieldChoices
	fieldUser
	fieldService
	fieldContent // and the two bits above it
)

// decode reads a body in one pass over its bytes, which checks all of it.
func decode(surface llm.Surface, body []byte) (asked, error) {
	q := asked{shape: shapeOf(surface), choices: 1}
	if !utf8.Valid(body) {
		at := 0
		for at < len(body) {
			if r, n := utf8.DecodeRune(body[at:]); r == utf8.RuneError && n == 1 {
				break
			} else {
				at += n
			}
		}
		return q, fault.New(fault.Invalid, "invalid_utf8", "the request body is not UTF-8: byte %d", at)
	}
	var seen int
	m := scan.Object(body)
	for m.Next() {
		field := 0
		var err error
		at := span{m.Offset, m.Offset + len(m.Value)}
		switch key := string(m.Key); key {
		case "model":
			field, q.modelAt = fieldModel, at
			q.model, err = text(key, m.Value)
		case "stream":
			field = fieldStream
			q.stream, err = boolean(key, m.Value)
		case "stream_format":
			if q.shape.medium == speech {
				field = fieldStream
				how, _ := scan.Text(m.Value)
				q.stream = how == "sse"
			}
		case "partial_images":
			if q.shape.medium == pictures {
				q.media.partial, err = count(key, m.Value)
			}
		case "stream_options":
			if q.shape.options {
				field = fieldOptions
				err = q.readOptions(at, m.Value)
			}
		case "n":
			if q.shape.choices {
				field = fieldChoices
				var n int64
				n, err = count(key, m.Value)
				q.choices = max(1, n)
			}
		case "user":
			field = fieldUser
			q.user, _ = scan.Text(m.Value) // the provider minds what else it is
		case "service_tier":
			field = fieldService
			q.service, _ = scan.Text(m.Value)
		case "metadata":
			if surface == llm.Messages {
				field = fieldUser
				for about := scan.Object(m.Value); about.Next(); {
					if string(about.Key) == "user_id" {
						q.user, _ = scan.Text(about.Value)
					}
				}
			}
		case "web_search_options", "audio", "prediction", "mcp_servers", "container", "plugins", "search_parameters", "models":
			if scan.Kind(m.Value) != 'n' {
				q.unbounded = key // what is searched, said or run costs of its own; another model costs what it likes
			}
		case "speed", "inference_geo": // of Anthropic, at several times the price
			if s, ok := scan.Text(m.Value); (ok && s != "standard" && s != "global") || !ok && scan.Kind(m.Value) != 'n' {
				q.unbounded = key
			}
		default:
			field, err = q.readShaped(key, &m)
		}
		if err != nil {
			return q, err
		}
		if seen&field != 0 {
			return q, fault.New(fault.Invalid, "duplicate_field", "the request has %q twice", m.Key).At(string(m.Key))
		}
		seen |= field
	}
	if err := m.Err(); err != nil {
		f := fault.New(fault.Invalid, "invalid_json", "the request body is not a JSON object: %v", err)
		var where *scan.Error
		if errors.As(err, &where) && where.Offset == 0 && len(body) == 0 {
			return q, f.Hinted("the body is empty")
		}
		return q, f
	}
	if q.shape.medium == speech {
		spoken, _ := scan.Text(q.content[0].of(body))
		q.media.characters = int64(utf8.RuneCountInString(spoken))
	}
	return q, q.complete()
}

// complete refuses what no surface takes.
func (q *asked) complete() error {
	if q.model == "" {
		q.model = q.shape.usual
	}
	if q.model == "" {
		return fault.New(fault.Invalid, "model_missing", "the request names no model").At("model").Hinted("GET /v1/models lists them")
	}
	if q.stream && !q.shape.generates && !q.shape.streams {
		return fault.New(fault.Invalid, "stream_unsupported", "this API does not stream").At("stream")
	}
	return nil
}

// readShaped reads a field whose name depends on the surface: what goes in, and the bounds of what comes out.
func (q *asked) readShaped(key string, m *scan.Members) (field int, err error) {
	at := span{m.Offset, m.Offset + len(m.Value)}
	for i, name := range q.shape.content {
		if key == name && name != "" {
			q.content[i] = at
			if name == "tools" && q.shape.hosted && hostedTool(m.Value) {
				q.unbounded = name
			}
			return fieldContent << i, nil
		}
	}
	for i, name := range q.shape.caps {
		if key == name && name != "" {
			which := &q.caps[i]
			which.key, which.value = span{m.KeyAt, m.KeyEnd}, at
			which.n, err = count(key, m.Value)
			q.maxTokens = max(q.maxTokens, which.n)
			return fieldMaxTokens << i, err
		}
	}
	return 0, nil
}

// hostedTool reports whether a tool among them runs at the provider, as often as the model likes.
func hostedTool(tools []byte) bool {
	for list := scan.Array(tools); list.Next(); {
		for o := scan.Object(list.Value); o.Next(); {
			kind, _ := scan.Text(o.Value)
			if string(o.Key) != "type" || kind == "custom" || kind == "function" || kind == "" {
				continue
			}
			own := false // run by the caller, though the provider knows them
			for _, prefix := range []string{"bash_", "text_editor_", "computer_", "memory_"} {
				own = own || strings.HasPrefix(kind, prefix)
			}
			if !own {
				return true
			}
		}
	}
	return false
}

func (q *asked) readOptions(at span, value []byte) error {
	q.options = at
	if scan.Kind(value) == 'n' {
		return nil
	}
	m := scan.Object(value)
	for m.Next() {
		if string(m.Key) != "include_usage" {
			continue
		}
		if q.includeAt.found() {
			return fault.New(fault.Invalid, "duplicate_field", "the request has %q twice", m.Key).At("stream_options.include_usage")
		}
		var err error
		q.includeAt = span{at.from + m.Offset, at.from + m.Offset + len(m.Value)}
		if q.includeUsage, err = boolean("stream_options.include_usage", m.Value); err != nil {
			return err
		}
	}
	if m.Err() != nil {
		return fault.New(fault.Invalid, "invalid_field", "stream_options must be an object").At("stream_options")
	}
	return nil
}

func text(field string, value []byte) (string, error) {
	s, ok := scan.Text(value)
	if !ok {
		return "", fault.New(fault.Invalid, "invalid_field", "%s must be a string", field).At(field)
	}
	return s, nil
}

func boolean(field string, value []byte) (bool, error) {
	switch scan.Kind(value) {
	case 't':
		return true, nil
	case 'f', 'n':
		return false, nil
	}
	return false, fault.New(fault.Invalid, "invalid_field", "%s must be true or false", field).At(field)
}

func count(field string, value []byte) (int64, error) {
	if scan.Kind(value) == 'n' {
		return 0, nil
	}
	n, ok := scan.Int(value)
	if !ok || n < 0 {
		return 0, fault.New(fault.Invalid, "invalid_field", "%s must be a whole number, not below 0", field).At(field)
	}
	return n, nil
}

// sampled is how much of a text is looked at to estimate its tokens; beyond it the estimate is scaled.
const sampled = 64 << 10

// inputTokens estimates what goes in.
func (q *asked) inputTokens(body []byte) int64 {
	var c token.Counter
	var all, seen, texts int64
	var numbers int64
	for _, content := range q.content {
		if !content.found() {
			continue
		}
		numbers += scan.Strings(content.of(body), func(raw []byte) {
			all += int64(len(raw))
			texts++
			if room := sampled - seen; room > 0 {
				part := raw[:min(int64(len(raw)), room)]
				seen += int64(len(part))
				c.Add(part)
			}
		})
	}
	tokens := c.Tokens()
	if all > seen {
		tokens = int64(float64(tokens) * float64(all) / float64(seen))
	}
	return max(1, tokens+numbers+texts)
}
