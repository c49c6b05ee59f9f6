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
	besides      = 0.92 // of the best score, for a further sentence
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
	own   set // stems
	led   set // of the line that leads into it
	score float64
}

// answer returns the text, whether it was found, and whether maxTokens cut it short.
func (a *Answerer) answer(text string, passages []passage, maxTokens int) (out string, cut bool) {
	q := a.readQuestion(text)
	if len(q.terms) == 0 {
		return Refusal, false
	}
	list := a.candidates(passages)
	around := make([]surroundings, len(passages))
	for i, p := range passages {
		around[i] = surroundings{heading: a.stems(p.heading), document: a.stems(p.document)}
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
	return compose(fit, passages, maxTokens)
}

type surroundings struct{ heading, document set }

func (a *Answerer) candidates(passages []passage) (list []candidate) {
	for i, p := range passages {
		first := len(list)
		for _, s := range sentences(i, p.text) {
			if s.previous >= 0 {
				s.previous += first
			}
			list = append(list, candidate{sentence: s, own: a.stems(s.text), led: a.stems(s.context)})
		}
	}
	return list
}

func (a *Answerer) stems(text string) set {
	set := set{}
	words(text, func(w word) {
		if !a.words.stop[w.folded] || a.words.units[w.folded] {
			set[stem(w.folded)] = true
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
	if t.exact {
		return 0
	}
	best := 0.0
	for s := range set {
		short := min(len(s), len(t.stem))
		if short >= 5 && s[:short] == t.stem[:short] && max(len(s), len(t.stem))-short <= 4 {
			return 0.9
		}
		if a.words.synonyms(s, t.stem) {
			best = inKin
		}
	}
	return best
}

// judge scores a sentence and reports whether it supports an answer.
func (a *Answerer) judge(c *candidate, q question, weights []float64, around surroundings, list []candidate) bool {
	if !a.words.answers(q.cue, c.text) || strings.HasSuffix(c.text, "?") {
		return false
	}
	own := 0.0
	for i, t := range q.terms {
		inside := a.grade(t, c.own)
		got := max(inside, inHeading*a.grade(t, c.led), inHeading*a.grade(t, around.heading), inDocument*a.grade(t, around.document))
		if c.previous >= 0 {
			got = max(got, inNeighbour*a.grade(t, list[c.previous].own))
		}
		if t.exact && got == 0 {
			return false
		}
		c.score += weights[i] * got
		own += weights[i] * inside
	}
	need := ownBar
	if c.record {
		need = rowBar
	}
	return c.score >= bar && own >= need
}

// compose writes the best sentence and what stands beside it, each with its citation.
func compose(fit []*candidate, passages []passage, maxTokens int) (out string, cut bool) {
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
		n := Tokens(c.text) + 1
		text := c.text
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
