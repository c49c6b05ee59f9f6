package builtin

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Refusal is the whole answer where no sentence of the passages supports one.
const Refusal = "Not found in the documents."

// noPassages answers a chat that brings nothing to answer from.
const noPassages = "This is Airfield's builtin answerer, not a language model. It can only answer a question from passages that are given with it, and there are none here."

const (
	maxSentences  = 3      // of an answer
	maxCandidates = 20_000 // sentences that are looked at; passages beyond are not
)

// Answerer composes answers from sentences of the passages it is given, and from nothing else.
type Answerer struct {
	words lexicon
}

// NewAnswerer makes the answerer. It may be used from many goroutines.
func NewAnswerer() *Answerer { return &Answerer{words: newLexicon()} }

// answer returns the answer or Refusal, and whether maxTokens (0: no bound) cut it short.
func (a *Answerer) answer(text string, passages []passage, maxTokens int) (out string, cut bool) {
	q := a.readQuestion(text)
	if !slices.ContainsFunc(q.terms, func(t term) bool { return !t.number }) {
		return Refusal, false // about nothing, or numbers of nothing
	}
	list := a.candidates(q, passages)
	q.weigh(list)
	var fit []*candidate
	for _, c := range list {
		if a.supports(c, q) {
			fit = append(fit, c)
		}
	}
	slices.SortStableFunc(fit, func(x, y *candidate) int { return cmp.Compare(y.score, x.score) })
	return compose(fit, passages, maxTokens)
}

// compose writes the best sentence and what stands beside it, each with its citation.
func compose(fit []*candidate, passages []passage, maxTokens int) (out string, cut bool) {
	var parts []string
	said := map[string]bool{}
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
			said[c.before.text] = true
			text = c.before.text + " " + text // who "they" are
		}
		n := Tokens(text) + 1
		if maxTokens > 0 && tokens+n > maxTokens {
			if cut = true; len(parts) > 0 {
				break
			}
			text = firstWords(text, maxTokens-1)
		}
		tokens += n
		parts = append(parts, markerless(text)+" ["+strconv.Itoa(passages[c.passage].n)+"]")
	}
	if len(parts) == 0 {
		return Refusal, cut
	}
	return strings.Join(parts, " "), cut
}

var marker = regexp.MustCompile(`\[(\d[\d, ]*)\]`)

// markerless writes a sentence on one line, its own numbers in brackets as numbers in parentheses: they are references
// of its document, and must not pass for citations of ours.
func markerless(text string) string {
	return marker.ReplaceAllString(strings.Join(strings.Fields(text), " "), "($1)")
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
