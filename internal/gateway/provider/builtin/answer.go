package builtin

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Refusal is the whole answer where no sentence of the passages supports one.
const Refusal = "Not found in the documents."

// noPassages answers a chat that brings nothing to answer from.
const noPassages = "This is Airfield's builtin answerer, not a language model. It can only answer a question from passages that are given with it, and there are none here."

// How much of a question a sentence must account for, and what counts how much. Tuned on the questions of
// examples/questions.yaml; the refusals there are what keeps the bar up.
const (
	bar          = 0.62 // of the weight of the question's terms
	ownBar       = 0.22 // of it, in the sentence itself rather than around it
	rowBar       = 0.12 // the same for a row of a table: its table is named around it
	inKin        = 0.8  // a word of the same kin
	inHeading    = 0.8  // in the heading or the line that leads into a list
	inDocument   = 0.7  // in the document's title
	inNeighbour  = 0.5  // in the sentence before
	inReferred   = 0.9  // the same where the sentence begins with "it", "they" and the like
	inPassage    = 0.45 // anywhere in the passage
	nameInIt     = 0.7  // the same for a name or number
	unknown      = 0.8  // the weight of a word that no sentence has: it may be only another way to say it
	whole        = 0.75 // of the question in the heading alone: then what stands under it answers
	denied       = 0.93 // the rank of a sentence that denies what was not asked in the negative
	alike        = 0.9  // a word that begins with the same letters
	shortAlike   = 0.6  // the same with four of them
	besides      = 0.95 // of the best score, for a further sentence
	maxSentences = 3
)

// Answerer composes answers from sentences of the passages it is given, and from nothing else.
type Answerer struct {
	words lexicon
}

// NewAnswerer makes the answerer. It may be used from many goroutines.
func NewAnswerer() *Answerer { return &Answerer{words: newLexicon()} }

// candidate is a sentence with what it has of the question.
type candidate struct {
	sentence
	own    set // stems
	led    set // of the line that leads into it
	denies bool
	refers bool // to the sentence before it, by a pronoun
	score  float64
}

// answer returns the text, whether it was found, and whether maxTokens cut it short.
func (a *Answerer) answer(text string, passages []passage, maxTokens int) (out string, cut bool) {
	q := a.readQuestion(text)
	if !slices.ContainsFunc(q.terms, func(t term) bool { return !t.number }) {
		return Refusal, false // about nothing, or numbers of nothing
	}
	list := a.candidates(passages)
	around, known := make([]surroundings, len(passages)), set{}
	for i, p := range passages {
		around[i] = surroundings{heading: a.stems(p.heading), last: a.stems(p.heading[strings.LastIndex(p.heading, " > ")+1:]), document: a.stems(p.document), passage: a.stems(p.text), known: known}
	}
	for _, t := range q.terms {
		known[t.stem] = slices.ContainsFunc(list, func(c candidate) bool { return a.grade(t, c.own) > 0 })
	}
	weights := a.weights(q, list, around)
	var fit []*candidate
	for i := range list {
		if c := &list[i]; a.judge(c, q, weights, around[c.passage], list) {
			c.score -= 0.004 * float64(c.passage) // the order of the passages decides between equals
			fit = append(fit, c)
		}
	}
	slices.SortStableFunc(fit, func(x, y *candidate) int { return cmp.Compare(y.score, x.score) })
	return compose(fit, list, passages, maxTokens)
}

// surroundings are the stems around the sentences of one passage.
type surroundings struct {
	heading, document, passage set
	last                       set // of the heading's path, the heading itself
	known                      set // the question's stems that any sentence has
}

func (a *Answerer) candidates(passages []passage) (list []candidate) {
	for i, p := range passages {
		first := len(list)
		for _, s := range sentences(i, p.text) {
			if s.previous >= 0 {
				s.previous += first
			}
			c := candidate{sentence: s, own: a.stems(s.text), led: a.stems(s.context)}
			words(s.text, func(w word) { c.denies = c.denies || a.words.negations[w.folded] })
			c.refers = s.previous >= 0 && !s.record && a.words.pronouns[firstWord(s.text)]
			list = append(list, c)
		}
	}
	return list
}

func (a *Answerer) stems(text string) set {
	set := set{}
	words(text, func(w word) {
		if st := stem(w.folded); !a.words.stop[w.folded] || a.words.units[w.folded] || a.words.kin[st] != 0 {
			set[st] = true
		}
	})
	return set
}

