// Package fault is the one way errors are classified. A feature returns a fault when the caller needs to know
// why; every door (HTTP, command line) maps the kind once. The text of a fault is for users; the cause is for
// the log and is never shown.
package fault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong in the only terms a caller can act on.
type Kind string

const (
	Invalid         Kind = "invalid"         // the request cannot be understood or is against the rules
	Unauthenticated Kind = "unauthenticated" // no key, or not a valid one
	Denied          Kind = "denied"          // a valid key that may not do this
	NotFound        Kind = "not_found"       // no such thing, or not for this caller
	NotOffered      Kind = "not_offered"     // the thing is there, but this cannot be done with it
	Conflict        Kind = "conflict"        // the state of things forbids it now
	TooSlow         Kind = "too_slow"        // the request did not arrive in time
	TooLarge        Kind = "too_large"       // more bytes, pages or items than allowed
	Limited         Kind = "limited"         // a rate, a slot or a budget is used up
	Upstream        Kind = "upstream"        // a provider answered with an error or broke off
	Unavailable     Kind = "unavailable"     // something we need is away; trying later may work
	Timeout         Kind = "timeout"         // a deadline passed
	Cancelled       Kind = "cancelled"       // the caller left
	Internal        Kind = "internal"        // our own mistake
)

// Fault is an error that users may read. Text says what and where; Hint says what to do about it.
type Fault struct {
	Kind  Kind
	Code  string // stable, for scripts: "collection_not_found"
	Text  string
	Hint  string
	Field string // the offending field or position, where there is one
	Err   error  // the cause, for the log

	Detail     any           // the same for programs, written as JSON beside the text; nil where there is none
	RetryAfter time.Duration // when trying again may help; 0 where that is not known
}

func (f *Fault) Error() string {
	if f.Err != nil {
		return f.Text + ": " + f.Err.Error()
	}
	return f.Text
}

func (f *Fault) Unwrap() error { return f.Err }

// New makes a fault with a text in the manner of fmt.Sprintf; %w is honoured and becomes the cause.
func New(kind Kind, code, format string, args ...any) *Fault {
	err := fmt.Errorf(format, args...)
	f := &Fault{Kind: kind, Code: code, Text: err.Error()}
	f.Err = errors.Unwrap(err)
	if f.Err != nil {
		f.Text = trimCause(f.Text, f.Err.Error())
	}
	return f
}

// Hinted returns the fault with a hint of what to do.
func (f *Fault) Hinted(format string, args ...any) *Fault {
	f.Hint = fmt.Sprintf(format, args...)
	return f
}

// At returns the fault with the field or position it is about.
func (f *Fault) At(field string) *Fault {
	f.Field = field
	return f
}

// KindOf classifies any error: a fault by its kind, the context's errors as timeout or cancelled, the rest as internal.
func KindOf(err error) Kind {
	var f *Fault
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		return f.Kind
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Cancelled
	}
	return Internal
}

// Is reports whether err is of the kind.
func Is(err error, kind Kind) bool { return KindOf(err) == kind }

// As returns the fault in err, or one that hides an unclassified error behind a text that gives nothing away.
func As(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	switch kind := KindOf(err); kind {
	case Timeout:
		return &Fault{Kind: kind, Code: "timeout", Text: "the deadline passed", Err: err}
	case Cancelled:
		return &Fault{Kind: kind, Code: "cancelled", Text: "the caller left", Err: err}
	}
	return &Fault{Kind: Internal, Code: "internal", Text: "an internal error; the server's log has the details", Err: err}
}

// Status maps a kind to an HTTP status: the only such mapping.
func (k Kind) Status() int {
	switch k {
	case Invalid:
		return 400
	case Unauthenticated:
		return 401
	case Denied:
		return 403
	case NotFound:
		return 404
	case NotOffered:
		return 405
	case TooSlow:
		return 408
	case Conflict:
		return 409
	case TooLarge:
		return 413
	case Limited:
		return 429
	case Cancelled:
		return 499
	case Upstream:
		return 502
	case Unavailable:
		return 503
	case Timeout:
		return 504
	}
	return 500
}

func trimCause(text, cause string) string {
	if n := len(text) - len(cause); n > 2 && text[n:] == cause && text[n-2:n] == ": " {
		return text[:n-2]
	}
	return text
}
