package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// giantBytes is how much text Giant has in one piece.
const giantBytes = 10 << 20

// exchange reads a request, answers as is to be, and keeps the account.
func (u *Upstream) exchange(a *account, answer func(*reply) End, w http.ResponseWriter, r *http.Request) {
	req, ok := u.read(r)
	if !ok {
		http.Error(w, `{"error":{"message":"not a request","type":"invalid_request_error"}}`, http.StatusBadRequest)
		return
	}
	b := u.choose(req)
	x := &Exchange{Request: *req, Kind: b.Kind}
	a.begin(x)
	p := &reply{u: u, account: a, w: w, ctx: r.Context(), x: x, b: b}
	p.still = context.AfterFunc(p.ctx, func() {
		if !u.isClosing() {
			a.left(x)
		}
	})
	end := p.begin()
	if end == Open {
		end = answer(p)
	}
	if p.gone() && end != Whole {
		end = Left
		if u.isClosing() {
			end = Broken
		}
	}
	p.still()
	a.end(x, end)
	if p.abort {
		panic(http.ErrAbortHandler)
	}
}

func (u *Upstream) isClosing() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.closing
}

// reply is an answer on its way.
type reply struct {
	u       *Upstream
	account *account
	w       http.ResponseWriter
	ctx     context.Context // ends when the client leaves
	still   func() bool     // ends the watch over the client
	x       *Exchange
	b       Behaviour
	abort   bool
	dead    bool // by our own hand
}

func (p *reply) gone() bool { return p.ctx.Err() != nil && !p.dead }

// wait waits, and reports whether the client is still there.
func (p *reply) wait(d time.Duration) bool {
	if d <= 0 {
		return p.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// begin does all that comes before a good answer; Open if there is to be one.
func (p *reply) begin() End {
	if !p.wait(p.b.Delay) {
		return Left
	}
	switch p.b.Kind {
	case Hang:
		return p.hang()
	case Die:
		return p.reset()
	case Status:
		return p.refuse()
	case Redirect:
		p.w.Header().Set("Location", p.u.URL+"/v1/elsewhere")
		p.head(http.StatusTemporaryRedirect, "text/plain")
		return Refused
	case WrongType:
		p.head(http.StatusOK, "text/html; charset=utf-8")
		fmt.Fprint(p.w, page)
		return Refused
	}
	return Open
}

const page = "<!doctype html><html><head><title>Sorry</title></head><body><h1>We are at work</h1></body></html>\n"

func (p *reply) refuse() End {
	if p.b.HTML {
		p.head(p.b.Status, "text/html; charset=utf-8")
		fmt.Fprint(p.w, page)
		return Refused
	}
	kind := map[int]string{http.StatusUnauthorized: "authentication_error", http.StatusTooManyRequests: "rate_limit_error", http.StatusBadRequest: "invalid_request_error"}[p.b.Status]
	if kind == "" {
		kind = "server_error"
	}
	p.head(p.b.Status, "application/json")
	fmt.Fprintf(p.w, `{"error":{"message":"the upstream says %d","type":%q,"code":null}}`, p.b.Status, kind)
	return Refused
}

func (p *reply) head(status int, contentType string) {
	h := p.w.Header()
	p.b.header(h)
	h.Set("Content-Type", contentType)
	h.Set("X-Request-Id", "up-"+strconv.FormatInt(p.x.N, 10))
	p.w.WriteHeader(status)
	p.account.status(p.x, status)
}

// hang waits until the client leaves.
func (p *reply) hang() End {
	<-p.ctx.Done()
	return Left
}

// reset ends the connection with a TCP reset.
func (p *reply) reset() End {
	p.dead = true
	p.still()
	if c, _, err := http.NewResponseController(p.w).Hijack(); err == nil {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.Close()
	}
	return Broken
}

// cut closes the connection in the middle of an answer.
func (p *reply) cut() End {
	p.dead, p.abort = true, true
	p.still()
	return Broken
}

// whole writes an answer that is not a stream, and breaks it where that is asked for. Output is billed as it is begun.
func (p *reply) whole(answer any, output int64) End {
	if !p.wait(p.b.Between) {
		return Left
	}
	if p.b.Kind != Empty {
		p.account.bill(p.x, 0, 0, output)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // it is our own
	}
	end := Whole
	switch p.b.Kind {
	case BrokenJSON, HalfEvent:
		body, end = body[:len(body)/2], Broken
	case Empty:
		body, end = nil, Broken
	case ErrorEvent:
		body, end = []byte(upstreamError), Broken
	}
	p.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	p.head(http.StatusOK, "application/json")
	switch p.b.Kind {
	case HangMid, DieMid, CutMid:
		p.w.Write(body[:len(body)/2])
		http.NewResponseController(p.w).Flush()
		return p.middle()
	}
	p.account.last(p.x)
	if _, err := p.w.Write(body); err != nil || p.ctx.Err() != nil {
		return Left
	}
	return end
}

const upstreamError = `{"error":{"message":"the upstream failed in the middle","type":"server_error","code":null}}`

// middle is what goes wrong in the middle of an answer.
func (p *reply) middle() End {
	switch p.b.Kind {
	case DieMid:
		return p.reset()
	case CutMid:
		return p.cut()
	}
	return p.hang()
}

// text is about as long as its number of tokens: a word each.
func text(tokens int64) string { return strings.Repeat(" word", int(min(max(tokens, 1), 50_000)))[1:] }
