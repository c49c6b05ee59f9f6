package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"airfield/internal/caller"
	"airfield/internal/gateway/scan"
	"airfield/internal/llm"
)

// What became of a call in the cache.
const (
	cacheHit    = "hit"
	cacheAlike  = "semantic" // it was the answer to a text that means the same
	cacheMiss   = "miss"
	cacheShared = "shared" // the same request was in flight, and its answer serves this one too
	cacheStale  = "stale"
	cacheBypass = "bypass" // the caller, or the request, does not want it
)

// CacheControl is what a caller wants of the cache.
type CacheControl int

const (
	CacheUse     CacheControl = iota
	CacheRefresh              // do not read, but keep the answer
	CacheOff                  // neither
)

// kept is an answer as it is kept.
type kept struct {
	At          time.Time `json:"at"`
	Status      int       `json:"status"`
	ContentType string    `json:"content_type"`
	Model       string    `json:"model"`
	Provider    string    `json:"provider"`
	Upstream    string    `json:"upstream"`
	Finish      string    `json:"finish"`
	Stream      bool      `json:"stream"`
	BodySize    int       `json:"body"`
	UsageSize   int       `json:"usage"`
	Degraded    string    `json:"degraded,omitempty"` // given to those who wait; never kept

	body, usage, done []byte // done is what is left: the end mark
}

func (k *kept) encode() []byte {
	k.BodySize, k.UsageSize = len(k.body), len(k.usage)
	head, err := json.Marshal(k)
	if err != nil {
		return nil
	}
	b := make([]byte, 0, 4+len(head)+len(k.body)+len(k.usage)+len(k.done))
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)))
	return append(append(append(append(b, head...), k.body...), k.usage...), k.done...)
}

