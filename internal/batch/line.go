package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
	"airfield/internal/llm"
)

// maxCuts is how many workers may die with a line in hand before it is taken to be the reason.
const maxCuts = 5

// writeTime bounds the writing down of an answer, also when the process is asked to stop.
const writeTime = 30 * time.Second

// result is a line of the output.
type result struct {
	ID       string       `json:"id"`
	CustomID string       `json:"custom_id"`
	Response *response    `json:"response"`
	Error    *resultError `json:"error"`
	Own      *own         `json:"airfield,omitempty"`
}

type response struct {
	Status    int             `json:"status_code"`
	RequestID string          `json:"request_id"`
	Body      json.RawMessage `json:"body"`
}

type resultError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// own is what OpenAI's API has no place for.
type own struct {
	CostUSD *string `json:"cost_usd"` // null where it is not known
	Service string  `json:"service_tier"`
	Cut     int64   `json:"cut,omitempty"` // so many workers died with it: it may have been made so many times more
}

// make makes the call of a line and writes down what became of it. Its error is that it could not be written down.
func (s *Batches) make(ctx context.Context, b Batch, lease string, l line) error {
	var a Answer
	who, err := s.Keys.Caller(ctx, b.KeyID)
	switch {
	case l.cut >= maxCuts:
		a.Err = fault.New(fault.Internal, "worker_died", "%d workers died with this request in hand; it is not made again", l.cut)
	case err != nil:
		a.Err = err
	default:
		tags := map[string]string{"batch": b.ID, "batch_line": strconv.FormatInt(l.number, 10)}
		if l.cut > 0 {
			tags["batch_cut"] = strconv.FormatInt(l.cut, 10)
		}
		a = s.Calls.Make(caller.With(ctx, who), Call{Surface: endpoints[b.Endpoint], Body: []byte(l.request), Tags: tags, Service: s.config.service()})
	}
	write, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	if ctx.Err() != nil && (a.Err != nil || a.Status >= 400) {
		return s.putBack(write, b.ID, lease, l, 0, 0) // we were asked to stop
	}
	if wait, counts, later := s.later(a, l); later {
		return s.putBack(write, b.ID, lease, l, wait, counts)
	}
	return s.record(write, b, lease, l, a)
}

// later says whether a line is tried again, when, and whether the try counts. A limit, ours or the provider's, means later; a
// budget that is used up does not, and neither does a limit into which the request does not fit at all.
func (s *Batches) later(a Answer, l line) (wait time.Duration, counts int64, later bool) {
	spread := func(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
	backoff := spread(min(time.Second<<min(l.attempts, 6), time.Minute))
	var f *fault.Fault
	if errors.As(a.Err, &f) {
		switch f.Kind {
		case fault.Limited:
			d, decided := f.Detail.(*llm.Decision)
			if decided && (d.Rule == "budget" || never(d)) {
				return 0, 0, false
			}
			return max(spread(2*time.Second), min(f.RetryAfter, time.Minute)), 0, true
		case fault.Unavailable, fault.Timeout, fault.Upstream, fault.Cancelled:
			return backoff, 1, l.attempts+1 < int64(s.config.Attempts)
		}
		return 0, 0, false
	}
	switch {
	case a.Err != nil: // not a fault: ours, and it may pass
		return backoff, 1, l.attempts+1 < int64(s.config.Attempts)
	case a.Status == http.StatusTooManyRequests:
		return spread(10 * time.Second), 0, true
	case a.Status >= 500 || a.Status == http.StatusRequestTimeout:
		return backoff, 1, l.attempts+1 < int64(s.config.Attempts)
	}
	return 0, 0, false
}

// never reports whether a request asks for more than a limit gives at any time.
func never(d *llm.Decision) bool {
	asked, err1 := strconv.ParseInt(d.Asked, 10, 64)
	limit, err2 := strconv.ParseInt(d.Limit, 10, 64)
	return err1 == nil && err2 == nil && limit > 0 && asked > limit
}

// putBack has a line wait for its next try, or ends it where the batch ends.
func (s *Batches) putBack(ctx context.Context, batchID, lease string, l line, wait time.Duration, counts int64) error {
	err := s.DB.Tx(ctx, func(tx *db.Tx) error {
		b, err := s.locked(ctx, tx, batchID)
		if err != nil {
			return err
		}
		state := lineWaiting
		switch b.endsAs {
		case Expired:
			state = lineExpired
		case Cancelled:
			state = lineCancelled
		}
		_, err = tx.Exec(ctx, "UPDATE batch_lines SET state = ?, due_at = ?, attempts = attempts + ?, leased_by = '' WHERE batch_id = ? AND number = ? AND leased_by = ? AND state = ?",
			state, db.Micros(s.clock().Add(wait)), counts, batchID, l.number, lease, lineRunning)
		return err
	})
	if err != nil {
		return fmt.Errorf("put line %d of batch %s back: %w", l.number, batchID, err)
	}
	return nil
}

// record writes a line's answer down, once: where the lease was lost, the line is another worker's.
func (s *Batches) record(ctx context.Context, b Batch, lease string, l line, a Answer) error {
	text, failed := s.write(l, a)
	err := s.DB.Tx(ctx, func(tx *db.Tx) error {
		now, err := s.locked(ctx, tx, b.ID)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "UPDATE batch_lines SET state = ?, request = '', answer = ?, failed = ?, leased_by = '' WHERE batch_id = ? AND number = ? AND leased_by = ? AND state = ?",
			lineDone, text, failed, b.ID, l.number, lease, lineRunning)
		if err != nil {
			return err
		}
		if n == 0 {
			s.Log.Warn("a line was taken over by another worker while it was made; its answer is left out", "batch", b.ID, "line", l.number, "call", a.CallID)
			return nil
		}
		if a.Err == nil {
			tier := a.Service
			if tier == "" {
				tier = "default"
			}
			now.Tiers[tier]++
			if !a.Priced {
				now.Unpriced++
			}
		}
		_, err = tx.Exec(ctx, "UPDATE batches SET completed = ?, failed = ?, nanos_usd = ?, unpriced = ?, tiers = ? WHERE id = ?",
			now.Completed+1-failed, now.Failed+failed, int64(now.Cost.Add(a.Cost)), now.Unpriced, encoded(now.Tiers), b.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("write line %d of batch %s down: %w", l.number, b.ID, err)
	}
	return nil
}

// write is a line of the output, and whether it failed, as 0 or 1.
func (s *Batches) write(l line, a Answer) (text string, failed int64) {
	r := result{ID: id.New("batch_req"), CustomID: l.customID, Response: &response{Status: a.Status, RequestID: a.CallID, Body: a.Body}, Own: &own{Service: a.Service, Cut: l.cut}}
	if a.Err != nil {
		r.Response.Status, r.Response.Body = s.Refusal(a.Err)
	}
	if a.Priced {
		cost := a.Cost.Decimal()
		r.Own.CostUSD = &cost
	}
	if r.Own.Service == "" {
		r.Own.Service = "default"
	}
	if !json.Valid(r.Response.Body) {
		r.Response.Body = json.RawMessage(encoded(string(r.Response.Body)))
	}
	if r.Response.Status < 200 || r.Response.Status > 299 {
		failed = 1
	}
	return encoded(r), failed
}
