package gateway

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"airfield/internal/caller"
	"airfield/internal/gateway/scan"
	"airfield/internal/telemetry"
)

// SemanticConfig says when an answer to one text is given to another that means the same.
type SemanticConfig struct {
	Threshold  float64       `yaml:"threshold" json:"threshold" doc:"How alike the texts must be: the cosine of their vectors, from 0.7 to 1. Default 0.95."`
	Model      string        `yaml:"model" json:"model" doc:"The embedding model that compares them. Default builtin-embed, which compares words; one that knows meanings finds more."`
	MaxEntries int           `yaml:"max_entries" json:"max_entries" doc:"How many texts each process remembers; the oldest go first. Default 1000."`
	Wait       time.Duration `yaml:"wait" json:"wait" doc:"The longest to wait for a vector; then it is a miss. Default 200ms."`
}

func (s SemanticConfig) complete() SemanticConfig {
	if s.Threshold == 0 {
		s.Threshold = 0.95
	}
	if s.Model == "" {
		s.Model = BuiltinEmbed
	}
	if s.MaxEntries == 0 {
		s.MaxEntries = 1000
	}
	if s.Wait == 0 {
		s.Wait = 200 * time.Millisecond
	}
	return s
}

const mostAlike = 20_000 // entries: so many are compared in some milliseconds

func (c Config) checkSemantic(name string, refuse, warn func(string, ...any)) {
	cache := c.Workflows[name].Cache
	if cache.Semantic == nil {
		return
	}
	s, where := cache.Semantic.complete(), "workflows."+name+".cache.semantic"
	switch {
	case cache.TTL == 0:
		refuse("%s: needs cache.ttl: without one nothing is kept", where)
	case s.Threshold < 0.7 || s.Threshold > 1:
		refuse("%s.threshold: between 0.7 and 1, not %g", where, s.Threshold)
	case s.MaxEntries < 1 || s.MaxEntries > mostAlike:
		refuse("%s.max_entries: between 1 and %d, not %d", where, mostAlike, s.MaxEntries)
	case s.Wait < time.Millisecond || s.Wait > 5*time.Second:
		refuse("%s.wait: between 1ms and 5s, not %s", where, s.Wait)
	case c.Models[s.Model].Dimensions == 0:
		refuse("%s.model: %q is no embedding model: it needs dimensions", where, s.Model)
	}
	if s.Threshold < 0.9 {
		warn("%s.threshold: at %g texts pass that mean different things", where, s.Threshold)
	}
}

// meaning is what a request asks, apart from the words of its last message.
type meaning struct {
	rest   [32]byte // a hash of everything else
	marks  marks
	vector []float32 // of length 1
	key    string    // of the answer in the cache
	at     time.Time
}

// alike remembers the meanings of a workflow's requests whose answers are kept.
type alike struct {
	config SemanticConfig

	mu   sync.Mutex
	list []meaning
	next int       // which one is replaced, once the list is full
	rest time.Time // until when the embedding model is left alone
}

// alikeFor takes over what is remembered, as long as it is compared in the same way.
func alikeFor(c *SemanticConfig, old *workflow) *alike {
	if c == nil {
		return nil
	}
	config := c.complete()
	if old != nil && old.alike != nil && old.alike.config == config {
		return old.alike
	}
	return &alike{config: config}
}

// nearest is the key of the answer to the text that is most like another, and how alike they are; empty where none is
// alike enough.
func (a *alike) nearest(m *meaning, younger time.Duration) (key string, most float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	most = a.config.Threshold
	for i := range a.list {
		e := &a.list[i]
		if e.rest != m.rest || len(e.vector) != len(m.vector) || time.Since(e.at) >= younger {
			continue
		}
		sum := float64(0)
		for k, v := range e.vector {
			sum += float64(v) * float64(m.vector[k])
		}
		if sum >= most && e.marks.agree(&m.marks) {
			key, most = e.key, sum
		}
	}
	return key, min(most, 1)
}

func (a *alike) add(m meaning) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.list {
		if a.list[i].key == m.key {
			a.list[i] = m
			return
		}
	}
	if len(a.list) < a.config.MaxEntries {
		a.list = append(a.list, m)
		return
	}
	a.list[a.next] = m
	a.next = (a.next + 1) % len(a.list)
}

// forget removes a meaning whose answer is no longer there.
func (a *alike) forget(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.list {
		if a.list[i].key == key {
			a.list[i] = meaning{}
			return
		}
	}
}

// restFor is how long an embedding model is left alone that did not answer in time.
const restFor = 10 * time.Second

func (a *alike) resting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Before(a.rest)
}

func (a *alike) tired() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rest = time.Now().Add(restFor)
}

const (
	longestAlike    = 4096 // bytes of a text that is compared: a vector of a longer one says little of its details
	mostTemperature = 0.5  // who asks for more wants another answer each time
)

