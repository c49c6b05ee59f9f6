package messages

import (
	"airfield/internal/gateway/scan"
	"airfield/internal/llm"
)

// Counts is usage as it comes: message_start has the prompt, message_delta the output until then and, on newer versions
// of the API, the prompt once more, because tools of the server add to it. Each number replaces the one before.
type Counts struct {
	input, output, read, written, long, thought int64
	seen                                        bool
	broken                                      bool
}

// mostTokens is of one request: no model reads or writes so many.
const mostTokens = 100 << 20

// Read reads a usage object and reports whether it was one. What cannot be true is not charged by: Usage is then empty.
func (c *Counts) Read(value []byte) bool {
	o := scan.Object(value)
	for o.Next() {
		switch string(o.Key) {
		case "input_tokens":
			c.total(&c.input, o.Value)
		case "output_tokens":
			c.total(&c.output, o.Value)
		case "cache_read_input_tokens":
			c.total(&c.read, o.Value)
		case "cache_creation_input_tokens":
			c.total(&c.written, o.Value)
		case "cache_creation":
			c.part(o.Value, "ephemeral_1h_input_tokens", &c.long)
		case "output_tokens_details":
			c.part(o.Value, "thinking_tokens", &c.thought)
		}
	}
	return o.Err() == nil && c.seen
}

func (c *Counts) total(into *int64, value []byte) {
	if scan.Kind(value) == 'n' {
		return
	}
	n, ok := scan.Int(value)
	if !ok || n < 0 || n > mostTokens {
		c.broken = true
		return
	}
	*into, c.seen = n, true
}

func (c *Counts) part(value []byte, name string, into *int64) {
	for o := scan.Object(value); o.Next(); {
		if string(o.Key) == name {
			if n, ok := scan.Int(o.Value); ok && n >= 0 && n <= mostTokens {
				*into = n
			}
		}
	}
}

// Usage is what was read, in buckets that do not overlap; its Source is empty where there is nothing to charge by.
func (c *Counts) Usage() llm.Usage {
	if c.broken || !c.seen || c.input+c.read+c.written == 0 { // nothing costs no input
		return llm.Usage{}
	}
	long, thought := min(c.long, c.written), min(c.thought, c.output)
	return llm.Usage{
		Input: c.input, CacheRead: c.read, CacheWrite: c.written - long, CacheWriteLong: long, Output: c.output - thought, Reasoning: thought, Source: llm.Reported,
	}
}

// usage is how tokens are told to callers.
type usage struct {
	Input    int64            `json:"input_tokens"`
	Written  int64            `json:"cache_creation_input_tokens"`
	Read     int64            `json:"cache_read_input_tokens"`
	Times    map[string]int64 `json:"cache_creation,omitempty"`
	Output   int64            `json:"output_tokens"`
	Thoughts map[string]int64 `json:"output_tokens_details,omitempty"`
	Service  string           `json:"service_tier,omitempty"`
}

func usageOf(u *llm.Usage, service string) usage {
	told := usage{Input: u.Input + u.AudioInput, Written: u.CacheWrite + u.CacheWriteLong, Read: u.CacheRead, Output: u.Completion(), Service: service}
	if told.Written > 0 {
		told.Times = map[string]int64{"ephemeral_5m_input_tokens": u.CacheWrite, "ephemeral_1h_input_tokens": u.CacheWriteLong}
	}
	if u.Reasoning > 0 {
		told.Thoughts = map[string]int64{"thinking_tokens": u.Reasoning}
	}
	if service == "" || service == "default" || service == "auto" {
		told.Service = "standard"
	}
	return told
}

// ReadService finds the service tier that was billed in a usage object; empty where there is none.
func ReadService(value []byte) (tier string) {
	for o := scan.Object(value); o.Next(); {
		if string(o.Key) == "service_tier" {
			switch s, _ := scan.Text(o.Value); s {
			case "standard", "priority", "batch":
				return s
			}
		}
	}
	return ""
}
