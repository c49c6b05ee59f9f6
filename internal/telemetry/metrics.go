package telemetry

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"airfield/internal/llm"
	"airfield/internal/money"
)

// Metrics are the numbers at /metrics, in a registry of their own. Every name begins with airfield_; the process's and
// Go's own keep theirs.
type Metrics struct {
	registry *prometheus.Registry
	list     []Description
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	first    *prometheus.HistogramVec
	tokens   *prometheus.CounterVec
	cost     *prometheus.CounterVec
	unpriced *prometheus.CounterVec

	gateway gatewayFigures

	models  atomic.Pointer[map[string]bool]
	mu      sync.RWMutex
	handles map[labels]*handles
}

// Description says what a figure is, for the reference.
type Description struct {
	Name, Kind, Help string
	Labels           []string
}

// Descriptions lists the figures of calls, and the gauges added so far, in the order of their making.
func (m *Metrics) Descriptions() []Description {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.list)
}

func (m *Metrics) describe(kind, name, help string, labels ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, Description{Name: namespace + "_" + name, Kind: kind, Help: help, Labels: labels})
}

// labels are what a call is counted by. A caller can write any model it likes, so that names which are not configured
// are one label; workflows come from keys.
type labels struct {
	surface         llm.Surface
	outcome         llm.Outcome
	workflow, model string
}

// handles are the counters of a set of labels, looked up once.
type handles struct {
	calls, unpriced                           prometheus.Counter
	duration, first                           prometheus.Observer
	input, cacheRead, cacheWrite, out, reason prometheus.Counter
	cacheWriteLong, audioIn, audioOut, imgIn  prometheus.Counter
	cost                                      prometheus.Counter
}

const (
	namespace = "airfield"
	other     = "other"
	maxLabels = 10_000 // sets of labels, past which further ones are counted as other
)

