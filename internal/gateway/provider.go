package gateway

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

// Provider is one kind of upstream, connected. It turns an attempt into one exchange and keeps nothing of it: which
// deployment is tried, what is tried next, deadlines, prices and the log are the gateway's.
type Provider interface {
	// Takes reports whether a surface's requests go to the provider as they are.
	Takes(llm.Surface) bool
	// Dialect is what it speaks in place of the chat surfaces (chat completions, responses, messages) that it does not take;
	// nil where it serves none of those.
	Dialect() neutral.Dialect
	// Send makes one exchange and returns when the answer's header is there, whatever its status. An error means that
	// there is no answer; where the reason is known it is a fault (Upstream, Unavailable, Timeout). The exchange ends
	// when ctx is done, also while the body is being read.
	Send(ctx context.Context, a *Attempt) (*Response, error)
	// Close gives back idle connections. Exchanges in flight go on.
	Close() error
}

// Kind makes a provider of one kind from its configuration. The wiring gives the gateway a map of them by name.
type Kind func(name string, c ProviderConfig, log *slog.Logger) (Provider, error)

// Attempt is what a provider is asked to send. Nothing in it may be changed, and nothing kept after the response's
// body is closed.
type Attempt struct {
	Surface     llm.Surface // which API the body speaks: one that the provider takes, or its dialect's own
	Model       string      // the provider's name of the model; Body already says it
	Stream      bool        // the caller wants server-sent events
	Body        []byte      // the whole request in the shape of the surface: valid JSON, or a form
	ContentType string      // of a form, with its boundary; empty for JSON
	Header      http.Header // of the caller, as far as its surface lets headers through; nil for none
	CallID      string
	Traceparent string
}

// Response is a provider's answer in the shape of the attempt's surface: JSON, server-sent events, or what else that surface
// answers with, such as sound. An answer of status
// 400 and above is JSON as that surface writes errors, where the provider has one: {"error":{"message":…,"type":…}} in all
// of them. A provider that is sent its dialect needs no Meter: what the answer used is read where it is translated.
type Response struct {
	Status      int
	ContentType string
	RetryAfter  string        // the header of that name, as it came
	RetryIn     time.Duration // the same, where the provider says it more exactly
	RequestID   string        // the provider's own id of the exchange
	Stream      bool          // Body is server-sent events
	Quota       Quota         // what the provider says is left of its limits
	Size        int64         // of Body, where it is known, else -1
	Body        io.ReadCloser
	Meter       Meter // reads what the answer used; used by one goroutine, for this answer alone

	// Clean takes our key out of what the provider says went wrong in mid-stream; nil where there is no key.
	Clean func(text []byte) []byte
}

// Meter reads usage from an answer on its way to the caller. It must bear anything: an upstream's answer is not ours.
type Meter interface {
	// Event is shown the data of each server-sent event in turn and says what the gateway shall do with it. The bytes
	// are valid only during the call.
	Event(data []byte) Event
	// Body is shown a whole answer, or, where it is too large to be kept, its last part with partial set. An error says
	// that a whole body is not an answer at all, torn or of another format; it is then not given to the caller.
	Body(body []byte, partial bool) error
	// Reading is what was read until now.
	Reading() Reading
}

// Event is what a server-sent event is to the gateway.
type Event = neutral.Class

const (
	Content   = neutral.Content   // passed on
	UsageOnly = neutral.UsageOnly // carries usage and nothing else; passed on only to a caller who asked for it
	Failure   = neutral.Failure   // the provider's own error in mid-stream; passed on, and the call is broken
	Done      = neutral.Done      // the end as the provider marks it; it may carry usage
)

// Reading is what a meter has read.
type Reading struct {
	Usage   llm.Usage // reported by the provider, or counted; Source is empty where nothing was found
	Output  int64     // tokens of generated text seen until now, estimated: charged where no usage is reported
	Finish  string    // why the generation ended, in the surface's words; empty while it has not
	Problem string    // the message of a Failure
	Service string    // the service tier that was billed, as the provider names it; empty where it does not say
}

// Known is the meter of a provider that knows beforehand what its answer uses: Reading is returned as it is.
type Known struct{ Read Reading }

// Event recognises the end mark and passes everything else on.
func (k *Known) Event(data []byte) Event {
	if string(data) == "[DONE]" {
		return Done
	}
	return Content
}

// Body has nothing to learn.
func (k *Known) Body([]byte, bool) error { return nil }

// Reading returns what was known from the start.
func (k *Known) Reading() Reading { return k.Read }
