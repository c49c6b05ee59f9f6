package upstream

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// End is how an exchange ended.
type End string

const (
	Open    End = ""        // it has not
	Whole   End = "whole"   // the last byte of a good answer went out
	Refused End = "refused" // an error was the answer
	Broken  End = "broken"  // the upstream broke off, or its answer was not whole
	Left    End = "left"    // the client went before the last byte
)

// Exchange is one request and what came of it. Input is billed once a request is taken, output as it is generated: of a
// stream with each event, of a whole answer when it is there. Hanging before the header and errors bill nothing.
type Exchange struct {
	Request
	Kind                  Kind
	Status                int // 0 where no header was sent
	End                   End
	Input, Cached, Output int64 // tokens billed; Cached is a part of Input
	Began, Ended          time.Time
	Last                  time.Time // when nothing was left but to write the last byte, which whoever asked may see before we have ended
	LeftAt                time.Time // when it was seen that the client had left
}

// Totals are sums over exchanges.
type Totals struct {
	Begun, Whole, Refused, Broken, Left int64
	Now, Peak                           int64 // in flight, until the last byte is all that is left
	Input, Cached, Output               int64 // tokens billed
}

// account keeps exchanges of one surface.
type account struct {
	mu     sync.Mutex
	forget bool
	list   []*Exchange
	totals Totals
}

func (a *account) begin(x *Exchange) {
	a.mu.Lock()
	defer a.mu.Unlock()
	x.Began = time.Now()
	a.totals.Begun++
	a.totals.Now++
	a.totals.Peak = max(a.totals.Peak, a.totals.Now)
	if !a.forget {
		a.list = append(a.list, x)
	}
}

func (a *account) bill(x *Exchange, input, cached, output int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	x.Input, x.Cached, x.Output = x.Input+input, x.Cached+cached, x.Output+output
	a.totals.Input, a.totals.Cached, a.totals.Output = a.totals.Input+input, a.totals.Cached+cached, a.totals.Output+output
}

func (a *account) status(x *Exchange, status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	x.Status = status
}

// left notes that the client has gone.
func (a *account) left(x *Exchange) {
	a.mu.Lock()
	defer a.mu.Unlock()
	x.LeftAt = time.Now()
}

// last notes that only the last byte is left to be written.
func (a *account) last(x *Exchange) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if x.Last.IsZero() {
		x.Last = time.Now()
		a.totals.Now--
	}
}

func (a *account) end(x *Exchange, end End) {
	a.last(x)
	a.mu.Lock()
	defer a.mu.Unlock()
	x.End, x.Ended = end, time.Now()
	switch end {
	case Whole:
		a.totals.Whole++
	case Refused:
		a.totals.Refused++
	case Broken:
		a.totals.Broken++
	case Left:
		a.totals.Left++
		if x.LeftAt.IsZero() {
			x.LeftAt = x.Ended
		}
	}
}

func (a *account) sum() Totals {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.totals
}

func (a *account) exchanges() []Exchange {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]Exchange, len(a.list))
	for i, x := range a.list {
		list[i] = *x
	}
	return list
}

// Chats are the totals of chat completions.
func (u *Upstream) Chats() Totals { return u.chats.sum() }

// Embeddings are the totals of embeddings.
func (u *Upstream) Embeddings() Totals { return u.embeds.sum() }

// Exchanges are all chat completions in the order in which they came, as they are now.
func (u *Upstream) Exchanges() []Exchange { return u.chats.exchanges() }

// ByModel are the chat completions' totals by model; Now and Peak are not told apart.
func (u *Upstream) ByModel() map[string]Totals {
	by := map[string]Totals{}
	for _, x := range u.Exchanges() {
		t := by[x.Model]
		t.Begun++
		switch x.End {
		case Whole:
			t.Whole++
		case Refused:
			t.Refused++
		case Broken:
			t.Broken++
		case Left:
			t.Left++
		}
		t.Input, t.Cached, t.Output = t.Input+x.Input, t.Cached+x.Cached, t.Output+x.Output
		by[x.Model] = t
	}
	return by
}

// Suffixes are the names of Named, sorted.
func Suffixes() []string { return slices.Sorted(maps.Keys(Named)) }
