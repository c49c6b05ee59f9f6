package llm

import (
	"fmt"
	"maps"
	"slices"

	"airfield/internal/money"
)

const (
	maxTiers    = 8
	maxServices = 16
)

// Check refuses a price that no provider can mean.
func (p *Price) Check() error {
	if err := checkRates("", &p.Rates); err != nil {
		return err
	}
	if err := checkTiers("context", p.Context); err != nil {
		return err
	}
	if len(p.Services) > maxServices {
		return fmt.Errorf("services: at most %d, not %d", maxServices, len(p.Services))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s, where := p.Services[name], "services."+name
		if Usual(name) {
			return fmt.Errorf("services: %q is the usual tier, whose rates stand beside services", name)
		}
		if s.Rates == (Rates{}) {
			return fmt.Errorf("%s has no rate", where)
		}
		if err := checkRates(where+".", &s.Rates); err != nil {
			return err
		}
		if err := checkTiers(where+".context", s.Context); err != nil {
			return err
		}
	}
	return nil
}

func checkTiers(where string, tiers []ContextTier) error {
	if len(tiers) > maxTiers {
		return fmt.Errorf("%s: at most %d tiers, not %d", where, maxTiers, len(tiers))
	}
	below := int64(0)
	for i := range tiers {
		t, here := &tiers[i], fmt.Sprintf("%s[%d]", where, i)
		switch {
		case t.Above < 1:
			return fmt.Errorf("%s.above must be a number of tokens, not %d", here, t.Above)
		case t.Above <= below:
			return fmt.Errorf("%s.above must be more than that of the tier before", here)
		case t.Rates == (Rates{}):
			return fmt.Errorf("%s has no rate", here)
		}
		if err := checkRates(here+".", &t.Rates); err != nil {
			return err
		}
		below = t.Above
	}
	return nil
}

// checkRates names a negative rate as it is named in JSON and in the configuration.
func checkRates(where string, r *Rates) error {
	for _, b := range []struct {
		name string
		rate money.PerMillion
	}{
		{"input", r.Input}, {"cache_read", r.CacheRead}, {"cache_write", r.CacheWrite}, {"cache_write_long", r.CacheWriteLong}, {"audio_input", r.AudioInput},
		{"output", r.Output}, {"reasoning", r.Reasoning}, {"audio_output", r.AudioOutput}, {"images", r.Images}, {"requests", r.Requests},
		{"image_input", r.ImageInput}, {"characters", r.Characters}, {"seconds", r.Seconds},
	} {
		if b.rate < 0 {
			return fmt.Errorf("%s%s must not be negative", where, b.name)
		}
	}
	return nil
}
