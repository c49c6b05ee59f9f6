package limit

import (
	"context"
	"strconv"
)

// grip is what a call took in Redis.
type grip struct {
	limiter *Shared
	id      string
	at      int64     // Redis's time then
	asks    []Ask     // those that count
	tops    []float64 // how full each bucket of tokens was with the call on top
}

// correct passes on how many tokens were used, and reports whether some came free. Where Redis is away it is left out: the
// bucket empties within a minute.
func (g *grip) correct(reserved, used int64) (freed bool) {
	keys := make([]string, 0, len(g.asks))
	args := []any{reserved, used, g.at}
	for i, a := range g.asks {
		if a.Rate.TokensPerMinute > 0 {
			keys = append(keys, rateKey(a.Name))
			args = append(args, a.Rate.RequestsPerMinute, a.Rate.TokensPerMinute, strconv.FormatFloat(g.tops[i], 'g', 17, 64))
		}
	}
	if len(keys) == 0 {
		return false
	}
	n, err := g.limiter.redis.Run(context.Background(), correctScript, keys, args...)
	return err == nil && n != int64(0)
}

// release gives the slots back, now or when Redis is there again.
func (g *grip) release() {
	debts := g.debts()
	if len(debts) > 0 && g.limiter.pay(debts) != nil {
		g.limiter.owe(debts)
	}
}

func (g *grip) debts() (list []debt) {
	for _, a := range g.asks {
		if a.Rate.Parallel > 0 {
			list = append(list, debt{slotKey(a.Name), g.id})
		}
	}
	return list
}

// debt is a slot in Redis that is to be given back.
type debt struct{ key, id string }

// maxOwed bounds what is remembered for a Redis that is away; slots beyond it are free when their lease ends.
const maxOwed = 100_000

// owe remembers slots that could not be given back. Where Redis is back already nobody else would look at them.
func (s *Shared) owe(list []debt) {
	s.mu.Lock()
	s.owed = append(s.owed, list[:min(len(list), max(0, maxOwed-len(s.owed)))]...)
	s.mu.Unlock()
	if _, _, away := s.redis.Away(); !away {
		go s.payAll()
	}
}

// payAll gives back what is owed, and stops where Redis fails again: its next return calls it again.
func (s *Shared) payAll() {
	const portion = 500
	for {
		s.mu.Lock()
		n := min(portion, len(s.owed))
		list := s.owed[:n:n]
		if s.owed = s.owed[n:]; len(s.owed) == 0 {
			s.owed = nil
		}
		s.mu.Unlock()
		if n == 0 {
			return
		}
		if s.pay(list) != nil {
			s.mu.Lock()
			s.owed = append(s.owed, list...)
			s.mu.Unlock()
			return
		}
		s.local.bell.ring()
	}
}

func (s *Shared) pay(list []debt) error {
	keys, ids := make([]string, len(list)), make([]any, len(list))
	for i, d := range list {
		keys[i], ids[i] = d.key, d.id
	}
	_, err := s.redis.Run(context.Background(), releaseScript, keys, ids...)
	return err
}
