package chat

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

// ReadUsage reads a usage object and reports whether it was one. The last one of an answer counts: some endpoints send a
// running total with every chunk. What cannot be true is not charged by: u is then left as it is, and the gateway estimates.
func ReadUsage(value []byte, u *llm.Usage) bool {
	var r reported
	o := scan.Object(value)
	for o.Next() {
		switch string(o.Key) {
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
		*u = r.usage()
	}
	return true
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

// ReadService reads the name of the service tier that was billed; empty where there is none.
func ReadService(value []byte) string {
	s, ok := scan.Text(value)
	if !ok || s == "" || len(s) > 32 {
		return ""
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return ""
		}
	}
	return s
}

// usage is how tokens are told to callers. The totals include their parts.
type usage struct {
	Prompt     int64            `json:"prompt_tokens"`
	Completion int64            `json:"completion_tokens"`
	Total      int64            `json:"total_tokens"`
	In         promptDetails    `json:"prompt_tokens_details"`
	Out        map[string]int64 `json:"completion_tokens_details"`
}

type promptDetails struct {
	Cached  int64            `json:"cached_tokens"`
	Audio   int64            `json:"audio_tokens"`
	Written int64            `json:"cache_write_tokens,omitempty"`
	Times   map[string]int64 `json:"cache_creation_token_details,omitempty"`
}

func usageOf(u *llm.Usage) *usage {
	if u.Source == "" {
		return nil
	}
	told := &usage{
		Prompt: u.Prompt(), Completion: u.Completion(), Total: u.Total(), In: promptDetails{Cached: u.CacheRead, Audio: u.AudioInput, Written: u.CacheWrite + u.CacheWriteLong},
		Out: map[string]int64{"reasoning_tokens": u.Reasoning, "audio_tokens": u.AudioOutput},
	}
	if u.CacheWriteLong > 0 {
		told.In.Times = map[string]int64{"ephemeral_5m_input_tokens": u.CacheWrite, "ephemeral_1h_input_tokens": u.CacheWriteLong}
	}
	return told
}
