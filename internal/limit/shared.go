package limit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/id"
	"airfield/internal/redis"
)

// Shared limits what all processes on one Redis do together. Redis's clock is the only one. While Redis is away each
// process applies the full limits to itself, knowing what it used before.
type Shared struct {
	redis   *redis.Client
	local   *Memory // counts what this process takes, from Redis too
	process string
	taken   atomic.Uint64

	mu   sync.Mutex
	owed []debt
}

//go:embed take.lua
var takeLua string

//go:embed correct.lua
var correctLua string

//go:embed release.lua
var releaseLua string

//go:embed state.lua
var stateLua string

var (
	takeScript    = redis.NewScript(takeLua)
	correctScript = redis.NewScript(correctLua)
	releaseScript = redis.NewScript(releaseLua)
	stateScript   = redis.NewScript(stateLua)
)

func rateKey(name string) string { return "limit:rate:" + name }
func slotKey(name string) string { return "limit:slot:" + name }

// elsewhere is how often those who wait for a slot try again, because another process does not say when it releases one.
const elsewhere = 100 * time.Millisecond

// NewShared returns a limiter on a Redis.
func NewShared(client *redis.Client) *Shared {
	s := &Shared{redis: client, local: NewMemory(), process: id.New("p")}
	client.OnChange(func(away bool, _ string) {
		if !away {
			go s.payAll()
		}
		go s.local.bell.ring() // there is other room now
	})
	return s
}

// OnRelease lets fn know whenever a slot or tokens may have come free.
func (s *Shared) OnRelease(fn func()) { s.local.OnRelease(fn) }

// Take takes from every ask, or says what had no room: in Redis, or where that is away in this process.
func (s *Shared) Take(ctx context.Context, asks []Ask, tokens int64, slot time.Duration) (*Taken, *Full, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	tokens = max(0, tokens)
	if full := never(asks, tokens); full != nil {
		return nil, full, nil
	}
	if slot <= 0 {
		slot = longest
	}
	g := &grip{limiter: s, asks: counting(asks)}
	if _, _, away := s.redis.Away(); away || len(g.asks) == 0 {
		return s.local.Take(ctx, asks, tokens, slot)
	}
	g.id = s.process + "." + strconv.FormatUint(s.taken.Add(1), 36)
	full, err := g.take(ctx, tokens, slot)
	switch {
	case full != nil:
		return nil, full, nil
	case err == nil:
		t, _ := s.local.take(asks, tokens, slot, true)
		t.shared = g
		return t, nil, nil
	case !errors.Is(err, redis.ErrAway):
		s.owe(g.debts()) // it may have happened
	}
	return s.local.Take(ctx, asks, tokens, slot)
}

// take runs the script and reads its answer.
func (g *grip) take(ctx context.Context, tokens int64, slot time.Duration) (*Full, error) {
	keys := make([]string, 0, 2*len(g.asks))
	args := make([]any, 0, 3+3*len(g.asks))
	args = append(args, tokens, max(slot, time.Millisecond).Microseconds(), g.id)
	for _, a := range g.asks {
		keys = append(keys, rateKey(a.Name), slotKey(a.Name))
		args = append(args, a.Rate.RequestsPerMinute, a.Rate.TokensPerMinute, a.Rate.Parallel)
	}
	answer, err := g.limiter.redis.Run(ctx, takeScript, keys, args...)
	if err != nil {
		return nil, err
	}
	list, _ := answer.([]any)
	if len(list) == 2+len(g.asks) && list[0] == int64(1) {
		g.at, _ = list[1].(int64)
		g.tops = make([]float64, len(g.asks))
		for i := range g.tops {
			text, _ := list[2+i].(string)
			if g.tops[i], err = strconv.ParseFloat(text, 64); err != nil {
				return nil, fmt.Errorf("read Redis's answer %v: %w", answer, err)
			}
		}
		return nil, nil
	}
	if len(list) != 5 {
		return nil, fmt.Errorf("redis answered %v", answer)
	}
	which, _ := list[1].(int64)
	unit, _ := list[2].(string)
	used, _ := list[3].(int64)
	wait, _ := list[4].(int64)
	if which < 1 || which > int64(len(g.asks)) {
		return nil, fmt.Errorf("redis answered %v", answer)
	}
	return g.limiter.full(g.asks[which-1], Unit(unit), used, tokens, time.Duration(wait)*time.Microsecond), nil
}

func (s *Shared) full(a Ask, unit Unit, used, tokens int64, wait time.Duration) *Full {
	f := &Full{Name: a.Name, Unit: unit, Used: used, Asked: 1}
	switch unit {
	case RequestsPerMinute:
		f.Limit = a.Rate.RequestsPerMinute
	case TokensPerMinute:
		f.Limit, f.Asked = a.Rate.TokensPerMinute, tokens
	default:
		f.Limit = a.Rate.Parallel
		s.local.bell.ringIn(elsewhere)
		return f
	}
	f.Free = time.Now().Add(wait)
	return f
}

// State reports what is used of each ask now: by all processes, or where Redis is away by this one.
func (s *Shared) State(ctx context.Context, asks []Ask) ([]Use, error) {
	if err := ctx.Err(); err != nil || len(asks) == 0 {
		return nil, err
	}
	keys, args := make([]string, 0, 2*len(asks)), make([]any, 0, 2*len(asks))
	for _, a := range asks {
		keys = append(keys, rateKey(a.Name), slotKey(a.Name))
		args = append(args, a.Rate.RequestsPerMinute, a.Rate.TokensPerMinute)
	}
	answer, err := s.redis.Run(ctx, stateScript, keys, args...)
	list, _ := answer.([]any)
	if err != nil || len(list) != 3*len(asks) {
		return s.local.State(ctx, asks)
	}
	uses := make([]Use, len(asks))
	for i := range uses {
		uses[i].Ask = asks[i]
		uses[i].Requests, _ = list[3*i].(int64)
		uses[i].Tokens, _ = list[3*i+1].(int64)
		uses[i].Parallel, _ = list[3*i+2].(int64)
	}
	return uses, nil
}

func counting(asks []Ask) []Ask {
	list := make([]Ask, 0, len(asks))
	for i, a := range asks {
		if counts(asks, i) {
			list = append(list, a)
		}
	}
	return list
}
