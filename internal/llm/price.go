package llm

import "airfield/internal/money"

// Price is what one deployment charges, in nano-dollars per million units. A bucket without a price of its own
// is charged as the bucket it belongs to: cache reads and writes as input, reasoning as output.
type Price struct {
	ID         string           `json:"id"`
	Input      money.PerMillion `json:"input"`
	CacheRead  money.PerMillion `json:"cache_read"`
	CacheWrite money.PerMillion `json:"cache_write"`
	Output     money.PerMillion `json:"output"`
	Reasoning  money.PerMillion `json:"reasoning"`
	Requests   money.PerMillion `json:"requests"`
}

// Cost is what the usage of one request costs at this price.
func (p Price) Cost(u Usage) money.Nanos {
	or := func(a, b money.PerMillion) money.PerMillion {
		if a > 0 {
			return a
		}
		return b
	}
	return p.Input.Cost(u.Input).
		Add(or(p.CacheRead, p.Input).Cost(u.CacheRead)).
		Add(or(p.CacheWrite, p.Input).Cost(u.CacheWrite)).
		Add(p.Output.Cost(u.Output)).
		Add(or(p.Reasoning, p.Output).Cost(u.Reasoning)).
		Add(p.Requests.Cost(1))
}
