package builtin

import (
	"math"
	"strings"
)

// How much of a question a sentence must account for, and what counts how much. Chosen on the questions of
// examples/questions.yaml; those that must be refused are what keeps the bar up.
const (
	bar         = 0.62  // of the weight of the question's terms
	ownBar      = 0.22  // of it, in the sentence itself rather than around it
	rowBar      = 0.12  // the same for a row of a table: its table is named around it
	whole       = 0.75  // of it, in the heading alone: then what stands under that answers
	alike       = 0.9   // a word that begins with the same letters
	shortAlike  = 0.6   // the same with four of them
	inKin       = 0.8   // a word of the same kin
	inHeading   = 0.8   // in the heading or the line that leads into a list
	inDocument  = 0.7   // in the document's title
	inNeighbour = 0.5   // in the sentence before
	inReferred  = 0.9   // the same where the sentence begins with "it", "they" and the like
	inPassage   = 0.45  // anywhere in the passage
	nameInIt    = 0.7   // the same for a name or number
	unknown     = 0.8   // the weight of a word that no sentence has: it may be only another way to say it
	denied      = 0.93  // the rank of a sentence that denies what was not asked in the negative
	besides     = 0.95  // of the best score, for a further sentence
	rank        = 0.004 // what each passage counts less than the one before it, so that their order decides between equals
)

// candidate is a sentence with what it has of the question: grades from 0 to 1 by term.
type candidate struct {
	sentence
	own    []float64
	led    []float64    // of the line that leads into it
	before *candidate   // in the same passage, or nil
	around surroundings // of its passage
	denies bool
	refers bool // to the sentence before it, by a pronoun
	bare   bool // it says no more than the headings above it: a heading that stands in the text
	score  float64
}

// surroundings are the grades of what stands around the sentences of a passage.
type surroundings struct {
	heading, document, passage []float64
	last                       []float64 // of the heading's path, the heading itself
}

func (a *Answerer) candidates(q *question, passages []passage) (list []*candidate) {
	for i, p := range passages {
		heading, document := a.stems(p.heading), a.stems(p.document)
		around := surroundings{
			heading: a.grades(q, heading), document: a.grades(q, document), passage: a.grades(q, a.stems(p.text)),
			last: a.grades(q, a.stems(p.heading[strings.LastIndex(p.heading, " > ")+1:])),
		}
		var before *candidate
		for _, s := range sentences(i, p.text) {
			if len(list) == maxCandidates {
				return list
			}
			own := a.stems(s.text)
			c := &candidate{sentence: s, own: a.grades(q, own), led: a.grades(q, a.stems(s.context)), before: before, around: around, bare: true}
			for w := range own {
				c.bare = c.bare && (heading[w] || document[w])
			}
			words(s.text, func(w word) { c.denies = c.denies || a.words.negations[w.folded] })
			c.refers = before != nil && !s.record && a.words.pronouns[firstWord(s.text)]
			before = c
			list = append(list, c)
		}
	}
	return list
}

// stems is what a text is about. Units and words with kin stay even where they are mere grammar elsewhere ("most").
func (a *Answerer) stems(text string) set {
	out := set{}
	words(text, func(w word) {
		if s := stem(w.folded); !a.words.stop[w.folded] || a.words.units[w.folded] || a.words.kin[s] != 0 {
			out[s] = true
		}
	})
	return out
}

func (a *Answerer) grades(q *question, have set) []float64 {
	out := make([]float64, len(q.terms))
	for i, t := range q.terms {
		out[i] = a.grade(t, have)
	}
	return out
}

// grade is how well a set of stems has a term: the word itself, one that begins alike (inflection that stemming left),
// or one of its kin.
func (a *Answerer) grade(t term, have set) float64 {
	if have[t.stem] {
		return 1
	}
	if t.exact {
		return 0
	}
	best, unit := 0.0, a.words.units[t.folded]
	for s := range have {
		best = max(best, a.likeness(t, s, unit))
	}
	return best
}

func (a *Answerer) likeness(t term, s string, unit bool) float64 {
	if unit {
		if a.words.units[s] {
			return alike // days may be told in weeks
		}
		return 0
	}
	if short := min(len(s), len(t.stem)); short >= 4 && s[:short] == t.stem[:short] {
		more := max(len(s), len(t.stem)) - short
		if short >= 5 && more <= 4 || a.words.suffixes[s[short:]] || a.words.suffixes[t.stem[short:]] {
			return alike
		}
		if more <= 2 {
			return shortAlike
		}
	}
	if a.words.synonyms(s, t.stem) {
		return inKin
	}
	return 0
}

// weigh gives the terms their shares of the question: one that few sentences have says more than one that all have (the
// inverse document frequency of BM25, over the sentences at hand).
func (q *question) weigh(list []*candidate) {
	sum, n := 0.0, float64(len(list))
	for i := range q.terms {
		t := &q.terms[i]
		near := 0.0
		for _, c := range list {
			t.known = t.known || c.own[i] > 0
			if c.own[i] > 0 || c.around.heading[i] > 0 || c.around.document[i] > 0 {
				near++
			}
		}
		t.weight = t.light * (0.5 + math.Log(1+(n-near+0.5)/(near+0.5))/math.Log(2+2*n))
		if near == 0 && !t.exact {
			t.weight *= unknown
		}
		sum += t.weight
	}
	for i := range q.terms {
		q.terms[i].weight /= sum
	}
}

// supports scores a sentence and reports whether it answers the question.
func (a *Answerer) supports(c *candidate, q *question) bool {
	if c.bare || strings.HasSuffix(c.text, "?") || !a.words.answers(q.cue, c.text) {
		return false
	}
	own, above := 0.0, 0.0
	for i, t := range q.terms {
		got := c.has(i, t)
		// Without a name or number that is asked for it is about something else, and so is a row that lacks a word
		// which other sentences have.
		if got == 0 && (t.exact || c.record && t.light == 1 && t.known) || i == q.counted && !a.counts(c.text, t) {
			return false
		}
		c.score += t.weight * got
		own += t.weight * c.own[i]
		above += t.weight * max(c.around.last[i], c.led[i])
	}
	need := ownBar
	switch {
	case c.record:
		need = rowBar
	case above >= whole:
		need = 0
	}
	if c.score < bar || own < need {
		return false
	}
	if c.denies && !q.negated {
		c.score *= denied
	}
	c.score -= rank * float64(c.passage)
	return true
}

// has is how well a sentence, with what stands around it, has a term. A row stands for itself: what other rows of its
// table say is not said of it.
func (c *candidate) has(i int, t term) float64 {
	got := max(c.own[i], inHeading*max(c.led[i], c.around.heading[i]), inDocument*c.around.document[i])
	if c.record || c.before == nil {
		return got
	}
	neighbour, anywhere := inNeighbour, inPassage
	if c.refers {
		neighbour = inReferred
	}
	if t.exact {
		anywhere = nameInIt
	}
	return max(got, neighbour*c.before.own[i], anywhere*c.around.passage[i])
}

// counts reports whether a sentence tells a number of a thing: at most two words before it, or directly after it.
func (a *Answerer) counts(text string, t term) bool {
	found, at, lastNumber, lastThing := false, 0, -9, -9
	words(text, func(w word) {
		at++
		if w.number || a.words.numerals[w.folded] {
			found = found || at == lastThing+1
			lastNumber = at
		}
		if a.grade(t, set{stem(w.folded): true}) >= alike {
			found = found || at <= lastNumber+3
			lastThing = at
		}
	})
	return found
}
