package gateway

import (
	"bytes"
	"slices"
	"strconv"

	"airfield/internal/gateway/scan"
)

// upstreamBody is the body as it goes to a deployment: the model renamed, usage asked for on a chat stream, and the
// output bounded where the caller's budget needs a bound and the caller set none. The caller's bytes are spliced, never
// written anew, so that what the gateway does not know reaches the provider as it is.
func (q *asked) upstreamBody(body []byte, d *deployment, bound int64, service string) []byte {
	edits := make([]edit, 0, 4)
	switch {
	case q.modelAt.found() && q.model == d.upstream:
	case q.shape.form:
		edits = append(edits, edit{q.modelAt, d.upstream})
	case q.modelAt.found():
		edits = append(edits, edit{q.modelAt, d.quoted})
	default:
		edits = append(edits, nameModel(body, d))
	}
	if q.stream && q.shape.options && !q.includeUsage && !d.omitUsage {
		edits = append(edits, q.askForUsage(body))
	}
	if bound > 0 && q.shape.generates {
		edits = q.boundOutput(edits, d, bound)
	}
	if service != "" {
		edits = append(edits, q.add(`"service_tier":`+quote(service)))
	}
	return splice(body, edits)
}

// splice makes the edits in a body; without any it is the same.
func splice(body []byte, edits []edit) []byte {
	if len(edits) == 0 {
		return body
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return a.at.from - b.at.from })
	size := len(body)
	for _, e := range edits {
		size += len(e.text)
	}
	out, from := make([]byte, 0, size), 0
	for _, e := range edits {
		out = append(append(out, body[from:e.at.from]...), e.text...)
		from = e.at.to
	}
	return append(out, body[from:]...)
}

// nameModel says the model where the caller left it out: a provider's usual one need not be ours.
func nameModel(body []byte, d *deployment) edit {
	at := bytes.IndexByte(body, '{') + 1
	member := `"model":` + d.quoted
	if m := scan.Object(body); m.Next() {
		member += ","
	}
	return edit{span{at, at}, member}
}

// edit puts a text in the place of a part of the body.
type edit struct {
	at   span
	text string
}

func (q *asked) askForUsage(body []byte) edit {
	switch {
	case q.includeAt.found():
		return edit{q.includeAt, "true"}
	case !q.options.found():
		return q.add(`"stream_options":{"include_usage":true}`)
	case scan.Kind(q.options.of(body)) == 'n':
		return edit{q.options, `{"include_usage":true}`}
	}
	inside := span{q.options.from + 1, q.options.from + 1}
	if m := scan.Object(q.options.of(body)); m.Next() {
		return edit{inside, `"include_usage":true,`}
	}
	return edit{inside, `"include_usage":true`}
}

// boundOutput sees to it that the answer is bounded in the field that the provider obeys, by the caller's own bound or
// else by ours. A bound in the other field is moved: the provider may not know that one. It stays where the provider
// obeys max_completion_tokens, because who does knows max_tokens, too.
func (q *asked) boundOutput(edits []edit, d *deployment, bound int64) []edit {
	own, other, name := &q.caps[0], &q.caps[1], q.shape.caps[0]
	if q.shape.caps[1] != "" && d.outputCap == maxCompletionTokens {
		own, other, name = other, own, maxCompletionTokens
	}
	switch {
	case own.n > 0 || other.n > 0 && name == maxCompletionTokens:
		return edits
	case other.n > 0:
		bound = other.n
	}
	n := strconv.FormatInt(bound, 10)
	switch {
	case own.value.found():
		return append(edits, edit{own.value, n})
	case other.value.found():
		return append(edits, edit{other.key, `"` + name + `"`}, edit{other.value, n})
	}
	return append(edits, q.add(`"`+name+`":`+n))
}

// add puts a member behind the model.
func (q *asked) add(member string) edit {
	return edit{span{q.modelAt.to, q.modelAt.to}, "," + member}
}
