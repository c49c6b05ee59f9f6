package telemetry

import (
	"encoding/json"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"airfield/internal/llm"
)

// gatewayFigures count what became of calls besides their end: attempts, waits, refusals, the cache and the ladder.
type gatewayFigures struct {
	attempts *prometheus.CounterVec
	waited   *prometheus.CounterVec
	refused  *prometheus.CounterVec
	cache    *prometheus.CounterVec
	degraded *prometheus.CounterVec

	mu    *sync.RWMutex
	tried map[attemptKey]prometheus.Counter
}

type attemptKey struct {
	deployment string
	outcome    llm.Outcome
}

func newGatewayFigures(m *Metrics, counter func(name, help string, labels ...string) *prometheus.CounterVec) gatewayFigures {
	g := gatewayFigures{
		attempts: counter("attempts_total", "Tries of calls at deployments.", "deployment", "outcome"),
		waited:   counter("call_wait_seconds_total", "Time that calls waited for limits, budgets, deployments, or for the same request in flight.", "workflow"),
		refused:  counter("refused_calls_total", "Calls that a rule of Airfield's refused: budget, limit, queue, deployment.", "workflow", "rule"),
		cache:    counter("cache_calls_total", "Calls that a cache was there for: hit, miss, shared, stale, bypass.", "workflow", "result"),
		degraded: counter("degraded_calls_total", "Calls that a lower rung of the ladder served.", "workflow", "rung"),
		mu:       &sync.RWMutex{},
		tried:    map[attemptKey]prometheus.Counter{},
	}
	m.registry.MustRegister(g.attempts, g.waited, g.refused, g.cache, g.degraded)
	return g
}

func (g *gatewayFigures) call(c *llm.Call) {
	for i := range c.Attempts {
		g.attempt(attemptKey{c.Attempts[i].Deployment, c.Attempts[i].Outcome}).Inc()
	}
	if c.Waited > 0 {
		g.waited.WithLabelValues(c.Workflow).Add(c.Waited.Seconds())
	}
	if c.Cache != "" {
		g.cache.WithLabelValues(c.Workflow, c.Cache).Inc()
	}
	if c.Degraded != "" {
		g.degraded.WithLabelValues(c.Workflow, c.Degraded).Inc()
	}
	if c.Decision != "" && c.Outcome == llm.Failed {
		var d struct {
			Rule string `json:"rule"`
		}
		if json.Unmarshal([]byte(c.Decision), &d) == nil {
			g.refused.WithLabelValues(c.Workflow, d.Rule).Inc()
		}
	}
}

// attempt is the counter of a deployment's attempts, looked up once.
func (g *gatewayFigures) attempt(key attemptKey) prometheus.Counter {
	g.mu.RLock()
	counter := g.tried[key]
	g.mu.RUnlock()
	if counter == nil {
		counter = g.attempts.WithLabelValues(key.deployment, string(key.outcome))
		g.mu.Lock()
		g.tried[key] = counter
		g.mu.Unlock()
	}
	return counter
}
