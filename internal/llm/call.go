// Package llm holds the words of a model call: what was asked of which deployment, what it used, what it cost
// and how it ended. Gateway, cost and observe meet here; nothing in it does input or output.
package llm

import (
	"time"

	"airfield/internal/money"
)

// Surface is the way in by which a call came: the API it was made with.
type Surface string

const (
	ChatCompletions Surface = "chat.completions"
	Embeddings      Surface = "embeddings"
)

// Outcome is how a call or an attempt ended.
type Outcome string

const (
	OK        Outcome = "ok"
	Failed    Outcome = "error"     // answered with an error
	Broken    Outcome = "broken"    // the upstream died after the first byte; the client was told
	Cancelled Outcome = "cancelled" // the client left before the end
	Cut       Outcome = "cut"       // our own process died in mid-call; the row carries an estimate
)

// UsageSource says where the numbers of a usage come from.
type UsageSource string

const (
	Reported  UsageSource = "reported"  // by the provider
	Counted   UsageSource = "counted"   // by a tokenizer of ours, from the real text
	Estimated UsageSource = "estimated" // from sizes and caps
)

// Usage is what a call used, in tokens. The buckets do not overlap: Input is what was billed at the full
// price, without the cached part, and Output is without reasoning.
type Usage struct {
	Input      int64       `json:"input_tokens"`
	CacheRead  int64       `json:"cache_read_tokens,omitempty"`
	CacheWrite int64       `json:"cache_write_tokens,omitempty"`
	Output     int64       `json:"output_tokens"`
	Reasoning  int64       `json:"reasoning_tokens,omitempty"`
	Source     UsageSource `json:"usage_source,omitempty"`
}

// Prompt is every token that went in, cached or not.
func (u Usage) Prompt() int64 { return u.Input + u.CacheRead + u.CacheWrite }

// Completion is every token that came out, reasoning included.
func (u Usage) Completion() int64 { return u.Output + u.Reasoning }

// Total is every token.
func (u Usage) Total() int64 { return u.Prompt() + u.Completion() }

// Add returns the sum, saturating; the weaker source of the two stands for both.
func (u Usage) Add(v Usage) Usage {
	add := func(a, b int64) int64 { return int64(money.Nanos(a).Add(money.Nanos(b))) }
	u.Input, u.CacheRead, u.CacheWrite = add(u.Input, v.Input), add(u.CacheRead, v.CacheRead), add(u.CacheWrite, v.CacheWrite)
	u.Output, u.Reasoning = add(u.Output, v.Output), add(u.Reasoning, v.Reasoning)
	if u.Source == "" || v.Source == Estimated || (v.Source == Counted && u.Source == Reported) {
		u.Source = v.Source
	}
	return u
}

// Attempt is one try of a call at one deployment.
type Attempt struct {
	Deployment string        `json:"deployment"`
	Provider   string        `json:"provider"`
	Model      string        `json:"model"` // the provider's name for it
	Start      time.Time     `json:"start"`
	FirstByte  time.Duration `json:"first_byte_ns,omitempty"` // from Start
	Duration   time.Duration `json:"duration_ns"`
	Status     int           `json:"status,omitempty"` // the upstream's HTTP status
	Outcome    Outcome       `json:"outcome"`
	Error      string        `json:"error,omitempty"`
	RequestID  string        `json:"request_id,omitempty"` // the provider's own id of the exchange
}

// Call is the log's row of one call: its metadata, never what was asked or answered. It is written twice: at
// admission, with what is known then and Outcome empty, and when it has ended.
type Call struct {
	ID           string
	Start        time.Time
	Duration     time.Duration
	FirstByte    time.Duration // from Start to the first byte for the client; 0 where there was none
	Environment  string
	BusinessUnit string
	Workflow     string
	KeyID        string
	User         string
	Session      string
	Tags         map[string]string
	Surface      Surface
	Model        string // as the caller asked
	Deployment   string // that served it
	Provider     string
	Upstream     string // the provider's name of the model
	Stream       bool
	Status       int // the HTTP status given to the client
	Outcome      Outcome
	ErrorKind    string
	Error        string
	Finish       string // the provider's finish reason
	Usage        Usage
	Cost         money.Nanos
	PriceID      string // of the price that was applied; empty where there was none
	Priced       bool   // false: no price is known, and the cost is not a number but unknown
	TraceID      string
	SpanID       string
	ParentSpanID string
	Prompt       string
	Version      int // of the prompt
	Cache        string
	Degraded     string
	RequestSize  int64 // bytes
	ResponseSize int64 // bytes
	Attempts     []Attempt
}

// Price is what one deployment charges, in nano-dollars per million units. A bucket without a price of its own
// is charged as the bucket it belongs to: cache reads and writes as input, reasoning as output.
type Price struct {
	ID         string           `json:"id"`
	Input      money.PerMillion `json:"input"`
	CacheRead  money.PerMillion `json:"cache_read"`
	CacheWrite money.PerMillion `json:"cache_write"`
	Output     money.PerMillion `json:"output"`
	Reasoning  money.PerMillion `json:"reasoning"`
	Requests   money.PerMillion `json:"requests"`
}

// Cost is what the usage of one request costs at this price.
func (p Price) Cost(u Usage) money.Nanos {
	or := func(a, b money.PerMillion) money.PerMillion {
		if a > 0 {
			return a
		}
		return b
	}
	return p.Input.Cost(u.Input).
		Add(or(p.CacheRead, p.Input).Cost(u.CacheRead)).
		Add(or(p.CacheWrite, p.Input).Cost(u.CacheWrite)).
		Add(p.Output.Cost(u.Output)).
		Add(or(p.Reasoning, p.Output).Cost(u.Reasoning)).
		Add(p.Requests.Cost(1))
}
