// Package neutral holds a chat request, its answer and the events of a streamed answer in no provider's words. Where a
// caller speaks another API than the provider that is to answer, the gateway goes through these: the caller's Surface
// reads the request, the provider's Dialect writes it, and the answer comes back the other way. Where both speak the
// same, the bytes go through and nothing of this is used.
package neutral

import (
	"encoding/json"
	"time"

	"airfield/internal/llm"
)

// Surface is an API as callers speak it. The folders below have them.
type Surface interface {
	// ReadRequest takes a request apart. The body is valid JSON; the error is a fault of kind Invalid with the field.
	ReadRequest(body []byte) (*Request, error)
	// WriteAnswer writes a whole answer.
	WriteAnswer(q *Request, a *Answer) ([]byte, error)
	// NewWriter writes a streamed answer.
	NewWriter(q *Request) Writer
	// WriteError writes a provider's refusal as the surface's own providers would.
	WriteError(e *Error) []byte
	// Classify says what one of the surface's own events is.
	Classify(data []byte) Class
}

// Ender is a Surface with words of its own for why an answer ended, which the log keeps.
type Ender interface {
	Ended(Stop) string
}

// Class is what a server-sent event is to who passes it on.
type Class int

// The classes.
const (
	Content   Class = iota // text, or anything else that is passed on
	UsageOnly              // usage and nothing else
	Failure                // an error in mid-stream
	Done                   // the end
)

// Writer turns events into server-sent events, one answer long.
type Writer interface {
	// Write appends the server-sent events that say e, with their blank lines; there may be none, or several.
	Write(b []byte, e *Event) []byte
}

// Dialect is an API as a provider speaks it.
type Dialect interface {
	// Surface is the name under which a provider is sent what WriteRequest writes.
	Surface() llm.Surface
	// Check says why a request cannot be said in the dialect; empty where it can. It is asked before anything is sent.
	Check(q *Request) string
	// WriteRequest writes a request that was checked, its Model and Stream included.
	WriteRequest(q *Request) ([]byte, error)
	// ReadAnswer reads a whole answer; an error says that it is none, of which an answer beside it has the usage.
	ReadAnswer(body []byte) (*Answer, error)
	// NewReader reads a streamed answer.
	NewReader() Reader
	// ReadError reads a refusal, whatever it is made of.
	ReadError(status int, body []byte) *Error
}

// Reader turns a provider's events into neutral ones, one answer long. It must bear anything.
type Reader interface {
	// Read is given the data of each server-sent event in turn and emits what it says. The bytes are valid only during
	// the call. An error says that the stream makes no sense: it is then broken off.
	Read(data []byte, emit func(*Event)) error
	// End is called when the stream has ended. It emits a Finish that was held back; where none is due, the answer is torn.
	End(emit func(*Event))
	// Used is what the provider has said until now that the answer used, for one that breaks off; its Source is empty where
	// it has said nothing.
	Used() llm.Usage
}

// Request is what a caller asks for.
type Request struct {
	Model    string
	System   []Part // instructions before the conversation: texts
	Messages []Message
	Tools    []Tool
	Choice   ToolChoice
	Parallel *bool // whether several tools may be called at once; nil leaves it to the model
	Format   *Format

	MaxOutput        int64 // tokens, 0 for no bound
	Most             int64 // what a dialect that must name a bound says where MaxOutput is 0; 0 leaves it to the dialect
	Temperature      *float64
	TopP             *float64
	TopK             *int64
	FrequencyPenalty *float64
	PresencePenalty  *float64
	Seed             *int64
	Stop             []string

	// Effort is how hard it is to think: none, minimal, low, medium, high, xhigh; empty leaves it to the model. Thinking is
	// the most tokens for it, where the caller says so in tokens; Summary asks for the thoughts to be told.
	Effort   string
	Thinking int64
	Summary  bool

	Stream  bool
	User    string // the caller's user, for the provider's own watch against abuse
	Service string // the service tier asked for

	// Echo is the request as it came, for a surface whose answers repeat it. Nobody else reads it.
	Echo []byte

	// Only names what a caller asked for that only its own API knows and that changes the answer, such as logprobs: no other
	// dialect can serve it. What changes nothing (metadata, store) is left out.
	Only []string
}

