package builtin

import (
	"slices"
	"strings"
)

// cue is what kind of thing a question asks for: a sentence without one does not answer it.
type cue int

const (
	anything cue = iota
	person       // who
	moment       // when, how often
	amount       // how much: a share, a quantity
	money        // how much, of a cost
	count        // how many, how long
)

// term is one thing a question is about.
type term struct {
	stem   string
	folded string
	number bool
	exact  bool    // a name or a number: nothing else will do
	light  float64 // 1, less for words that questions are padded with
	weight float64 // its share of the question
	known  bool    // some sentence has it
}

const maxTerms = 64 // of a question; what follows is not looked at

type question struct {
	cue     cue
	counted int // how many of which term; -1 where that is not asked
	terms   []term
	negated bool
}

// readQuestion finds what is asked for and which words say about what. Question words themselves are no terms.
func (a *Answerer) readQuestion(text string) *question {
	var list []word
	words(text, func(w word) { list = append(list, w) })
	q, asked := &question{counted: -1}, false
	// Where every noun has a capital, or every letter is one, a capital makes no name.
	seen, shouted := set{}, strings.ToUpper(text) == text
	names := !shouted && !german(list)
	for i, w := range list {
		if len(q.terms) == maxTerms {
			break
		}
		next := ""
		if i+1 < len(list) {
			next = list[i+1].folded
		}
		q.negated = q.negated || a.words.negations[w.folded]
		if c, both := cueOf(w.folded, next); !asked && (c != anything || a.words.interrogatives[w.folded]) {
			// Only the first says what is asked for: a later "when" begins a condition.
			q.cue, asked = c, true
			if both {
				list[i+1].folded = "how"
				if next == "many" || next == "viele" {
					q.counted = len(q.terms) // the one that follows
				}
			}
			continue
		}
		if a.words.stop[w.folded] && !a.words.units[w.folded] || len(w.folded) == 1 && !w.number {
			continue
		}
		t := term{stem: stem(w.folded), folded: w.folded, number: w.number, light: 1}
		// A capital that does not begin the sentence, a code such as NL-204 and a number name one thing and no other.
		capitals := strings.ToUpper(text[w.start:w.end]) == text[w.start:w.end]
		t.exact = w.number || names && w.capital && i > 0 || !shouted && capitals && len(w.folded) > 1
		if a.words.padding[w.folded] {
			t.light = 0.3
		}
		if (q.cue == amount || q.cue == money) && a.words.synonyms(t.stem, "cost") {
			q.cue, t.light = money, 0.3 // "how much does it cost": the amount itself says that
		}
		if !seen[t.stem] {
			seen[t.stem] = true
			q.terms = append(q.terms, t)
		}
	}
	return q
}

// german reports whether a question has one of the words that German questions have.
func german(list []word) bool {
	return slices.ContainsFunc(list, func(w word) bool {
		return slices.Contains([]string{"der", "das", "dem", "den", "ein", "eine", "einen", "einer", "ist", "sind", "wird", "wie", "wann", "welche", "welcher", "welches", "fur", "und"}, w.folded)
	})
}

// cueOf reads a question word; both says that the next word belongs to it.
func cueOf(w, next string) (c cue, both bool) {
	switch w {
	case "who", "whom", "whose", "wer", "wem", "wen", "qui", "quien", "quienes":
		return person, false
	case "when", "wann", "quand", "cuando":
		return moment, false
	case "cuanto", "cuanta", "combien", "wieviel":
		return amount, false
	case "cuantos", "cuantas", "wieviele":
		return count, false
	case "how", "wie":
		switch next {
		case "much", "viel", "hoch", "high", "expensive", "teuer":
			return amount, true
		case "many", "viele", "long", "lange", "far", "fast", "soon", "quickly", "old", "heavy", "schnell":
			return count, true
		case "often", "oft":
			return moment, true // every week, twice a year
		}
	case "what", "which":
		switch next {
		case "date", "year", "day", "month", "time":
			return moment, true
		case "price", "cost", "fee", "amount", "percentage", "rate":
			return amount, false
		}
	}
	return anything, false
}

// answers reports whether a sentence holds the kind of thing that is asked for.
func (l lexicon) answers(c cue, s string) bool {
	switch c {
	case anything:
		return true
	case person:
		return l.hasPerson(s)
	case moment:
		return l.hasMoment(s)
	case money:
		return l.hasMoney(s)
	}
	found := false
	words(s, func(w word) { found = found || w.number || l.numerals[w.folded] })
	return found
}

// hasMoney looks for a currency or a share beside a number.
func (l lexicon) hasMoney(s string) bool {
	number, unit := false, strings.ContainsAny(s, "€$£¥%")
	words(s, func(w word) {
		number = number || w.number
		unit = unit || l.currencies[w.folded]
	})
	return number && unit
}

// hasMoment looks for a date, a time or a span of time.
func (l lexicon) hasMoment(s string) bool {
	found := false
	words(s, func(w word) {
		switch {
		case w.number:
			rest := s[w.end:]
			found = found || len(w.folded) == 4 && (strings.HasPrefix(w.folded, "19") || strings.HasPrefix(w.folded, "20")) ||
				len(rest) > 1 && rest[0] == ':' && isDigit(rune(rest[1])) || strings.Count(w.folded, ".") == 2
		default:
			found = found || l.times[w.folded] || l.units[w.folded]
		}
	})
	return found
}

// hasPerson looks for two capitalised words in a row, or a word for an office.
func (l lexicon) hasPerson(s string) bool {
	run, found, last := 0, false, 0
	words(s, func(w word) {
		if strings.TrimSpace(s[last:w.start]) != "" {
			run = 0
		}
		switch {
		case w.capital && w.end-w.start > 1:
			run++
		case !l.particles[w.folded]:
			run = 0
		}
		found = found || run >= 2 || l.roles[w.folded]
		last = w.end
	})
	return found
}