// weights are the terms' shares of the question: a term that few sentences have says more than one that all have
// (the inverse document frequency of BM25, over the sentences at hand).
func (a *Answerer) weights(q question, list []candidate, around []surroundings) []float64 {
	out := make([]float64, len(q.terms))
	sum, n := 0.0, float64(len(list))
	for i, t := range q.terms {
		df := 0.0
		for _, c := range list {
			if a.grade(t, c.own) > 0 || a.grade(t, around[c.passage].heading) > 0 || a.grade(t, around[c.passage].document) > 0 {
				df++
			}
		}
		out[i] = t.light * (0.5 + math.Log(1+(n-df+0.5)/(df+0.5))/math.Log(2+2*n))
		if df == 0 && !t.exact {
			out[i] *= unknown
		}
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// grade is how well a set of stems has a term: the word itself, one that begins alike (inflection that stemming left),
// or one of its kin.
func (a *Answerer) grade(t term, set set) float64 {
	if set[t.stem] {
		return 1
	}
	if a.words.units[t.folded] {
		for s := range set {
			if a.words.units[s] {
				return alike // days may be told in weeks
			}
		}
		return 0
	}
	if t.exact {
		return 0
	}
	best := 0.0
	for s := range set {
		short := min(len(s), len(t.stem))
		if short >= 4 && s[:short] == t.stem[:short] {
			switch more := max(len(s), len(t.stem)) - short; {
			case short >= 5 && more <= 4, a.words.suffixes[s[short:]], a.words.suffixes[t.stem[short:]]:
				return alike
			case more <= 2:
				best = max(best, shortAlike)
			}
		}
		if a.words.synonyms(s, t.stem) {
			best = max(best, inKin)
		}
	}
	return best
}

// judge scores a sentence and reports whether it supports an answer.
func (a *Answerer) judge(c *candidate, q question, weights []float64, around surroundings, list []candidate) bool {
	if !a.words.answers(q.cue, c.text) || strings.HasSuffix(c.text, "?") || c.repeats(around) {
		return false
	}
	own, above := 0.0, 0.0
	for i, t := range q.terms {
		inside := a.grade(t, c.own)
		got := max(inside, inHeading*a.grade(t, c.led), inHeading*a.grade(t, around.heading), inDocument*a.grade(t, around.document))
		if c.previous >= 0 && !c.record {
			before := inNeighbour
			if c.refers {
				before = inReferred
			}
			anywhere := inPassage
			if t.exact {
				anywhere = nameInIt
			}
			got = max(got, before*a.grade(t, list[c.previous].own), anywhere*a.grade(t, around.passage))
		}
		// Without a name or number that is asked for it is about something else, and so is a row that lacks a word
		// which other sentences have.
		if got == 0 && (t.exact || c.record && t.light == 1 && around.known[t.stem]) {
			return false
		}
		if i == q.counted && !a.counts(c.text, t) {
			return false
		}
		c.score += weights[i] * got
		own += weights[i] * inside
		above += weights[i] * max(a.grade(t, around.last), a.grade(t, c.led))
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
	return true
}

// counts reports whether a sentence tells a number of a thing: at most two words before it, or directly after it.
func (a *Answerer) counts(text string, t term) bool {
	found, lastNumber, lastThing := false, -9, -9
	at := 0
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

// repeats reports whether a sentence says no more than the headings above it: a heading that stands in the text.
func (c *candidate) repeats(around surroundings) bool {
	for s := range c.own {
		if !around.heading[s] && !around.document[s] {
			return false
		}
	}
	return true
}

// compose writes the best sentence and what stands beside it, each with its citation.
func compose(fit []*candidate, list []candidate, passages []passage, maxTokens int) (out string, cut bool) {
	var parts []string
	said := set{}
	tokens := 0
	for _, c := range fit {
		if len(parts) == maxSentences || len(parts) > 0 && c.score < besides*fit[0].score {
			break
		}
		if said[c.text] {
			continue
		}
		said[c.text] = true
		text := c.text
		if c.refers {
			before := list[c.previous].text // who "they" are
			said[before] = true
			text = before + " " + text
		}
		n := Tokens(text) + 1
		if maxTokens > 0 && tokens+n > maxTokens {
			if cut = true; len(parts) > 0 {
				break
			}
			text = firstWords(text, maxTokens-1)
		}
		tokens += n
		parts = append(parts, strings.Join(strings.Fields(text), " ")+" ["+strconv.Itoa(passages[c.passage].n)+"]")
	}
	if len(parts) == 0 {
		return Refusal, cut
	}
	return strings.Join(parts, " "), cut
}

// Tokens counts as the builtin models do: one for each word or number.
func Tokens(text string) int {
	n := 0
	words(text, func(word) { n++ })
	return n
}

func firstWord(text string) (first string) {
	words(text, func(w word) {
		if first == "" {
			first = w.folded
		}
	})
	return first
}

// firstWords is the beginning of a text up to its n-th word.
func firstWords(text string, n int) string {
	end, seen := 0, 0
	words(text, func(w word) {
		if seen++; seen <= n {
			end = w.end
		}
	})
	return text[:end]
}
