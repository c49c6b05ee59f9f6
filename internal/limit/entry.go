package limit

import (
	"math"
	"time"
)

// entry is what is used under one name.
//
// It is a bucket that fills with use and empties with time, of our own, not golang.org/x/time/rate: that keeps what is
// left, so that a changed limit loses what is used; it refuses more than its burst, so that it knows no debt; its tokens
// come back only while nothing else was reserved since; and several of it cannot be taken from all or nothing.
type entry struct {
	name             string
	rate             Rate
	requests, tokens float64 // used, at the time at
	at               int64
	slots            []slot
	vacant           []int32 // free places in slots
	earliest         int64   // no slot ends before
	dropped          bool    // no longer under its name
}

// slot is a place for one call at a time.
type slot struct {
	deadline int64  // 0: nobody has it
	turn     uint32 // how often it was taken: who had it before cannot release it
}

// exact is how far a use may miss its whole number: levels are floating point, so that equal waits come out equal.
const exact = 1e-6

// drained is what is left of a use after some time.
func drained(used float64, limit, elapsed int64) float64 {
	return max(0, used-float64(limit)*(float64(max(0, elapsed))/float64(time.Minute)))
}

// advance brings the entry to now. A clock that stepped back empties nothing.
func (e *entry) advance(now int64) {
	e.requests = drained(e.requests, e.rate.RequestsPerMinute, now-e.at)
	e.tokens = drained(e.tokens, e.rate.TokensPerMinute, now-e.at)
	e.at = now
}

func (e *entry) change(rate Rate) {
	if rate.RequestsPerMinute == 0 {
		e.requests = 0
	}
	if rate.TokensPerMinute == 0 {
		e.tokens = 0
	}
	e.rate = rate
}

func (e *entry) held() int64 { return int64(len(e.slots) - len(e.vacant)) }

// expire frees the slots whose lease ended.
func (e *entry) expire(now int64) {
	if e.held() == 0 || now < e.earliest {
		return
	}
	e.earliest = math.MaxInt64
	for i := range e.slots {
		switch s := &e.slots[i]; {
		case s.deadline == 0:
		case s.deadline <= now:
			e.vacate(int32(i))
		default:
			e.earliest = min(e.earliest, s.deadline)
		}
	}
}

func (e *entry) occupy(deadline int64) (place int32, turn uint32) {
	if e.held() == 0 || deadline < e.earliest {
		e.earliest = deadline
	}
	if n := len(e.vacant); n > 0 {
		place, e.vacant = e.vacant[n-1], e.vacant[:n-1]
	} else {
		place = int32(len(e.slots))
		e.slots = append(e.slots, slot{})
	}
	s := &e.slots[place]
	s.deadline = deadline
	s.turn++
	return place, s.turn
}

func (e *entry) vacate(place int32) {
	e.slots[place].deadline = 0
	e.vacant = append(e.vacant, place)
}

// lack is a limit that has no room for a call.
type lack struct {
	unit               Unit
	limit, used, asked int64
	wait               time.Duration // until there is room if nothing else comes; 0 for a slot, which nobody knows of
}

// lacks finds what has no room for a request with these tokens; of several, what takes longest.
func (e *entry) lacks(tokens, now int64) (worst lack, any bool) {
	e.expire(now)
	if limit := e.rate.Parallel; limit > 0 && e.held() >= limit {
		worst, any = lack{unit: Parallel, limit: limit, used: e.held(), asked: 1}, true
	}
	bucket := func(unit Unit, limit, asked int64, used float64) {
		over := used + float64(asked) - float64(limit)
		if limit == 0 || over <= exact {
			return
		}
		wait := time.Duration(math.Ceil(over / float64(limit) * float64(time.Minute)))
		if !any || wait > worst.wait {
			worst, any = lack{unit, limit, whole(used), asked, wait}, true
		}
	}
	bucket(RequestsPerMinute, e.rate.RequestsPerMinute, 1, e.requests)
	bucket(TokensPerMinute, e.rate.TokensPerMinute, tokens, e.tokens)
	return worst, any
}

// whole is a use as people read it: what is begun counts.
func whole(used float64) int64 { return int64(math.Ceil(used - exact)) }

func (e *entry) atRest() bool { return e.requests == 0 && e.tokens == 0 && e.held() == 0 }
