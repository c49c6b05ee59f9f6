// Command load measures the gateway beside a bare reverse proxy and the mock upstream alone, in one run on one machine:
// requests per second at saturation, latency added at a steady rate, CPU per request, memory, and whether every
// request is in the call log. make bench runs it; the figures to reach are in the guarantees.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// plan is how much is measured.
type plan struct {
	connections int
	rounds      int
	warm        time.Duration // before the first round, per target
	saturated   time.Duration // per round and target
	rate        int           // requests a second in the open loop
	steady      time.Duration // per round and target
	profile     string        // the file for a profile of the server; empty: none
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if role := os.Getenv(roleVariable); role != "" {
		return serveRole(ctx, role, os.Args[1:])
	}
	binary := flag.String("airfield", "", "the airfield binary to measure; without it the gateway alone is measured, with no door, keys or journal")
	out := flag.String("out", "bench.json", "where the figures are written")
	profile := flag.String("profile", "", "also write a CPU profile of the server under load to this file, for go tool pprof")
	quick := flag.Bool("quick", false, "a short run, for a first impression")
	flag.Parse()
	if flag.NArg() > 0 {
		return errors.New("unexpected argument " + flag.Arg(0))
	}
	p := plan{connections: 64, rounds: 5, warm: 2 * time.Second, saturated: 5 * time.Second, rate: 500, steady: 4 * time.Second}
	if *quick {
		p.rounds, p.warm, p.saturated, p.steady = 2, time.Second, 2*time.Second, 2*time.Second
	}
	p.profile = *profile
	report, err := measure(ctx, p, *binary)
	if err != nil {
		return err
	}
	report.print(os.Stdout)
	if err := report.write(*out); err != nil {
		return err
	}
	return report.complete()
}
