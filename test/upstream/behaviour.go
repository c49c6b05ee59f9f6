package upstream

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Kind is a manner of answering.
type Kind string

const (
	OK         Kind = ""            // as it should be
	Status     Kind = "status"      // an error with Behaviour.Status
	Redirect   Kind = "redirect"    // to elsewhere on the same upstream
	WrongType  Kind = "wrong-type"  // status 200 and a page of HTML
	Hang       Kind = "hang"        // no header ever
	HangMid    Kind = "hang-mid"    // silence in the middle of the answer
	Die        Kind = "die"         // the connection is reset before the header
	DieMid     Kind = "die-mid"     // it is reset in the middle of the answer
	CutMid     Kind = "cut-mid"     // it is closed in the middle of the answer
	NoPrefix   Kind = "no-prefix"   // events without "data: "
	BrokenJSON Kind = "broken-json" // an event, or a whole answer, that is torn JSON
	HalfEvent  Kind = "half-event"  // a stream that ends, by HTTP's rules cleanly, in the middle of an event
	CRLF       Kind = "crlf"        // lines that end with CR LF, which is right
	Comments   Kind = "comments"    // comments, other fields and empty lines between events, which is right
	Giant      Kind = "giant"       // ten megabytes in one event, or in a whole answer
	NoDone     Kind = "no-done"     // a stream without [DONE]
	NoFinish   Kind = "no-finish"   // [DONE] without a finish_reason
	ErrorEvent Kind = "error-event" // an error in mid-stream, with status 200
	Empty      Kind = "empty"       // a stream without any event, a whole answer without a byte
	NoUsage    Kind = "no-usage"    // no word about tokens
)

// Behaviour is how one request is answered.
type Behaviour struct {
	Kind       Kind
	Delay      time.Duration     // before the header
	Between    time.Duration     // before each event of a stream, and once before a whole answer
	After      int               // events that come before something goes wrong in mid-stream: 1
	Status     int               // of Kind Status
	HTML       bool              // the body of Kind Status is a page, not JSON
	RetryAfter time.Duration     // a header of that name, where it is not 0
	AsDate     bool              // which says when, not how long
	Header     map[string]string // further headers
	Use        float64           // the share of the request's cap that is generated; 0 for Options.CompletionTokens
	Usage      *Usage            // said in place of the truth
}

// Usage is what an answer says of its tokens.
type Usage struct{ Prompt, Cached, Completion int64 }

// Named are behaviours that a model's name can ask for: the model "chat+hang" always hangs.
var Named = map[string]Behaviour{
	"ok":           {},
	"slow":         {Delay: 300 * time.Millisecond, Between: 100 * time.Millisecond},
	"401":          {Kind: Status, Status: http.StatusUnauthorized},
	"400":          {Kind: Status, Status: http.StatusBadRequest},
	"429":          {Kind: Status, Status: http.StatusTooManyRequests},
	"429-seconds":  {Kind: Status, Status: http.StatusTooManyRequests, RetryAfter: 2 * time.Second},
	"429-date":     {Kind: Status, Status: http.StatusTooManyRequests, RetryAfter: 3 * time.Second, AsDate: true},
	"500":          {Kind: Status, Status: http.StatusInternalServerError},
	"502":          {Kind: Status, Status: http.StatusBadGateway},
	"503":          {Kind: Status, Status: http.StatusServiceUnavailable, HTML: true},
	"redirect":     {Kind: Redirect},
	"wrong-type":   {Kind: WrongType},
	"hang":         {Kind: Hang},
	"hang-mid":     {Kind: HangMid},
	"die":          {Kind: Die},
	"die-mid":      {Kind: DieMid},
	"cut-mid":      {Kind: CutMid},
	"no-prefix":    {Kind: NoPrefix},
	"broken-json":  {Kind: BrokenJSON},
	"half-event":   {Kind: HalfEvent},
	"crlf":         {Kind: CRLF},
	"comments":     {Kind: Comments},
	"giant":        {Kind: Giant},
	"no-done":      {Kind: NoDone},
	"no-finish":    {Kind: NoFinish},
	"error-event":  {Kind: ErrorEvent},
	"empty":        {Kind: Empty},
	"no-usage":     {Kind: NoUsage},
	"usage-below":  {Usage: &Usage{Prompt: -5, Completion: -100}},
	"usage-absurd": {Usage: &Usage{Prompt: 1e15, Completion: 1e15}},
	"usage-zero":   {Usage: &Usage{}},
	"usage-low":    {Usage: &Usage{Prompt: 11, Completion: 1}},
	"use-all":      {Use: 1},
	"use-20th":     {Use: 0.05},
	"limits":       {Header: Limits(5, 1000, time.Second)},
}

// Limits are the headers by which a provider says how much it would still take, and when it takes all again.
func Limits(requests, tokens int, reset time.Duration) map[string]string {
	return map[string]string{
		"X-Ratelimit-Limit-Requests": "100", "X-Ratelimit-Remaining-Requests": strconv.Itoa(requests), "X-Ratelimit-Reset-Requests": reset.String(),
		"X-Ratelimit-Limit-Tokens": "100000", "X-Ratelimit-Remaining-Tokens": strconv.Itoa(tokens), "X-Ratelimit-Reset-Tokens": reset.String(),
	}
}

// Sequence answers the requests from now on with one behaviour after the other, and with the last one from there on.
func Sequence(behaviours ...Behaviour) func(*Request) Behaviour {
	var n atomic.Int64
	return func(*Request) Behaviour { return behaviours[min(int(n.Add(1)), len(behaviours))-1] }
}

// Random answers a share of requests with one of the faults, the others well. With the same seed the request of a number gets
// the same.
func Random(seed uint64, share float64, well Behaviour, faults ...Behaviour) func(*Request) Behaviour {
	return func(r *Request) Behaviour {
		random := rand.New(rand.NewPCG(seed, uint64(r.N)))
		if random.Float64() >= share {
			return well
		}
		return faults[random.IntN(len(faults))]
	}
}

// goesWrong is the number of events before something does.
func (b Behaviour) goesWrong() int {
	if b.After == 0 {
		return 1
	}
	return b.After
}

func (b Behaviour) header(h http.Header) {
	for name, value := range b.Header {
		h.Set(name, value)
	}
	switch {
	case b.RetryAfter > 0 && b.AsDate:
		h.Set("Retry-After", time.Now().Add(b.RetryAfter).UTC().Format(http.TimeFormat))
	case b.RetryAfter > 0:
		h.Set("Retry-After", strconv.Itoa(int(b.RetryAfter.Seconds())))
	}
}
