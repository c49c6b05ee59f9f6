package app

import (
	"airfield/internal/ingest"
	"airfield/internal/observe"
	"airfield/internal/telemetry"
)

// addFigures adds to the figures of calls those that are read when they are asked for.
func addFigures(m *telemetry.Metrics, lag func() observe.Lag, runs func() map[string]float64) error {
	for _, g := range []struct {
		name, help string
		read       func(observe.Lag) float64
	}{
		{"journal_waiting_records", "Records of this process that are not in the database yet.", func(l observe.Lag) float64 { return float64(l.Records) }},
		{"journal_waiting_seconds", "Age of the oldest record that waits.", func(l observe.Lag) float64 { return l.Age.Seconds() }},
		{"journal_bytes", "The journal on disk.", func(l observe.Lag) float64 { return float64(l.Bytes) }},
		{"journal_limit_bytes", "Size of the journal at which calls are refused.", func(l observe.Lag) float64 { return float64(l.Limit) }},
	} {
		if err := m.Gauge(g.name, g.help, func() float64 { return g.read(lag()) }); err != nil {
			return err
		}
	}
	return m.States("ingest_runs", "Runs that are not done, by state.", ingest.RunStates, runs)
}

// Figures lists what a server says at /metrics, besides the figures of the process and of Go, for the reference.
func Figures() ([]telemetry.Description, error) {
	m := telemetry.NewMetrics()
	err := addFigures(m, func() observe.Lag { return observe.Lag{} }, func() map[string]float64 { return nil })
	return m.Descriptions(), err
}
