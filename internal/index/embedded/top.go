package embedded

import (
	"cmp"
	"slices"
)

// scored is a row with what it is worth.
type scored struct {
	row   uint32
	score float32
}

// top keeps the best rows seen: a heap with the worst of them on top. Of equals the lower row is the better.
type top struct {
	limit int
	floor float32 // what a score must exceed to be looked at
	heap  []scored
}

func newTop(limit int) *top { return &top{limit: limit, heap: make([]scored, 0, limit)} }

func worse(a, b scored) bool { return a.score < b.score || a.score == b.score && a.row > b.row }

// add takes a row in if it is among the best. The caller has compared its score with the floor.
func (t *top) add(row uint32, score float32) {
	s := scored{row, score}
	if len(t.heap) < t.limit {
		t.heap = append(t.heap, s)
		for i := len(t.heap) - 1; i > 0; {
			parent := (i - 1) / 2
			if !worse(t.heap[i], t.heap[parent]) {
				break
			}
			t.heap[i], t.heap[parent] = t.heap[parent], t.heap[i]
			i = parent
		}
	} else if worse(t.heap[0], s) {
		t.heap[0] = s
		for i := 0; ; {
			child := 2*i + 1
			if child >= len(t.heap) {
				break
			}
			if r := child + 1; r < len(t.heap) && worse(t.heap[r], t.heap[child]) {
				child = r
			}
			if !worse(t.heap[child], t.heap[i]) {
				break
			}
			t.heap[i], t.heap[child] = t.heap[child], t.heap[i]
			i = child
		}
	}
	if len(t.heap) == t.limit {
		t.floor = t.heap[0].score
	}
}

// sorted returns the rows, best first.
func (t *top) sorted() []scored {
	slices.SortFunc(t.heap, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.row, b.row))
	})
	return t.heap
}
