package app

import (
	"context"
	"sync"
	"time"

	"airfield/internal/gateway"
	"airfield/internal/index"
	"airfield/internal/ingest"
	"airfield/internal/observe"
	"airfield/internal/telemetry"
)

// figures are what is read when somebody asks for the metrics.
type figures struct {
	lag     func() observe.Lag
	runs    func() map[string]float64
	gateway func() gateway.RouteState
	away    func() bool // Redis
	bodies  func() (memory, disk int64)
	index   func() map[string]index.Stats // by collection
}

func (p *parts) figures() figures {
	return figures{
		lag: p.drain.Lag, runs: p.runsByState,
		gateway: func() gateway.RouteState { return p.gateway.State(context.Background()) },
		away: func() bool {
			if p.redis == nil {
				return false
			}
			_, _, away := p.redis.Away()
			return away
		},
		bodies: p.bodies.Waiting, index: p.indexSizes(),
	}
}

// sizesFor is how long the sizes of indexes are good: to measure them is not free.
const sizesFor = 15 * time.Second

// indexSizes asks the index, briefly and now and then. While it does not answer, nothing is said.
func (p *parts) indexSizes() func() map[string]index.Stats {
	var mu sync.Mutex
	var sizes map[string]index.Stats
	var at time.Time
	return func() map[string]index.Stats {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(at) >= sizesFor {
			ctx, cancel := context.WithTimeout(context.Background(), probeTime)
			defer cancel()
			sizes, _ = p.feed.Sizes(ctx)
			at = time.Now()
		}
		return sizes
	}
}

// countedCollections is how many collections are counted by name; further ones are counted as other.
const countedCollections = 1000

// searched counts searches of indexes by collection: names can be made through the API, without end.
func searched(count func(labels ...string)) func(collection string) {
	var mu sync.Mutex
	known := map[string]bool{}
	return func(collection string) {
		mu.Lock()
		if !known[collection] && len(known) >= countedCollections {
			collection = "other"
		}
		known[collection] = true
		mu.Unlock()
		count(collection)
	}
}

// runsByState asks the database, briefly: a scrape must not hang.
func (p *parts) runsByState() map[string]float64 {
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	counts, err := p.ingest.Runs(ctx)
	if err != nil {
		return nil
	}
	return counts
}

// addFigures adds to the figures of calls those that are read when they are asked for.
func addFigures(m *telemetry.Metrics, f figures) error {
	for _, g := range []struct {
		name, help string
		read       func(observe.Lag) float64
	}{
		{"journal_waiting_records", "Records of this process that are not in the database yet.", func(l observe.Lag) float64 { return float64(l.Records) }},
		{"journal_waiting_seconds", "Age of the oldest record that waits.", func(l observe.Lag) float64 { return l.Age.Seconds() }},
		{"journal_bytes", "The journal on disk.", func(l observe.Lag) float64 { return float64(l.Bytes) }},
		{"journal_limit_bytes", "Size of the journal at which calls are refused.", func(l observe.Lag) float64 { return float64(l.Limit) }},
	} {
		if err := m.Gauge(g.name, g.help, func() float64 { return g.read(f.lag()) }); err != nil {
			return err
		}
	}
	if err := m.States("ingest_runs", "Runs that are not done, by state.", ingest.RunStates, f.runs); err != nil {
		return err
	}
	if err := m.Numbers("queue_waiting_calls", "Calls that wait for limits or deployments.", "workflow", func() map[string]float64 {
		all := map[string]float64{}
		for workflow, n := range f.gateway().Waiting {
			all[workflow] = float64(n)
		}
		return all
	}); err != nil {
		return err
	}
	if err := m.Numbers("breaker_open", "1 where a deployment's breaker is open, 0.5 where it is half open, 0 where it is closed.", "deployment", func() map[string]float64 {
		all := map[string]float64{}
		for _, d := range f.gateway().Deployments {
			all[d.Deployment] = map[string]float64{"open": 1, "half-open": 0.5}[d.Breaker]
		}
		return all
	}); err != nil {
		return err
	}
	if err := m.Numbers("bodies_waiting_bytes", "Requests and answers on their way: in memory, and on the disk of this process until they are in the bucket.", "in", func() map[string]float64 {
		memory, disk := f.bodies()
		return map[string]float64{"memory": float64(memory), "disk": float64(disk)}
	}); err != nil {
		return err
	}
	for _, g := range []struct {
		name, help string
		read       func(index.Stats) float64
	}{
		{"index_bytes", "Size of a collection's vectors and keywords, as the index reports it: on this process's disk, or in PostgreSQL.", func(s index.Stats) float64 { return float64(s.Bytes) }},
		{"index_chunks", "Chunks in a collection's index.", func(s index.Stats) float64 { return float64(s.Chunks) }},
		{"index_vectors", "Vectors in a collection's index.", func(s index.Stats) float64 { return float64(s.Vectors) }},
	} {
		if err := m.Numbers(g.name, g.help, "collection", func() map[string]float64 {
			all := map[string]float64{}
			for collection, s := range f.index() {
				all[collection] = g.read(s)
			}
			return all
		}); err != nil {
			return err
		}
	}
	return m.Gauge("redis_away", "1 while a configured Redis is away, and limits are local.", func() float64 {
		if f.away() {
			return 1
		}
		return 0
	})
}

// Figures lists what a server says at /metrics, besides the figures of the process and of Go, for the reference.
func Figures() ([]telemetry.Description, error) {
	m := telemetry.NewMetrics()
	_, err := m.Counter("notifications_total", notificationsHelp, "channel", "result")
	if err != nil {
		return nil, err
	}
	if _, err = m.Counter("bodies_dropped_total", bodiesDroppedHelp, "reason"); err != nil {
		return nil, err
	}
	if _, err = m.Counter("index_searches_total", indexSearchesHelp, "collection"); err != nil {
		return nil, err
	}
	err = addFigures(m, figures{
		lag: func() observe.Lag { return observe.Lag{} }, runs: func() map[string]float64 { return nil },
		gateway: func() gateway.RouteState { return gateway.RouteState{} }, away: func() bool { return false },
		bodies: func() (int64, int64) { return 0, 0 }, index: func() map[string]index.Stats { return nil },
	})
	return m.Descriptions(), err
}

const notificationsHelp = "What became of events for people: delivered, retried, failed, held, dropped."

const bodiesDroppedHelp = "Calls whose request or answer is not kept because there was no room for it: in memory, or on the disk."

const indexSearchesHelp = "Searches of a collection's index; one that looks at several collections counts in each, and one that had to look again counts again."
