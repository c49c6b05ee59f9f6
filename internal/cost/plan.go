package cost

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"time"

	"airfield/internal/llm"
)

// The kinds of a Difference.
const (
	isNew     = "new"
	isChanged = "changed"
	isSame    = "unchanged"
)

// Difference is what an imported row changes of what calls are charged.
type Difference struct {
	Kind  string `json:"kind" enum:"new,changed,unchanged"`
	Where string `json:"where" doc:"Its place in the file."`
	New   Row    `json:"new"`
	Old   *Quote `json:"old,omitempty" doc:"What was charged before."`

	write bool // it is not in the database as it is
}

// plan is what an import comes to.
type plan struct {
	rows  []Quote // what is kept of the database, with the ends that new rows put to older ones
	moved []Quote // of them, those whose end is another now
	gone  []Quote // that a new row replaces
	list  []Difference
	bad   []BadRow
}

// planImport finds what an import changes. A row that begins later than one that is there ends it; a row with the same
// beginning replaces it; one without an end ends where the next begins.
func planImport(p *Prices, known []Quote, rows []Placed) *plan {
	bad := []BadRow{}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b Placed) int { return a.From.Compare(b.From.Time) })
	for {
		out := attempt(p, known, rows)
		if len(out.bad) == 0 {
			out.bad = bad
			return out
		}
		bad = append(bad, out.bad...)
		refused := map[string]bool{}
		for _, b := range out.bad {
			refused[b.Where] = true
		}
		rows = slices.DeleteFunc(rows, func(r Placed) bool { return refused[r.Where] })
	}
}

func attempt(p *Prices, known []Quote, rows []Placed) *plan {
	out := &plan{rows: slices.Clone(known)}
	byName := map[name][]int{} // into out.rows
	for i, q := range out.rows {
		n := name{q.Provider, q.Model}
		byName[n] = append(byName[n], i)
	}
	replaced, moved := map[int]bool{}, map[int]bool{}
	var fresh []*Difference
	for _, r := range rows {
		n := name{r.Provider, r.Model}
		d := &Difference{Where: r.Where, New: r.Row, write: true}
		var before *int
		for _, i := range byName[n] {
			q := &out.rows[i]
			switch {
			case q.From.Equal(r.From.Time):
				before = &i
				if q.Until.Equal(r.Until.Time) || r.Until.IsZero() {
					d.New.Until = q.Until
					d.write = !q.charges(d.New)
				}
			case q.From.Before(r.From.Time) && (q.Until.IsZero() || r.From.Before(q.Until.Time)):
				before = &i
				ongoing := q.Row
				ongoing.From = r.From
				if r.Until.IsZero() {
					ongoing.Until = r.Until
				}
				if d.write = !ongoing.charges(r.Row); d.write {
					q.Until, moved[i] = r.From, true
				}
			case r.From.Before(q.From.Time) && d.New.Until.IsZero():
				d.New.Until = q.From
			case r.From.Before(q.From.Time) && q.From.Before(d.New.Until.Time):
				out.bad = append(out.bad, BadRow{r.Where, fmt.Sprintf("%s/%s has another price from %s on", r.Provider, r.Model, q.From.Format(time.DateOnly))})
				d.write = false
			}
		}
		if before != nil {
			old := known[*before]
			d.Old = &old
			replaced[*before] = d.write && old.From.Equal(r.From.Time)
		} else if q := p.charged(r.Provider, r.Model, r.From.Time); q != nil {
			d.Old = q
		}
		switch {
		case d.Old == nil:
			d.Kind = isNew
		case sameRates(d.Old.Row.price(""), r.Row.price("")):
			d.Kind = isSame
		default:
			d.Kind = isChanged
		}
		fresh = append(fresh, d)
	}
	kept := out.rows[:0:0]
	for i, q := range out.rows {
		switch {
		case replaced[i]:
			out.gone = append(out.gone, known[i])
			continue
		case moved[i]:
			out.moved = append(out.moved, q)
		}
		kept = append(kept, q)
	}
	out.rows = kept
	out.verify(fresh)
	return out
}

// verify refuses rows that give one name two prices at one time.
func (p *plan) verify(fresh []*Difference) {
	l := newLayer()
	for _, q := range p.rows {
		_ = l.add(q) // what cannot be used is passed over when it is loaded, too
	}
	for _, d := range fresh {
		if d.write {
			if err := l.add(Quote{Row: d.New, Layer: Imported}); err != nil {
				p.bad = append(p.bad, BadRow{d.Where, fmt.Sprintf("%s/%s: %s", d.New.Provider, d.New.Model, err)})
			}
		}
		p.list = append(p.list, *d)
	}
	slices.SortStableFunc(p.list, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.New.Provider, b.New.Provider), cmp.Compare(a.New.Model, b.New.Model), a.New.From.Compare(b.New.From.Time))
	})
}

// charged is what is charged now, or when a row begins to hold if that is later.
func (p *Prices) charged(provider, model string, from time.Time) *Quote {
	at := time.Now()
	if from.After(at) {
		at = from
	}
	found, ok := p.find(provider, model, at)
	if !ok {
		return nil
	}
	q := Quote{Row: RowOf(provider, model, found.price), ID: found.price.ID, Layer: found.layer}
	q.From, q.Until = Day{found.from}, Day{found.until}
	return &q
}

func sameRates(a, b llm.Price) bool {
	a.ID, b.ID = "", ""
	return reflect.DeepEqual(a, b)
}
