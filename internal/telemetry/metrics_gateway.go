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
	tried    *sync.Map // attemptKey to prometheus.Counter
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
		tried:    &sync.Map{},
	}
	m.registry.MustRegister(g.attempts, g.waited, g.refused, g.cache, g.degraded)
	return g
}

func (g *gatewayFigures) call(c *llm.Call) {
	for i := range c.Attempts {
		key := attemptKey{c.Attempts[i].Deployment, c.Attempts[i].Outcome}
		counter, ok := g.tried.Load(key)
		if !ok {
			counter, _ = g.tried.LoadOrStore(key, g.attempts.WithLabelValues(key.deployment, string(key.outcome)))
		}
		counter.(prometheus.Counter).Inc()
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
