package llm

import (
	"math"

	"airfield/internal/money"
)

// Most is the most that a request can cost whose usage has at most as many prompt tokens, completion tokens, images,
// characters and seconds as caps; how caps divides them into buckets does not matter. It is a bound for every way a provider may divide and
// bill them: whatever is cached, written, audio or reasoning, whichever context tier is reached. A request for a named
// service tier may be given the usual one; one that leaves the tier to the provider ("", auto), or names one without a
// price, may be given any.
func (p *Price) Most(service string, caps Usage) money.Nanos {
	most := p.mostOf(nil, &caps)
	if s, ok := p.Services[service]; ok {
		return max(most, p.mostOf(&s, &caps))
	}
	if Usual(service) && service != "" && service != "auto" {
		return most
	}
	for _, s := range p.Services {
		most = max(most, p.mostOf(&s, &caps))
	}
	return most
}

// mostOf is the dearest of the context tiers within reach: a shorter prompt may cost more where a tier is cheaper.
func (p *Price) mostOf(s *Service, caps *Usage) money.Nanos {
	tiers := p.Context
	if s != nil && len(s.Context) > 0 {
		tiers = s.Context
	}
	prompt, most := caps.Prompt(), money.Nanos(0)
	for i := -1; i < len(tiers); i++ {
		from, to := int64(0), int64(math.MaxInt64)
		if i >= 0 {
			from = tiers[i].Above + 1
		}
		if i+1 < len(tiers) {
			to = tiers[i+1].Above
		}
		if from > prompt {
			break
		}
		r := p.at(s, from)
		most = max(most, r.most(min(prompt, to), caps.Completion()).Add(r.pieces(caps)))
	}
	return most
}

// most charges all tokens at the dearest rate of their direction. The rates are whole.
func (r *Rates) most(prompt, completion int64) money.Nanos {
	in := [...]money.PerMillion{r.Input, r.CacheRead, r.CacheWrite, r.CacheWriteLong, r.AudioInput, r.ImageInput}
	out := [...]money.PerMillion{r.Output, r.Reasoning, r.AudioOutput}
	return bound(in[:], prompt).Add(bound(out[:], completion)).Add(r.Requests.Cost(1))
}

// pieces charges what is not counted in tokens.
func (r *Rates) pieces(caps *Usage) money.Nanos {
	return r.Images.Cost(max(caps.Images, 0)).Add(r.Characters.Cost(max(caps.Characters, 0))).Add(r.Seconds.Cost(max(caps.Seconds, 0)))
}

// bound is no less than any sum of buckets that share the tokens, though each of them is rounded up: a bucket whose
// rate is a whole number of nano-dollars a token rounds nothing, and each of the k others adds less than one, so that
// their sum, a whole number, is at most the unrounded cost at the dearest rate, rounded up, plus k - 1.
func bound(rates []money.PerMillion, tokens int64) money.Nanos {
	dearest, rounded := money.PerMillion(0), int64(0)
	for _, r := range rates {
		dearest = max(dearest, r)
		if r > 0 && r%1_000_000 != 0 {
			rounded++
		}
	}
	return dearest.Cost(tokens).Add(money.Nanos(max(min(rounded, tokens)-1, 0)))
}
