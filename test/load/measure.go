package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// measured is a target with its process.
type measured struct {
	*target
	*process
	rates, cpus []float64
	p50s, p99s  []float64
	peakBytes   int64
}

// measure starts everything, alternates between the targets so that a busy moment of the machine hits all of them,
// and takes medians.
func measure(ctx context.Context, p plan, binary string) (*report, error) {
	upstream, err := startRole(ctx, "mock")
	if err != nil {
		return nil, err
	}
	defer upstream.stop()
	bare, err := startRole(ctx, "proxy", "http://"+upstream.addr)
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	targets := []*measured{
		{target: &target{name: "mock alone", addr: upstream.addr}, process: upstream},
		{target: &target{name: "reverse proxy", addr: bare.addr}, process: bare},
	}
	var servers []*airfield // without bodies, and with them
	if binary != "" {
		for _, bodies := range []bool{false, true} {
			server, err := startAirfield(ctx, binary, "http://"+upstream.addr, bodies)
			if err != nil {
				return nil, err
			}
			defer server.stop()
			name := "airfield"
			if bodies {
				name = "with bodies"
			}
			servers = append(servers, server)
			targets = append(targets, &measured{target: &target{name: name, addr: server.addr, key: server.key}, process: server.process})
		}
	} else {
		alone, err := startRole(ctx, "gateway", "http://"+upstream.addr)
		if err != nil {
			return nil, err
		}
		defer alone.stop()
		targets = append(targets, &measured{target: &target{name: "gateway alone", addr: alone.addr}, process: alone})
	}

	for _, t := range targets {
		if _, _, err := saturate(ctx, t.target, p.connections, p.warm); err != nil {
			return nil, err
		}
	}
	rows := make([]int64, len(servers))
	drain := func(t *measured) error {
		for i, server := range servers {
			if t.process != server.process {
				continue
			}
			var err error
			if rows[i], err = server.drained(ctx, t.made.Load()); err != nil {
				return err
			}
		}
		return nil
	}
	for round := range p.rounds {
		for _, t := range targets {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, p.rounds, t.target.name)
			if err := t.round(ctx, p, drain); err != nil {
				return nil, err
			}
		}
	}
	for _, t := range targets {
		if t.peakBytes, err = t.peak(); err != nil {
			return nil, err
		}
	}
	r := newReport(p, targets, rows)
	if p.profile != "" && len(servers) > 0 {
		return r, servers[0].profile(ctx, targets[2].target, p.connections, p.profile)
	}
	return r, nil
}

// round measures one target once: at a steady rate, then saturated.
func (t *measured) round(ctx context.Context, p plan, drain func(*measured) error) error {
	took, err := steady(ctx, t.target, p.rate, p.steady)
	if err != nil {
		return err
	}
	t.p50s = append(t.p50s, milliseconds(percentile(took, 0.50)))
	t.p99s = append(t.p99s, milliseconds(percentile(took, 0.99)))
	if err := drain(t); err != nil {
		return err
	}
	before, err := t.cpu()
	if err != nil {
		return err
	}
	n, lasted, err := saturate(ctx, t.target, p.connections, p.saturated)
	if err != nil {
		return err
	}
	if err := drain(t); err != nil { // what the calls left to do belongs to them
		return err
	}
	after, err := t.cpu()
	if err != nil {
		return err
	}
	t.rates = append(t.rates, float64(n)/lasted.Seconds())
	t.cpus = append(t.cpus, float64((after-before).Microseconds())/float64(n))
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// percentile is the smallest value that at least the share q of all does not exceed.
func percentile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