// NewMetrics returns a registry with the figures of calls, the process and Go.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), handles: map[labels]*handles{}}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		m.describe("counter", name, help, labels...)
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		m.describe("histogram", name, help, labels...)
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: []float64{.005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160}, labels)
	}
	m.calls = counter("calls_total", "Calls that ended.", "surface", "outcome", "workflow", "model")
	m.duration = histogram("call_duration_seconds", "From the request to the last byte of the answer.", "surface", "model")
	m.first = histogram("call_first_byte_seconds", "From the request to the first byte of the answer.", "surface", "model")
	m.tokens = counter("tokens_total", "Tokens used; the kinds do not overlap.", "kind", "workflow", "model")
	m.cost = counter("cost_usd_total", "Cost of calls whose price is known, in dollars.", "workflow", "model")
	m.unpriced = counter("unpriced_calls_total", "Calls that used tokens and whose price is not known.", "workflow", "model")
	m.gateway = newGatewayFigures(m, counter)
	m.models.Store(&map[string]bool{})
	m.registry.MustRegister(m.calls, m.duration, m.first, m.tokens, m.cost, m.unpriced,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// SetModels names the models that are configured: all others are counted as "other".
func (m *Metrics) SetModels(names []string) {
	known := make(map[string]bool, len(names))
	for _, name := range names {
		known[name] = true
	}
	m.models.Store(&known)
}

// Call counts a call that ended.
func (m *Metrics) Call(c *llm.Call) {
	key := labels{c.Surface, c.Outcome, c.Workflow, c.Model}
	if !(*m.models.Load())[c.Model] {
		key.model = other
	}
	m.mu.RLock()
	h := m.handles[key]
	m.mu.RUnlock()
	if h == nil {
		h = m.handle(key)
	}
	h.calls.Inc()
	if c.Duration > 0 {
		h.duration.Observe(c.Duration.Seconds())
	}
	if c.FirstByte > 0 {
		h.first.Observe(c.FirstByte.Seconds())
	}
	m.gateway.call(c)
	u := &c.Usage
	add(h.input, u.Input)
	add(h.cacheRead, u.CacheRead)
	add(h.cacheWrite, u.CacheWrite)
	add(h.out, u.Output)
	add(h.reason, u.Reasoning)
	add(h.cacheWriteLong, u.CacheWriteLong)
	add(h.audioIn, u.AudioInput)
	add(h.audioOut, u.AudioOutput)
	add(h.imgIn, u.ImageInput)
	switch {
	case c.Cost > 0:
		h.cost.Add(float64(c.Cost) / float64(money.Dollar))
	case !c.Priced && !u.Empty():
		h.unpriced.Inc()
	}
}

func add(c prometheus.Counter, n int64) {
	if n > 0 {
		c.Add(float64(n))
	}
}

func (m *Metrics) handle(key labels) *handles {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.handles[key]; h != nil {
		return h
	}
	if len(m.handles) >= maxLabels {
		key.workflow, key.model = other, other
		if h := m.handles[key]; h != nil {
			return h
		}
	}
	surface := string(key.surface)
	h := &handles{
		calls:      m.calls.WithLabelValues(surface, string(key.outcome), key.workflow, key.model),
		duration:   m.duration.WithLabelValues(surface, key.model),
		first:      m.first.WithLabelValues(surface, key.model),
		input:      m.tokens.WithLabelValues("input", key.workflow, key.model),
		cacheRead:  m.tokens.WithLabelValues("cache_read", key.workflow, key.model),
		cacheWrite: m.tokens.WithLabelValues("cache_write", key.workflow, key.model),
		out:        m.tokens.WithLabelValues("output", key.workflow, key.model),
		reason:     m.tokens.WithLabelValues("reasoning", key.workflow, key.model),

		cacheWriteLong: m.tokens.WithLabelValues("cache_write_long", key.workflow, key.model),
		audioIn:        m.tokens.WithLabelValues("audio_input", key.workflow, key.model),
		audioOut:       m.tokens.WithLabelValues("audio_output", key.workflow, key.model),
		imgIn:          m.tokens.WithLabelValues("image_input", key.workflow, key.model),

		cost:     m.cost.WithLabelValues(key.workflow, key.model),
		unpriced: m.unpriced.WithLabelValues(key.workflow, key.model),
	}
	m.handles[key] = h
	return h
}

// Gauge adds a number that is read when it is asked for: the journal's lag, the depth of a queue. read must be quick.
func (m *Metrics) Gauge(name, help string, read func() float64) error {
	if err := m.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, read)); err != nil {
		return err
	}
	m.describe("gauge", name, help)
	return nil
}

// Counter adds a number that only grows, by labels; the returned function raises it by one.
func (m *Metrics) Counter(name, help string, labels ...string) (func(values ...string), error) {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	if err := m.registry.Register(v); err != nil {
		return nil, err
	}
	m.describe("counter", name, help, labels...)
	return func(values ...string) { v.WithLabelValues(values...).Inc() }, nil
}

// States adds a number for each of a few states that is read when it is asked for: ingest runs by state.
func (m *Metrics) States(name, help string, states []string, read func() map[string]float64) error {
	return m.numbers(name, help, "state", slices.Clone(states), read)
}

// Numbers adds a number for each value of a label, whichever there are when it is asked for: calls that wait by workflow.
func (m *Metrics) Numbers(name, help, label string, read func() map[string]float64) error {
	return m.numbers(name, help, label, nil, read)
}

func (m *Metrics) numbers(name, help, label string, states []string, read func() map[string]float64) error {
	desc := prometheus.NewDesc(namespace+"_"+name, help, []string{label}, nil)
	if err := m.registry.Register(stateCollector{desc: desc, states: states, read: read}); err != nil {
		return err
	}
	m.describe("gauge", name, help, label)
	return nil
}

type stateCollector struct {
	desc   *prometheus.Desc
	states []string
	read   func() map[string]float64
}

func (s stateCollector) Describe(out chan<- *prometheus.Desc) { out <- s.desc }

func (s stateCollector) Collect(out chan<- prometheus.Metric) {
	values, states := s.read(), s.states
	if states == nil {
		states = slices.Sorted(maps.Keys(values))
	}
	for _, state := range states {
		out <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, values[state], state)
	}
}

// Handler serves the metrics in the format that the scraper asks for.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
