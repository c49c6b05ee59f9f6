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
	Responses       Surface = "responses"
	Messages        Surface = "messages"
	CountTokens     Surface = "messages.count_tokens"
	Embeddings      Surface = "embeddings"
	Moderations     Surface = "moderations"
	Images          Surface = "images.generations"
	ImageEdits      Surface = "images.edits"
	Speech          Surface = "audio.speech"
	Transcriptions  Surface = "audio.transcriptions"
	Translations    Surface = "audio.translations"
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
	Version      int    // of the prompt
	Cache        string // hit, semantic, miss, stale, shared, bypass; empty where no cache applies
	Degraded     string // the rung of the ladder that served it; empty where none was needed
	RequestSize  int64  // bytes
	ResponseSize int64  // bytes
	Attempts     []Attempt
	Service      string        // the service tier that was billed: batch, flex, priority; empty is the usual one
	Waited       time.Duration // in queues, for slots, rates and budgets
	Decision     string        // why the call was refused or moved, a Decision as JSON
	Lease        string        // of the process that held money for it
	Holds        []Hold        // the budgets from which that lease is

	Redaction   string         // the version of the rules by which what is kept of the call was redacted; empty where none was
	Redacted    map[string]int // how much was replaced, by class; nil for nothing
	Bodies      string         // what is kept of the request and the answer
	BodiesUntil time.Time      // until when; zero is for ever
}

// Change is a call whose cost was found anew. The call says what it costs now.
type Change struct {
	Call     Call
	Old, New money.Nanos
	Unpriced bool // no price was known before
}
