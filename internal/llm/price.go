package llm

import "airfield/internal/money"

// Price is what one deployment charges. Its own rates are those of the usual service tier for prompts up to the first
// context tier. A Price is shared once it is made: its tiers must not be changed.
type Price struct {
	ID string `json:"id"`
	Rates
	Context  []ContextTier      `json:"context,omitempty"`  // ascending
	Services map[string]Service `json:"services,omitempty"` // by the provider's name: batch, flex, priority
}

// Rates are nano-dollars per million units. A bucket without a rate of its own is charged as the bucket it belongs to:
// cache reads, cache writes and audio input as input, writes for an hour as cache writes, reasoning and audio output as
// output.
type Rates struct {
	Input          money.PerMillion `json:"input,omitempty"`
	CacheRead      money.PerMillion `json:"cache_read,omitempty"`
	CacheWrite     money.PerMillion `json:"cache_write,omitempty"`
	CacheWriteLong money.PerMillion `json:"cache_write_long,omitempty"`
	AudioInput     money.PerMillion `json:"audio_input,omitempty"`
	Output         money.PerMillion `json:"output,omitempty"`
	Reasoning      money.PerMillion `json:"reasoning,omitempty"`
	AudioOutput    money.PerMillion `json:"audio_output,omitempty"`
	Images         money.PerMillion `json:"images,omitempty"`
	Requests       money.PerMillion `json:"requests,omitempty"`
}

// ContextTier is what every token of a request costs when its prompt is longer than Above tokens. A bucket that it does
// not name costs what it costs below, or as the bucket it belongs to, whichever is dearer.
type ContextTier struct {
	Above int64 `json:"above"`
	Rates
}

// Service is what a service tier charges. A bucket that it does not name costs as in the usual tier, or as the bucket it
// belongs to, whichever is dearer; a service without context tiers is never cheaper than those of the usual one.
type Service struct {
	Rates
	Context []ContextTier `json:"context,omitempty"`
}

// Cost is what the usage of one request costs at the usual service tier.
func (p Price) Cost(u Usage) money.Nanos {
	r := p.at(nil, u.Prompt())
	return r.cost(&u)
}

// CostAt is what the usage of one request costs at a service tier, as the provider names it in its answer. False means
// that there is no price for that tier: the cost is then that of the dearest known one.
func (p *Price) CostAt(service string, u Usage) (money.Nanos, bool) {
	r := p.at(nil, u.Prompt())
	usual := r.cost(&u)
	if Usual(service) {
		return usual, true
	}
	if s, ok := p.Services[service]; ok {
		r := p.at(&s, u.Prompt())
		return r.cost(&u), true
	}
	most := usual
	for _, s := range p.Services {
		r := p.at(&s, u.Prompt())
		most = max(most, r.cost(&u))
	}
	return most, false
}

// Usual reports whether a service tier is the one that a provider gives where nothing else was agreed.
func Usual(service string) bool {
	switch service {
	case "", "auto", "default", "standard", "standard_only", "on_demand":
		return true
	}
	return false
}

// at is the rates for a prompt, with nothing left to look up; s is nil for the usual service tier.
func (p *Price) at(s *Service, prompt int64) Rates {
	if s == nil {
		return tiered(&p.Rates, p.Context, prompt)
	}
	r := s.Rates.over(&p.Rates)
	if len(s.Context) > 0 {
		return tiered(&r, s.Context, prompt)
	}
	r = r.whole()
	if tier := reached(p.Context, prompt); tier >= 0 {
		t := tiered(&p.Rates, p.Context, prompt)
		r = r.dearer(&t)
	}
	return r
}

func tiered(base *Rates, tiers []ContextTier, prompt int64) Rates {
	if i := reached(tiers, prompt); i >= 0 {
		r := tiers[i].Rates.over(base)
		return r.whole()
	}
	return base.whole()
}

// reached is the highest tier that a prompt falls in, or -1.
func reached(tiers []ContextTier, prompt int64) int {
	for i := len(tiers) - 1; i >= 0; i-- {
		if prompt > tiers[i].Above {
			return i
		}
	}
	return -1
}

func or(a, b money.PerMillion) money.PerMillion {
	if a > 0 {
		return a
	}
	return b
}

// whole fills in the buckets without a rate.
func (r *Rates) whole() Rates {
	w := *r
	w.CacheRead, w.CacheWrite, w.AudioInput = or(r.CacheRead, r.Input), or(r.CacheWrite, r.Input), or(r.AudioInput, r.Input)
	w.CacheWriteLong = or(r.CacheWriteLong, w.CacheWrite)
	w.Reasoning, w.AudioOutput = or(r.Reasoning, r.Output), or(r.AudioOutput, r.Output)
	return w
}

// over lays a tier's rates over those beneath it.
func (r *Rates) over(base *Rates) Rates {
	w := *r
	w.Input, w.Output = or(r.Input, base.Input), or(r.Output, base.Output)
	w.Images, w.Requests = or(r.Images, base.Images), or(r.Requests, base.Requests)
	inherit := func(own *money.PerMillion, beneath, parent money.PerMillion) {
		if *own <= 0 {
			*own = max(beneath, parent)
		}
	}
	inherit(&w.CacheRead, base.CacheRead, w.Input)
	inherit(&w.CacheWrite, base.CacheWrite, w.Input)
	inherit(&w.CacheWriteLong, base.CacheWriteLong, w.CacheWrite)
	inherit(&w.AudioInput, base.AudioInput, w.Input)
	inherit(&w.Reasoning, base.Reasoning, w.Output)
	inherit(&w.AudioOutput, base.AudioOutput, w.Output)
	return w
}

func (r *Rates) dearer(o *Rates) Rates {
	return Rates{
		Input: max(r.Input, o.Input), CacheRead: max(r.CacheRead, o.CacheRead), CacheWrite: max(r.CacheWrite, o.CacheWrite),
		CacheWriteLong: max(r.CacheWriteLong, o.CacheWriteLong), AudioInput: max(r.AudioInput, o.AudioInput), Output: max(r.Output, o.Output),
		Reasoning: max(r.Reasoning, o.Reasoning), AudioOutput: max(r.AudioOutput, o.AudioOutput), Images: max(r.Images, o.Images), Requests: max(r.Requests, o.Requests),
	}
}

// cost is the sum of the buckets, each rounded up to the next nano-dollar. The rates are whole.
func (r *Rates) cost(u *Usage) money.Nanos {
	return r.Input.Cost(u.Input).
		Add(r.CacheRead.Cost(u.CacheRead)).
		Add(r.CacheWrite.Cost(u.CacheWrite)).
		Add(r.CacheWriteLong.Cost(u.CacheWriteLong)).
		Add(r.AudioInput.Cost(u.AudioInput)).
		Add(r.Output.Cost(u.Output)).
		Add(r.Reasoning.Cost(u.Reasoning)).
		Add(r.AudioOutput.Cost(u.AudioOutput)).
		Add(r.Images.Cost(u.Images)).
		Add(r.Requests.Cost(1))
}
