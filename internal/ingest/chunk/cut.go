package chunk

import (
	"math"
	"slices"
)

// cuts returns the indexes of the units that begin a new chunk, the first excepted.
//
// A boundary between two units is a cut when the hash of the unit before it is the least of all boundaries within half
// a target size on both sides (local-minimum chunking: Bjørner, Blass, Gurevich, "Content-dependent chunking for
// differential compression", 2010). Chunks are then at least half a target long and a target on average, and whether
// a boundary is a cut depends only on the text within half a target around it: an inserted sentence changes the chunk
// it is in, seldom a neighbour, never the rest, however long a paragraph is and wherever pages break. What is still
// longer than the maximum is cut again at its least boundary.
func cuts(cfg Config, units []unit) []int {
	n := len(units)
	at := make([]int, n+1) // tokens before unit i
	for i, u := range units {
		at[i+1] = at[i] + u.tokens
	}
	reach := cfg.Tokens / 2
	value := make([]uint64, n+1)
	for i := 1; i < n; i++ {
		if value[i] = weigh(cfg, units[i-1]); at[i] < reach || at[n]-at[i] < reach {
			value[i] = math.MaxUint64
		}
	}
	var out []int
	start := 0
	limit := pieceLimit(cfg, slices.ContainsFunc(units, func(u unit) bool { return u.header.end > 0 }))
	for i := 1; i <= n; i++ {
		if i < n && !least(value, at, i, reach) {
			continue
		}
		out = splitLong(cfg, out, units, at, start, i, limit, reach/2)
		if i < n {
			out = append(out, i)
		}
		start = i
	}
	return out
}

// weigh is a unit's claim to be the last of a chunk: its hash, less where a paragraph ends.
// By the strategy recursive it is least where a section ends; by the strategy sentences all ends are alike.
func weigh(cfg Config, u unit) uint64 {
	switch {
	case u.sticks:
		return math.MaxUint64
	case u.ends && cfg.Strategy == Recursive:
		return u.hash >> 8
	case u.closes && cfg.Strategy != Sentences:
		return u.hash >> 3
	}
	return u.hash >> 1
}

func least(value []uint64, at []int, i, reach int) bool {
	if value[i] == math.MaxUint64 {
		return false
	}
	for j := i - 1; j > 0 && at[i]-at[j] < reach; j-- {
		if value[j] <= value[i] {
			return false
		}
	}
	for j := i + 1; j < len(value)-1 && at[j]-at[i] < reach; j++ {
		if value[j] < value[i] {
			return false
		}
	}
	return true
}

// pieceLimit is the most tokens of its own a chunk may have, so that with what is repeated before it stays within Max.
func pieceLimit(cfg Config, table bool) int {
	most := cfg.Max - cfg.Overlap
	if table {
		most -= cfg.Tokens / 4 // the longest header that is repeated, see units
	}
	return max(most, cfg.Tokens/2)
}

// splitLong cuts the units from start to end until no part is above the limit.
func splitLong(cfg Config, out []int, units []unit, at []int, start, end, limit, margin int) []int {
	if at[end]-at[start] <= limit || end-start < 2 {
		return out
	}
	middle := (at[start] + at[end]) / 2
	best, bestValue, bestFar := 0, uint64(0), 0
	for i := start + 1; i < end; i++ {
		if at[i]-at[start] < margin || at[end]-at[i] < margin {
			continue
		}
		value, far := weigh(cfg, units[i-1]), max(at[i]-middle, middle-at[i])
		if best == 0 || value < bestValue || value == bestValue && far < bestFar {
			best, bestValue, bestFar = i, value, far
		}
	}
	if best == 0 { // all weight is at the ends
		best = start + 1
		for best+1 < end && at[best] < middle {
			best++
		}
	}
	out = splitLong(cfg, out, units, at, start, best, limit, margin)
	return splitLong(cfg, append(out, best), units, at, best, end, limit, margin)
}

// fixedCuts fills each chunk up to the target, wherever that falls. An inserted word moves every cut after it.
func fixedCuts(cfg Config, units []unit) (out []int) {
	room := cfg.Tokens
	if slices.ContainsFunc(units, func(u unit) bool { return u.header.end > 0 }) {
		room = min(room, pieceLimit(cfg, true))
	}
	tokens := 0
	for i, u := range units {
		if tokens > 0 && tokens+u.tokens > room {
			out, tokens = append(out, i), 0
		}
		tokens += u.tokens
	}
	return out
}