// similar finds the answer to a text that means the same, in the same position. The meaning of a request that has none is
// remembered with its own answer.
func (c *call) similar() *kept {
	a := c.policy.alike
	if a == nil || c.local || c.req.Cache != CacheUse || a.resting() {
		return nil
	}
	m, text := c.meaningOf()
	if m == nil {
		return nil
	}
	vector, err := c.vectorOf(text)
	if err != nil {
		if c.ctx.Err() == nil {
			a.tired()
			c.log.Warn("a text could not be compared with those before it: for a while none is", "workflow", c.row.Workflow, "call", c.row.ID, "model", a.config.Model, "error", err)
		}
		return nil
	}
	m.vector = vector
	for range 3 { // answers that are gone are forgotten on the way
		key, alike := a.nearest(m, c.policy.Cache.TTL)
		if key == "" {
			break
		}
		if k := c.lookUp(key, c.policy.Cache.TTL); k != nil {
			c.similarity = alike
			return k
		}
		a.forget(key)
	}
	c.meaning = m
	return nil
}

// remember keeps what the call asked beside its answer.
func (c *call) remember(key string) {
	if c.meaning != nil {
		c.meaning.key, c.meaning.at = key, time.Now()
		c.policy.alike.add(*c.meaning)
	}
}

// meaningOf is what the request asks, without a vector yet; nil where its last message is not a plain text of a user, or it
// must not be answered by what another one was.
func (c *call) meaningOf() (*meaning, string) {
	if !c.asked.shape.generates || c.asked.choices > 1 || c.asked.needs(c.req.Body)&(tools|images|audio) != 0 || c.asked.remote(c.req.Body) || !c.asked.cool(c.req.Body) {
		return nil, ""
	}
	at, text := c.asked.lastText(c.req.Body)
	if !at.found() || text == "" || len(text) > longestAlike {
		return nil, ""
	}
	rest := make([]byte, 0, len(c.req.Body)+256)
	rest = append(append(append(rest, c.req.Body[:at.from]...), `""`...), c.req.Body[at.to:]...)
	position, err := scan.Canonical(c.position(), rest)
	if err != nil {
		return nil, ""
	}
	return &meaning{rest: sha256.Sum256(position), marks: marksOf(text)}, text
}

// cool reports whether the request leaves little to chance.
func (q *asked) cool(body []byte) bool {
	for m := scan.Object(body); m.Next(); {
		if string(m.Key) == "temperature" && scan.Kind(m.Value) != 'n' {
			t, err := strconv.ParseFloat(string(m.Value), 64)
			return err == nil && t <= mostTemperature
		}
	}
	return true
}

// lastText is the text of the last message, if that is a user's and is nothing but a text; and where it stands.
func (q *asked) lastText(body []byte) (at span, text string) {
	content := q.content[0]
	if !content.found() {
		return span{}, ""
	}
	if text, ok := scan.Text(content.of(body)); ok { // the input of responses
		return content, text
	}
	var last span
	for a := scan.Array(content.of(body)); a.Next(); {
		last = span{content.from + a.Offset, content.from + a.Offset + len(a.Value)}
	}
	role, inside := "", span{}
	for m := scan.Object(last.of(body)); m.Next(); {
		switch string(m.Key) {
		case "role":
			role, _ = scan.Text(m.Value)
		case "content":
			inside = span{last.from + m.Offset, last.from + m.Offset + len(m.Value)}
		}
	}
	if role != "user" || !inside.found() {
		return span{}, ""
	}
	if text, ok := scan.Text(inside.of(body)); ok {
		return inside, text
	}
	parts := 0
	for a := scan.Array(inside.of(body)); a.Next(); parts++ {
		for m := scan.Object(a.Value); m.Next(); {
			if string(m.Key) == "text" {
				from := inside.from + a.Offset + m.Offset
				at = span{from, from + len(m.Value)}
			}
		}
	}
	text, ok := "", false
	if parts == 1 && at.found() {
		text, ok = scan.Text(at.of(body))
	}
	if !ok {
		return span{}, ""
	}
	return at, text
}

// vectorOf asks the gateway itself, as a call of the workflow's own that is metered like every other, for no longer than
// the workflow says.
func (c *call) vectorOf(text string) ([]float32, error) {
	who := caller.Caller{Role: caller.System, Environment: c.row.Environment, Workflow: c.row.Workflow, BusinessUnit: c.row.BusinessUnit, KeyID: c.row.KeyID}
	if from := caller.From(c.ctx); from != nil {
		who.Clearance, who.KeyName = from.Clearance, from.KeyName
	}
	ctx, cancel := context.WithTimeout(caller.With(c.ctx, &who), c.policy.alike.config.Wait)
	defer cancel()
	if here, ok := telemetry.ParseTraceparent(c.traceparent); ok {
		ctx = telemetry.WithRemote(ctx, here)
	}
	begin := time.Now()
	vectors, err := c.g.Embed(ctx, c.policy.alike.config.Model, []string{text}, map[string]string{"purpose": "cache"}, "")
	c.row.Waited += time.Since(begin)
	if err != nil {
		return nil, err
	}
	v := vectors[0]
	sum := float64(0)
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 || math.IsNaN(sum) || math.IsInf(sum, 0) {
		return nil, fmt.Errorf("the vector has no direction")
	}
	unit := make([]float32, len(v))
	for i, x := range v {
		unit[i] = float32(float64(x) / math.Sqrt(sum))
	}
	return unit, nil
}