func decodeKept(b []byte) *kept {
	if len(b) < 4 {
		return nil
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if b = b[4:]; n > uint64(len(b)) {
		return nil
	}
	k := &kept{}
	if json.Unmarshal(b[:n], k) != nil {
		return nil
	}
	if b = b[n:]; k.BodySize < 0 || k.BodySize > len(b) || k.UsageSize < 0 || k.UsageSize > len(b)-k.BodySize {
		return nil
	}
	if k.Status < 200 || k.Status > 299 || k.UsageSize > 0 && bytes.IndexByte(b[k.BodySize:k.BodySize+k.UsageSize], '}') < 0 {
		return nil
	}
	k.body, k.usage, k.done = b[:k.BodySize], b[k.BodySize:k.BodySize+k.UsageSize], b[k.BodySize+k.UsageSize:]
	return k
}

// flights are the calls in flight whose answers may be kept, by their key.
type flights struct {
	mu  sync.Mutex
	now map[string]*flight
}

// flight collects one answer. Its methods do nothing on nil.
type flight struct {
	c     *call
	key   string
	body  []byte
	large bool
	over  chan struct{}
	kept  *kept // what it came to, once over is closed; nil where nothing may be given to others
	alone bool  // what it comes to is kept, and given to nobody who waits
}

// join returns the flight of a key, and whether the call has begun it.
func (f *flights) join(c *call, key string) (*flight, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if under := f.now[key]; under != nil {
		return under, false
	}
	own := &flight{c: c, key: key, over: make(chan struct{})}
	f.now[key] = own
	return own, true
}

// part keeps bytes of a stream.
func (f *flight) part(b []byte) {
	if f == nil || f.large {
		return
	}
	if len(f.body)+len(b) > maxKept {
		f.body, f.large = nil, true
		f.close(nil) // nobody needs to wait for it any more
		return
	}
	f.body = append(f.body, b...)
}

// maxKept is the largest answer that is kept.
const maxKept = 1 << 20

// whole keeps an answer that came at once.
func (f *flight) whole(answer *Response, body []byte) {
	f.part(body)
	f.ended(answer, nil, nil)
}

// ended gives a good answer to those who wait for it and to the cache. What was served by another model than the one
// that was asked is given to those who wait and not kept.
func (f *flight) ended(answer *Response, usage, done []byte) {
	if f == nil || f.large {
		return
	}
	c := f.c
	k := &kept{
		At: time.Now(), Status: answer.Status, ContentType: answer.ContentType, Model: c.served.model.name, Provider: c.row.Provider, Upstream: c.row.Upstream,
		Finish: c.row.Finish, Degraded: c.row.Degraded, Stream: answer.Stream, body: f.body, usage: append([]byte(nil), usage...), done: append([]byte(nil), done...),
	}
	if c.row.Degraded == "" && slices.Contains(c.routes[0].model.deployments, c.served) {
		policy := c.policy.Cache
		c.g.cache.Set(c.ctx, f.key, k.encode(), policy.TTL+policy.Stale)
		c.remember(f.key)
	}
	f.close(k)
}

// abandon ends a flight that came to nothing: one of those who wait begins another.
func (f *flight) abandon() {
	if f != nil {
		f.close(nil)
	}
}

func (f *flight) close(k *kept) {
	if f.alone {
		return
	}
	f.c.g.flights.mu.Lock()
	defer f.c.g.flights.mu.Unlock()
	select {
	case <-f.over:
		return
	default:
	}
	f.kept = k
	close(f.over)
	delete(f.c.g.flights.now, f.key)
}

// recall answers the call from the cache, or from the same request in flight. Where it does not, the call may have
// begun a flight of its own.
func (c *call) recall(w http.ResponseWriter) (done bool, err error) {
	if c.g.cache == nil || c.policy == nil || c.policy.Cache.TTL <= 0 {
		return false, nil
	}
	if c.req.Cache == CacheOff {
		c.row.Cache = cacheBypass
		return false, nil
	}
	key, ok := c.cacheKey()
	if !ok {
		c.row.Cache = cacheBypass
		return false, nil
	}
	c.row.Cache = cacheMiss
	for waited := 0; ; waited++ {
		if c.req.Cache != CacheRefresh {
			if k := c.lookUp(key, c.policy.Cache.TTL); k != nil {
				return true, c.replay(w, k, cacheHit)
			}
		}
		if waited == mostFlights {
			return false, nil // they come to nothing: it goes its own way
		}
		f, own := c.g.flights.join(c, key)
		if own {
			c.flight = f
			if k := c.similar(); k != nil {
				f.abandon()
				return true, c.replay(w, k, cacheAlike)
			}
			return false, nil
		}
		if c.req.Cache == CacheRefresh {
			c.flight = &flight{c: c, key: key, alone: true} // what is under way began before
			return false, nil
		}
		begin := time.Now()
		left := time.NewTimer(time.Until(c.until))
		select {
		case <-f.over:
		case <-c.ctx.Done():
		case <-left.C:
		}
		left.Stop()
		c.row.Waited += time.Since(begin)
		if c.ctx.Err() != nil {
			return true, c.refuse(c.gone())
		}
		select {
		case <-f.over:
			if f.kept != nil {
				return true, c.replay(w, f.kept, cacheShared)
			}
		default:
			return false, nil // its time is over: it goes its own way to that end
		}
	}
}

// mostFlights is how many calls that come to nothing another one waits for. When the first leaves or fails, one of those
// who wait takes over; when that fails, too, they would only fail one after the other.
const mostFlights = 2

func (c *call) lookUp(key string, within time.Duration) *kept {
	b, ok := c.g.cache.Get(c.ctx, key)
	if !ok {
		return nil
	}
	if k := decodeKept(b); k != nil && k.within(within) {
		return k
	}
	return nil
}

// within reports whether the answer is younger than that. One from the future was kept before the clock was set back, or by
// a process whose clock is ahead: it is believed no longer than another.
func (k *kept) within(most time.Duration) bool {
	age := time.Since(k.At)
	return age < most && age > -most
}

// cacheKey is the same for requests that ask the same in the same position, and for no others.
func (c *call) cacheKey() (string, bool) {
	if c.key != "" {
		return c.key, true
	}
	b, err := scan.Canonical(c.position(), c.req.Body)
	if err != nil {
		return "", false
	}
	sum := sha256.Sum256(b)
	c.key = "answer:" + hex.EncodeToString(sum[:])
	return c.key, true
}

// position is where a call asks from, with room for its body: what must be the same for an answer to be given again.
func (c *call) position() []byte {
	clearance := caller.None
	if who := caller.From(c.ctx); who != nil {
		clearance = who.Clearance
	}
	b := make([]byte, 0, len(c.req.Body)+len(c.req.Epochs)+256)
	for _, part := range [...]string{"1", c.row.Environment, c.row.Workflow, clearance.String(), c.row.Prompt, strconv.Itoa(c.row.Version), c.req.Epochs, string(c.req.Surface)} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
	}
	return b
}

// replay gives a kept answer. It used nothing and costs nothing.
func (c *call) replay(w http.ResponseWriter, k *kept, how string) error {
	c.row.Cache, c.row.Status, c.row.Finish = how, k.Status, k.Finish
	c.row.Deployment, c.row.Provider, c.row.Upstream = "cache", k.Provider, k.Upstream
	c.served = nil // whoever was asked in vain
	if k.Degraded != "" {
		c.row.Degraded = k.Degraded
	}
	c.row.ResponseSize, c.row.FirstByte = int64(len(k.body)), time.Since(c.row.Start)
	c.charge(llm.Usage{})
	c.finish(llm.OK, nil)
	h := w.Header()
	h["Content-Type"] = []string{k.ContentType}
	h["Age"] = []string{strconv.FormatInt(int64(max(0, time.Since(k.At))/time.Second), 10)}
	c.marked(h)
	if how == cacheAlike {
		h[headerSimilarity] = []string{strconv.FormatFloat(c.similarity, 'f', 3, 64)}
	}
	if k.Model != c.asked.model {
		h[headerModel] = []string{k.Model}
	}
	if !k.Stream {
		c.charged(h)
		h["Content-Length"] = []string{strconv.Itoa(len(k.body))}
		w.WriteHeader(k.Status)
		w.Write(k.body)
		return nil
	}
	h["Cache-Control"] = []string{"no-cache"}
	w.WriteHeader(k.Status)
	w.Write(k.body)
	w.Write(c.ending(k.usage, k.done))
	return nil
}