// The roles of messages. Tool results are parts of a user's message. System is for instructions in mid-conversation;
// a dialect that has no place for them there adds them to those at the beginning.
const (
	User      = "user"
	Assistant = "assistant"
	System    = "system"
)

// Message is one turn.
type Message struct {
	Role  string
	Name  string // of the participant, where the caller gives one
	Parts []Part
}

// PartKind says what a part is.
type PartKind int

const (
	Text       PartKind = iota // Text
	Image                      // Media and Data, or URL
	Document                   // Media and Data, or URL, or Text; Name
	Audio                      // Media and Data
	ToolCall                   // ID, Name, Text: the arguments as JSON
	ToolResult                 // ID of the call, Name where it is known, Parts, Failed
	Reasoning                  // Text, Signature, Data where it is encrypted
	Refusal                    // Text
)

// Part is a piece of a message.
type Part struct {
	Kind   PartKind
	Text   string
	ID     string // of a tool call; of a reasoning item, where it has one
	Name   string // of a plain thought: the field in which a chat completion had it, and wants it back
	Media  string // the media type: image/png
	Data   string // base64, without a prefix
	URL    string
	Detail string // of an image: low, high, auto
	Parts  []Part // of a tool result: texts and images
	Failed bool   // a tool result that is an error
	// Signature is what the provider wants back unchanged with this part: of its thoughts, or of a tool call.
	Signature string
	Cache     string            // the prompt up to here shall be cached by the provider: 5m or 1h; empty where the caller does not ask
	Citations []json.RawMessage // of a text, in the words of whoever wrote it; a dialect or surface of another origin leaves them out
}

// Tool is a function that the model may call.
type Tool struct {
	Name        string
	Description string
	Schema      json.RawMessage // of its arguments, a JSON Schema; nil for none
	Strict      bool
	Cache       string
}

// ToolChoice says whether tools are to be called.
type ToolChoice struct {
	Mode string // "", auto, none, required, or tool: that of Name
	Name string
}

// Format asks for JSON.
type Format struct {
	Schema      json.RawMessage // nil: any JSON object
	Name        string
	Description string
	Strict      bool
}

// Stop says why an answer ended.
type Stop string

const (
	EndTurn      Stop = "end"
	MaxTokens    Stop = "length"
	CalledTools  Stop = "tools"
	StopSequence Stop = "stop_sequence"
	Filtered     Stop = "filter"  // the provider's content filter
	Refused      Stop = "refusal" // the model declined
	Paused       Stop = "pause"   // a long turn that the caller is to continue
	ContextFull  Stop = "context" // the context window is full
)

// Answer is a whole answer.
type Answer struct {
	ID       string
	Model    string // as the provider names it
	Created  time.Time
	Parts    []Part
	Stop     Stop
	Sequence string // the stop sequence that was met
	Usage    llm.Usage
	Service  string // the service tier that was billed
}

// EventKind says what an event is.
type EventKind int

const (
	Begin  EventKind = iota // the answer begins: Answer has ID, Model, Created, and Usage as far as it is known
	Open                    // a part begins: Index, Part with its kind, ID and Name
	Delta                   // more of the open part Index: Part has what is added to Text, Data, Signature or Citations
	Close                   // the part Index is complete
	Finish                  // the answer is whole: Answer has Stop, Sequence, Usage and Service
	Failed                  // the provider's own error in mid-stream: Err; nothing follows
)

// Event is one step of a streamed answer. Parts are opened in the order of their index, from 0; several may be open. It is
// valid only during the call that gets it.
type Event struct {
	Kind   EventKind
	Index  int
	Part   Part
	Answer Answer
	Err    *Error
}

// Error is a provider's refusal.
type Error struct {
	Status  int
	Type    string // as it would be in OpenAI's words: invalid_request_error, rate_limit_error
	Code    string
	Message string
	Field   string
}
