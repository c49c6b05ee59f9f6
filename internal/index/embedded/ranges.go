package embedded

import (
	"cmp"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// maxRun bounds a sorted run, and with it the cost of an insertion.
const maxRun = 512

// point is a number that a document has.
type point struct {
	value    float64
	document uint32
}

func comparePoints(a, b point) int {
	return cmp.Or(cmp.Compare(a.value, b.value), cmp.Compare(a.document, b.document))
}

// ranges holds the numbers of one attribute in order, in runs of bounded length.
type ranges struct{ runs [][]point }

// run returns the index of the run that holds, or would hold, a point.
func (r *ranges) run(p point) int {
	i, _ := slices.BinarySearchFunc(r.runs, p, func(run []point, p point) int { return comparePoints(run[len(run)-1], p) })
	return i
}

func (r *ranges) add(p point) {
	i := r.run(p)
	if i == len(r.runs) {
		if i == 0 || len(r.runs[i-1]) >= maxRun {
			r.runs = append(r.runs, []point{p})
			return
		}
		i--
	}
	at, found := slices.BinarySearchFunc(r.runs[i], p, comparePoints)
	if found {
		return
	}
	r.runs[i] = slices.Insert(r.runs[i], at, p)
	if n := len(r.runs[i]); n > maxRun {
		right := slices.Clone(r.runs[i][n/2:])
		r.runs[i] = r.runs[i][:n/2]
		r.runs = slices.Insert(r.runs, i+1, right)
	}
}

func (r *ranges) remove(p point) {
	i := r.run(p)
	if i == len(r.runs) {
		return
	}
	if at, found := slices.BinarySearchFunc(r.runs[i], p, comparePoints); found {
		r.runs[i] = slices.Delete(r.runs[i], at, at+1)
		if len(r.runs[i]) == 0 {
			r.runs = slices.Delete(r.runs, i, i+1)
		}
	}
}

func (r *ranges) empty() bool { return len(r.runs) == 0 }

// between adds the documents whose number lies between low and high, both included, to out.
func (r *ranges) between(low, high float64, out *roaring.Bitmap) {
	for i := r.run(point{low, 0}); i < len(r.runs) && r.runs[i][0].value <= high; i++ {
		for _, p := range r.runs[i] {
			if p.value >= low && p.value <= high {
				out.Add(p.document)
			}
		}
	}
}
