// Package limit says what may go on now: requests and tokens a minute, and how much at the same time. The gateway asks it
// for every call, once for everything the call counts against: its key, its workflow, its model, its deployment.
//
// A rate is a bucket as large as a minute's limit, that empties evenly: a quiet minute's room may be used at once, and
// what passes in any time is at most one full bucket more than the rate times that time.
package limit

import (
	"context"
	"fmt"
	"time"
)

// Rate is what something may use; zero fields do not limit.
type Rate struct {
	RequestsPerMinute int64 `yaml:"requests_per_minute" json:"requests_per_minute" doc:"Calls a minute; 0: any."`
	TokensPerMinute   int64 `yaml:"tokens_per_minute" json:"tokens_per_minute" doc:"Tokens a minute, in and out; 0: any."`
	Parallel          int64 `yaml:"parallel" json:"parallel" doc:"Calls at the same time; 0: any."`
}

// Zero reports whether nothing is limited.
func (r Rate) Zero() bool { return r == Rate{} }

// Check refuses what cannot be meant.
func (r Rate) Check() error {
	const most = 1_000_000_000_000 // far beyond use, and far from where numbers lose their last digit
	for _, field := range []struct {
		unit  Unit
		value int64
	}{{RequestsPerMinute, r.RequestsPerMinute}, {TokensPerMinute, r.TokensPerMinute}, {Parallel, r.Parallel}} {
		if field.value < 0 || field.value > most {
			return fmt.Errorf("%s: from 0, which does not limit, to %d, not %d", field.unit, int64(most), field.value)
		}
	}
	return nil
}

// Unit is what a limit counts, in the word that airfield.yaml uses.
type Unit string

// The units.
const (
	RequestsPerMinute Unit = "requests_per_minute"
	TokensPerMinute   Unit = "tokens_per_minute"
	Parallel          Unit = "parallel"
)

// Ask is one thing that a call counts against. The name is unique among all that is limited ("workflow:support-bot",
// "deployment:openai/gpt"); the newest rate of a name holds, and what was used under an older one stays used.
type Ask struct {
	Name string
	Rate Rate
}

// Limiter decides. Memory counts for one process, Shared for all that share a Redis.
type Limiter interface {
	// Take takes a request, the tokens and a slot from every ask, or nothing from any and says what had no room. A slot
	// that is not released is free again after slot. A name that is there twice counts once. The error is ctx's alone.
	Take(ctx context.Context, asks []Ask, tokens int64, slot time.Duration) (*Taken, *Full, error)
	// State reports what is used of each ask now, in their order. The error is ctx's alone.
	State(ctx context.Context, asks []Ask) ([]Use, error)
	// OnRelease lets fn know whenever a slot or tokens may have come free, so that who waits can try again. fn must be
	// quick; it may be called in vain.
	OnRelease(fn func())
}

// Use is what is used of an ask now; what it does not limit is not counted.
type Use struct {
	Ask
	Requests, Tokens, Parallel int64
}

// Full says which limit had no room for a call, and when it will have if nothing else comes. Where several had none it is
// the one that takes longest.
type Full struct {
	Name               string
	Unit               Unit
	Limit, Used, Asked int64
	Free               time.Time // zero: when a slot is released
	Never              bool      // more was asked for than the limit allows in a whole minute
}

func (f *Full) String() string {
	switch {
	case f.Never:
		return fmt.Sprintf("%s: %s is %d, and the call asks for %d", f.Name, f.Unit, f.Limit, f.Asked)
	case f.Free.IsZero():
		return fmt.Sprintf("%s: %s is %d, and %d are used", f.Name, f.Unit, f.Limit, f.Used)
	}
	return fmt.Sprintf("%s: %s is %d, of which %d are used, and the call asks for %d", f.Name, f.Unit, f.Limit, f.Used, f.Asked)
}

// longest is the lease of a slot that is taken without one.
const longest = time.Hour

// never finds an ask that no waiting will satisfy.
func never(asks []Ask, tokens int64) *Full {
	for _, a := range asks {
		if limit := a.Rate.TokensPerMinute; limit > 0 && tokens > limit {
			return &Full{Name: a.Name, Unit: TokensPerMinute, Limit: limit, Asked: tokens, Never: true}
		}
	}
	return nil
}

// counts reports whether an ask is one to look at: it limits something, and its name was not there before.
func counts(asks []Ask, i int) bool {
	if asks[i].Rate.Zero() {
		return false
	}
	for _, before := range asks[:i] {
		if before.Name == asks[i].Name {
			return false
		}
	}
	return true
}
