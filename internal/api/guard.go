// Package api holds what all doors share: who is asking, how much they may send, and how an error is told. Each door
// is a folder below; app gives them the features they open.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/telemetry"
)

// Authenticate tells whose key this is.
type Authenticate func(ctx context.Context, key string) (*caller.Caller, error)

// Key returns the key of a request: a bearer token, or x-api-key as some SDKs send it.
func Key(r *http.Request) string {
	if h := r.Header.Get("Authorization"); len(h) > 7 && strings.EqualFold(h[:7], "bearer ") {
		return strings.TrimSpace(h[7:])
	}
	return r.Header.Get("x-api-key")
}

// ModelRoles are the callers that models and documents are for, besides admin.
var ModelRoles = []caller.Role{caller.Workflow, caller.Operator}

// Guard lets only known callers with one of the roles through, puts them in the context, and continues the trace
// that the request says it belongs to.
func Guard(auth Authenticate, refuse func(http.ResponseWriter, *http.Request, error), roles []caller.Role, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := auth(r.Context(), Key(r))
		if err == nil && !who.Is(roles...) {
			err = Denied(who, roles)
		}
		if err != nil {
			refuse(w, r, err)
			return
		}
		ctx := caller.With(r.Context(), who)
		if h := r.Header.Get("traceparent"); h != "" {
			if remote, ok := telemetry.ParseTraceparent(h); ok {
				ctx = telemetry.WithRemote(ctx, remote)
			}
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Denied is the error of a caller that has none of the roles.
func Denied(who *caller.Caller, roles []caller.Role) error {
	return fault.New(fault.Denied, "role_denied", "a key with the role %s may not do this", who.Role).Hinted("it needs one of: %s", RoleNames(roles))
}

// RoleNames lists who may: administrators, and the roles.
func RoleNames(roles []caller.Role) string {
	names := []string{string(caller.Admin)}
	for _, r := range roles {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// bodyTime is how long the body of a model request may take to arrive.
const bodyTime = time.Minute

// Body reads a whole request body of at most max bytes. The buffer grows with what really arrives, whatever the
// Content-Length says.
func Body(w http.ResponseWriter, r *http.Request, max int64) ([]byte, error) {
	if r.ContentLength > max {
		return nil, tooLarge(max)
	}
	Bound(w, r, max)
	if n := r.ContentLength; n >= 0 && n <= 64<<10 {
		body := make([]byte, n)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, BodyError(err)
		}
		if _, err := r.Body.Read(make([]byte, 1)); err != nil && err != io.EOF { // the end, which lifts the bound
			return nil, BodyError(err)
		}
		return body, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, BodyError(err)
	}
	return body, nil
}

// Bound limits the size of a body that is read afterwards, and the time until its end. Where the end is never reached the
// bound stays, because the server reads on after the handler; the connection's next request begins without it.
func Bound(w http.ResponseWriter, r *http.Request, max int64) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Now().Add(bodyTime))
	r.Body = &boundBody{http.MaxBytesReader(w, r.Body, max), c}
}

// boundBody lifts the bound of time at the end of a body: what the server reads beyond it, to see whether the client is
// still there, may take as long as the answer does.
type boundBody struct {
	io.ReadCloser
	connection *http.ResponseController
}

func (b *boundBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.connection.SetReadDeadline(time.Time{})
	}
	return n, err
}

func tooLarge(max int64) error {
	return fault.New(fault.TooLarge, "request_too_large", "the request has more than the %d bytes allowed", max).Hinted("send less, or raise server.max_request_bytes")
}

// BodyError says why a bounded body could not be read to its end.
func BodyError(err error) error {
	var limit *http.MaxBytesError
	if errors.As(err, &limit) {
		return tooLarge(limit.Limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fault.New(fault.TooSlow, "request_slow", "the request's body did not arrive within %s", bodyTime)
	}
	return fault.New(fault.Invalid, "request_cut", "the request's body ended early: %w", err)
}

// RetryAfter says when trying again may help, in whole seconds, where that is known. Where that is long, clients that
// wait as long as they are told, such as OpenAI's, are told not to: a program must not sleep until the next month.
func RetryAfter(w http.ResponseWriter, f *fault.Fault) {
	if f.RetryAfter > longestRetry {
		w.Header().Set("X-Should-Retry", "false")
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((f.RetryAfter+time.Second-1)/time.Second), 10))
	}
}

const longestRetry = time.Minute

// Problem is an error as RFC 9457 writes it, with a code for scripts and a hint for people.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Hint   string `json:"hint,omitempty"`
	Field  string `json:"field,omitempty"`
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus is what huma asks of an error that knows its status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is what huma asks of an error that knows its media type.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// ProblemOf turns any error into what may be shown.
func ProblemOf(err error) *Problem {
	f := fault.As(err)
	status := f.Kind.Status()
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: f.Text, Code: f.Code, Hint: f.Hint, Field: f.Field}
}

// Challenge says, with a 401, how to come in (RFC 9110, section 11.6.1).
func Challenge(w http.ResponseWriter, status int) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="airfield"`)
	}
}

// WriteProblem answers a request with an error of the admin API.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := ProblemOf(err)
	Challenge(w, p.Status)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}

// LogInternal logs errors that are our own mistake; the others have been told to the caller, who can act on them.
func LogInternal(log *slog.Logger, r *http.Request, err error) {
	if fault.Is(err, fault.Internal) {
		log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
}

// Recover turns a panic of a handler into an error for that one request. http.ErrAbortHandler passes: it is how a
// broken stream is told to the client.
func Recover(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			log.Error("a request's handler panicked", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			WriteProblem(w, r, errors.New("panic"))
		}()
		next.ServeHTTP(w, r)
	})
}

// leftoverTime is how long the server reads what a handler left of a body, before it gives the connection up.
const leftoverTime = 5 * time.Second

// Extend bounds one long exchange, an upload or a download, and returns what ends the bound: the connection may carry
// other requests afterwards.
func Extend(w http.ResponseWriter, d time.Duration) (end func()) {
	c := http.NewResponseController(w)
	deadline := time.Now().Add(d)
	c.SetReadDeadline(deadline)
	c.SetWriteDeadline(deadline)
	return func() {
		c.SetReadDeadline(time.Now().Add(leftoverTime)) // until the connection's next request, which begins anew
		c.SetWriteDeadline(time.Time{})
	}
}
