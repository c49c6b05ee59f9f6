package openai

import (
	"airfield/internal/gateway/scan"
	"airfield/internal/llm"
)

// reported is a usage object as it came: totals, and parts of them.
type reported struct {
	prompt, completion, total             int64
	cached, written, writtenLong, audioIn int64
	reasoning, audioOut                   int64
	broken                                bool // a total cannot be one
}

// readUsage reads a usage object and reports whether it was one. The last one of an answer counts: some endpoints
// send a running total with every chunk. What cannot be true is not charged by: the gateway then estimates.
func (m *meter) readUsage(value []byte) bool {
	var r reported
	o := scan.Object(value)
	for o.Next() {
		name := string(o.Key)
		if m.surface == llm.Responses {
			name = usageNames[name]
		}
		switch name {
		case "prompt_tokens":
			r.readTotal(&r.prompt, o.Value)
		case "completion_tokens":
			r.readTotal(&r.completion, o.Value)
		case "total_tokens":
			r.total = tokens(o.Value)
		case "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens": // other names of the cached_tokens in details
			r.cached = max(r.cached, tokens(o.Value))
		case "cache_creation_input_tokens":
			r.written = max(r.written, tokens(o.Value))
		case "cache_creation":
			r.readLong(o.Value)
		case "prompt_tokens_details":
			r.readPrompt(o.Value)
		case "completion_tokens_details":
			r.readCompletion(o.Value)
		case "reasoning_tokens": // beside the totals, where others have details
			r.reasoning = max(r.reasoning, tokens(o.Value))
		}
	}
	if o.Err() != nil {
		return false
	}
	if r.prompt > 0 && !r.broken { // nothing costs no input: not a figure to charge by
		m.usage = r.usage()
	}
	return true
}

// usageNames are the names of responses in those of chat completions.
var usageNames = map[string]string{
	"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens", "total_tokens": "total_tokens",
	"input_tokens_details": "prompt_tokens_details", "output_tokens_details": "completion_tokens_details",
}

func (r *reported) readTotal(into *int64, value []byte) {
	if scan.Kind(value) == 'n' {
		return
	}
	*into = tokens(value)
	if n, ok := scan.Int(value); !ok || n != *into {
		r.broken = true
	}
}

func (r *reported) readPrompt(value []byte) {
	for d := scan.Object(value); d.Next(); {
		switch string(d.Key) {
		case "cached_tokens":
			r.cached = max(r.cached, tokens(d.Value))
		case "cache_write_tokens", "cache_creation_tokens":
			r.written = max(r.written, tokens(d.Value))
		case "cache_creation_token_details":
			r.readLong(d.Value)
		case "audio_tokens":
			r.audioIn = tokens(d.Value)
		}
	}
}

// readLong reads how much of what was written to the cache is to stay for an hour.
func (r *reported) readLong(value []byte) {
	for d := scan.Object(value); d.Next(); {
		if string(d.Key) == "ephemeral_1h_input_tokens" {
			r.writtenLong = max(r.writtenLong, tokens(d.Value))
		}
	}
}

func (r *reported) readCompletion(value []byte) {
	for d := scan.Object(value); d.Next(); {
		switch string(d.Key) {
		case "reasoning_tokens":
			r.reasoning = max(r.reasoning, tokens(d.Value))
		case "audio_tokens":
			r.audioOut = tokens(d.Value)
		}
	}
}

// usage divides the totals into buckets that do not overlap: parts are cut to what is left of their total.
func (r *reported) usage() llm.Usage {
	// Parts are within the totals. Two families of endpoints leave what the model thought out of completion_tokens, which
	// shows in the sum: one says how much it was, the other does not.
	if beside := r.total - r.prompt - r.completion; beside > 0 && beside < mostThought && (r.reasoning == 0 || r.reasoning == beside) {
		r.completion, r.reasoning = r.completion+beside, beside
	}
	left := r.prompt
	take := func(n int64) int64 {
		n = min(n, left)
		left -= n
		return n
	}
	u := llm.Usage{Source: llm.Reported}
	u.CacheRead = take(r.cached)
	written := take(max(r.written, r.writtenLong))
	u.CacheWriteLong = min(r.writtenLong, written)
	u.CacheWrite = written - u.CacheWriteLong
	u.AudioInput = take(r.audioIn)
	u.Input = left
	left = r.completion
	u.Reasoning = take(r.reasoning)
	u.AudioOutput = take(r.audioOut)
	u.Output = left
	return u
}

const (
	mostTokens  = 100 << 20 // of one request: no model reads or writes so many
	mostThought = 1 << 20
)

// tokens reads a number of tokens; what cannot be one is none.
func tokens(value []byte) int64 {
	n, ok := scan.Int(value)
	if !ok || n < 0 || n > mostTokens {
		return 0
	}
	return n
}

// readService reads the name of the service tier that was billed.
func (m *meter) readService(value []byte) {
	s, ok := scan.Text(value)
	if !ok || s == "" || len(s) > 32 {
		return
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return
		}
	}
	m.service = s
}
