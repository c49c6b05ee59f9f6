package gateway

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// marks are what of a text its vector may not show: a vector knows what a text is about, not which way round. Texts are
// compared by their vectors only where their marks agree.
type marks struct {
	strict string   // in the order in which they stand: numbers with their units, signs, turning words, what is in quotes, names
	words  []string // the others, but for those that carry nothing
}

// mostWords are those of a text in which one other word shows in the vector: the longer a text, the less it does.
const mostWords = 12

// agree reports whether two texts say the same where it counts: the strict marks are the same, and the words that both
// have stand in the same order, so that from Rome to Paris is not from Paris to Rome. Long texts have the same words.
func (m *marks) agree(o *marks) bool {
	if m.strict != o.strict {
		return false
	}
	if max(len(m.words), len(o.words)) > mostWords {
		return slices.Equal(m.words, o.words)
	}
	return slices.Equal(common(m.words, o.words), common(o.words, m.words))
}

// common are those of a's words that b has too.
func common(a, b []string) []string {
	has := make(map[string]bool, len(b))
	for _, w := range b {
		has[w] = true
	}
	var both []string
	for _, w := range a {
		if has[w] {
			both = append(both, w)
		}
	}
	return both
}

// turning are words that turn a meaning round, or name another thing of the same kind: negations, quantities, directions,
// opposites, numbers, persons and what is asked for. The languages are English, German, French and Spanish.
var turning = wordSet(`
	not no never none nothing nobody nowhere neither nor without cannot except unless excluding hardly only
	nicht kein keine keinen keinem keiner keines nie niemals nichts ohne weder ausser außer nur
	dont cant wont isnt arent wasnt werent doesnt didnt hasnt havent couldnt shouldnt wouldnt or oder ou
	non senza mai nessuno não nem sem nunca nadie niet geen nooit zonder inte ikke ingen utan uden uten nie nikdy bez ei değil yok
	ne pas jamais sans rien aucun aucune sauf seulement
	nunca jamás sin nada ningún ninguno ninguna excepto tampoco solo sólo
	where when who whom whose why how which much many
	wo wann wer wen wem wessen warum wieso wie welche welcher welches wohin woher
	où quand qui pourquoi comment combien quel quelle dónde cuándo quién cómo cuánto cuál
	my your his her our their mein meine dein deine sein seine ihr ihre unser unsere mon ma mes ton ta tes son sa ses notre votre leur su sus tu tus mi mis
	he she they we you er sie wir
	all any some every each both either few most least more less fewer half
	before after since until during now today yesterday tomorrow daily weekly monthly yearly
	off out up down above below over under inside outside from with against must should may will was were did
	enable disable enabled disabled allow deny forbid grant revoke add remove create delete open close start stop begin end
	increase decrease raise lower buy sell send receive import export install uninstall upgrade downgrade encrypt decrypt accept reject
	minimum maximum min max first last next previous old new best worst cheapest dearest highest lowest yes true false
	zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty
	thirty forty fifty sixty seventy eighty ninety hundred thousand million billion third quarter double twice once second fourth fifth
	null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig dreißig hundert tausend halb
	vor nach seit bis mehr weniger alle jeder ein aus mit auf zu
	avant après plus moins avec deux trois quatre cinq six sept huit neuf dix vingt trente cent mille
	antes después más menos con uno dos tres cuatro cinco seis siete ocho nueve diez veinte treinta cien mil
`)

// tiny are the words of one or two letters that carry nothing; all others turn.
var tiny = wordSet(`a an i is do it of be am so to me hi oh ok es im la le de un el du il`)

// empty are words whose order says nothing.
var empty = wordSet(`the and are can could would does have has had for its that this there here please tell what know want need like about
	der die das den dem des und ist sind hat haben kann bitte was eine einen les des est sont que qué los las una por para`)

func wordSet(text string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(text) {
		set[word] = true
	}
	return set
}

// marksOf reads the marks of a text.
func marksOf(text string) marks {
	var m marks
	var strict strings.Builder
	add := func(mark string) {
		strict.WriteString(mark)
		strict.WriteByte(0)
	}
	for _, quoted := range quotesIn(text) {
		add("“" + quoted)
	}
	begins, counted := true, false // a sentence begins; a number stands before
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("()[]{};\"`“”„«»", r) }) {
		ends := strings.ContainsAny(word[len(word)-1:], ".:!?")
		bare := strings.Trim(word, ".:!?'*_-/,")
		small := strings.ToLower(strings.ReplaceAll(bare, "’", "'"))
		number := strings.ContainsFunc(word, unicode.IsDigit)
		switch {
		case number || bare == "" || strings.ContainsFunc(bare, sign):
			add(strings.ToLower(strings.TrimRight(word, ".:!?,'"))) // with what stands before it: -5 is not 5
		case counted || utf8.RuneCountInString(small) < 3 && !tiny[small] || turning[small] || strings.HasSuffix(small, "n't") || strings.ContainsFunc(bare, foreign):
			add(small)
		case bare != "I" && !strings.HasPrefix(bare, "I'") && capitals(bare) > 0 && (!begins || capitals(bare) > 1):
			add(small) // a name
		case utf8.RuneCountInString(small) > 2 && !empty[small]:
			m.words = append(m.words, small)
		}
		begins, counted = ends || begins && bare == "", number && !ends
	}
	m.strict = strict.String()
	return m
}

// sign reports whether a character is one that reckons, or belongs to a name such as C#.
func sign(r rune) bool { return unicode.IsSymbol(r) || strings.ContainsRune("%&#@*/\\", r) }

// foreign reports whether a character is of a script of whose words the lists know nothing, or which has no spaces.
func foreign(r rune) bool { return unicode.IsLetter(r) && !unicode.Is(unicode.Latin, r) }

func capitals(word string) (n int) {
	for _, r := range word {
		if unicode.IsUpper(r) {
			n++
		}
	}
	return n
}

var closing = map[rune]rune{'"': '"', '`': '`', '“': '”', '„': '“', '«': '»'}

// quotesIn lists what a text has in quotes.
func quotesIn(text string) (list []string) {
	end, from := rune(0), 0
	for i, r := range text {
		switch {
		case end == 0 && closing[r] != 0:
			end, from = closing[r], i+len(string(r))
		case end != 0 && r == end:
			list = append(list, text[from:i])
			end = 0
		}
	}
	return list
}
