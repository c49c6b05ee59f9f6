package builtin

import "strings"

// lexicon holds the words that the answerer knows something about, folded. They are few on purpose: what is not in
// here is matched as it is written.
type lexicon struct {
	stop           stopwords
	padding        set
	units          set // of time, as words and as stems
	times          set
	numerals       set
	currencies     set
	roles          set
	particles      set // of names
	interrogatives set
	negations      set
	pronouns       set            // that refer to the sentence before, at a sentence's beginning
	suffixes       set            // that make one word of another, as stemming leaves them
	kin            map[string]int // a stem's group
}

type set = map[string]bool

func newLexicon() lexicon {
	l := lexicon{
		stop: newStopwords(), padding: setOf(padding), units: setOf(units), times: setOf(times), numerals: setOf(numerals), currencies: setOf(currencies),
		roles: setOf(roles), particles: setOf(particles), interrogatives: setOf(interrogatives), negations: setOf(negations), pronouns: setOf(pronouns), suffixes: setOf(suffixes),
		kin: map[string]int{},
	}
	for w := range strings.FieldsSeq(units) {
		l.units[stem(w)] = true
	}
	for i, group := range strings.Split(kin, "·") {
		for w := range strings.FieldsSeq(group) {
			l.kin[stem(w)] = i + 1
		}
	}
	return l
}

func setOf(list string) set {
	s := set{}
	for w := range strings.FieldsSeq(list) {
		s[w] = true
	}
	return s
}

// synonyms reports whether two stems are of one kin.
func (l lexicon) synonyms(a, b string) bool { return l.kin[a] != 0 && l.kin[a] == l.kin[b] }

const (
	// padding are words that shape questions more than they say what is sought: they count, but little.
	padding = `allow allowed apply applies applied anybody become call called come company concern contain describe document documents exact
		exactly exist explain find happen happens happened hold include included mean means mention name named occur occurred offer period kind
		type length provide provided report reported require required show state stated take taken total value work works gelten gilt betragt heisst`

	units = `second seconds minute minutes hour hours day days week weeks month months quarter quarters year years minuten stunden tage tagen
		wochen monate monaten jahre jahren`

	times = `january february march april june july august september october november december jan feb mar apr jun jul aug sep sept oct nov dec
		januar februar marz mai juni juli oktober dezember janvier fevrier mars avril juin juillet aout septembre octobre novembre
		decembre enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre monday tuesday wednesday thursday
		friday saturday sunday montag dienstag mittwoch donnerstag freitag samstag sonntag today yesterday immediately midnight noon clock uhr within
		before after every`

	numerals = `zero half one two three four five six seven eight nine ten eleven twelve thirteen fourteen
		fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety dozen hundred thousand once twice
		hourly daily weekly monthly quarterly annually yearly ein zwei drei vier funf sechs sieben acht neun zehn zwolf taglich wochentlich
		monatlich jahrlich deux trois quatre cinq dos tres cuatro cinco`

	roles = `manager director officer head chief chair chairman chairwoman chairperson president ceo cfo coo cto partner lead supervisor team
		department board committee owner engineer dispatcher driver desk office leiter leiterin vorstand geschaftsfuhrer directeur directora`

	currencies = `eur euro euros usd dollar dollars gbp pound pounds chf franken francs cent cents percent free kostenlos gratuit gratis`

	particles = `de den der van von zu la le du di da dos bin al el y`

	interrogatives = `what which who whom whose when where why how was welche welcher welches welchen wer wem wen wann wo warum wie quel quelle
		quels quelles qui quand ou pourquoi comment que cual quien cuando donde porque como`

	negations = `not never nicht kein keine keinen keiner pas jamais nunca`

	suffixes = `ur er or ion al anc enc ment abl iv ist ship ness iti ung keit heit`

	pronouns = `it they this these those he she such both es sie dies diese dieser dieses er il elle ils elles ce cela ellos ella esto`

	// kin are words that stand for one another in questions and documents.
	kin = `cost price fee charge rate tariff amount surcharge preis kosten gebuhr · begin start commence effective · end terminate expire cancel
		notice · employee staff worker personnel colleague · vacation leave holiday · buy purchase procure order · car vehicle truck lorry ·
		maximum max limit most highest exceed · minimum min least lowest · salary pay wage compensation · answer respond response reply · approve sign
		authorise authorize permit · deliver delivery ship shipment transit · late delay · fix repair resolve restore · notify inform · damage loss
		lost · cause reason because due · store storage keep kept retain retention warehouse · home remote · lead director manager chief ·
		discount rebate reduction · penalty credit fine · phone telephone contact`
)
