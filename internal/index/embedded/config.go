package embedded

import (
	"fmt"
	"runtime"
	"time"
)

// Config tunes the embedded index.
type Config struct {
	Workers      int           `yaml:"workers" json:"workers" doc:"Processors that one search and one write may use; 0 for all, at most 8."`
	K1           float64       `yaml:"k1" json:"k1" doc:"BM25: how soon a word that is repeated in a passage stops to count more."`
	B            float64       `yaml:"b" json:"b" doc:"BM25: how much long passages are held back, from 0 to 1."`
	Rescore      int           `yaml:"rescore" json:"rescore" doc:"Passages per wanted hit that are compared again with their full vectors."`
	WriteTimeout time.Duration `yaml:"write_timeout" json:"write_timeout" doc:"How long the disk may take to accept a change before the space counts as broken."`
}

// Default returns the settings that the figures in the documentation were measured with.
func Default() Config {
	return Config{K1: 0.9, B: 0.4, Rescore: 3, WriteTimeout: time.Minute}
}

// Check refuses settings with which nothing would be found.
func (c Config) Check() (warnings []string, err error) {
	switch {
	case c.Workers < 0:
		return nil, fmt.Errorf("workers must not be negative")
	case !(c.K1 >= 0 && c.K1 <= 10):
		return nil, fmt.Errorf("k1 must be between 0 and 10")
	case !(c.B >= 0 && c.B <= 1):
		return nil, fmt.Errorf("b must be between 0 and 1")
	case c.Rescore < 1 || c.Rescore > 100:
		return nil, fmt.Errorf("rescore must be between 1 and 100")
	case c.WriteTimeout < time.Second:
		return nil, fmt.Errorf("write_timeout must be at least a second")
	}
	if c.Rescore == 1 {
		warnings = append(warnings, "rescore 1 compares 8-bit codes only where it matters most: a hit near the limit may be missed")
	}
	return warnings, nil
}

func (c Config) workers() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return min(runtime.GOMAXPROCS(0), 8)
}
