package builtin

import "strings"

// stopwords are words that say how a sentence is built rather than what it is about, folded. They are left out of the
// vectors and never count as support for an answer.
type stopwords map[string]bool

func newStopwords() stopwords {
	s := stopwords{}
	for _, list := range []string{en, de, fr, es, it, nl} {
		for w := range strings.FieldsSeq(list) {
			s[w] = true
		}
	}
	return s
}

const (
	en = `a about above across after again against all along also although always am among an and another any anyone anything are
		around as at away back be became because become been before behind being below between both but by came can cannot could
		did do does doing done down during each either else enough etc even ever every everything few for from further get
		gets given gives go goes got had has have having he hence her here hers him his how however i if in into is it its itself
		just keep kept know known last least less let like likely made make makes many may me might mine more most
		much must my near need needs neither never next no nor not nothing now of off often on once only onto or other others our
		ours out over own per perhaps please put quite rather really said same say says see seem seems seen several shall she should since so
		some someone something still such take taken than that the their them then there therefore these they thing things this those though
		through thus to together too toward towards tell under until unto up upon us use used uses using various very via want was way we well went were
		what whatever when where whether which while who whoever whom whose why will with within without would yes yet you your yours`
	de = `aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bin bis bist da dabei dafur darf durfen damit dann das dass
		dazu dein dem den denn der des dessen die dies diese diesem diesen dieser dieses dir doch dort du durch ein eine einem einen einer
		eines er es etwas euch fur gegen hab habe haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im
		in ins ist ja jede jedem jeden jeder jedes jener jetzt kann kein keine keinen konnen konnte machen man mein mit muss mussen nach
		nicht nichts noch nun nur ob oder ohne sehr sein seine seinem seinen seiner seit sich sie sind so solche soll sollen sollte sondern
		uber um und uns unser unter viel vom von vor war waren warum was weil welche welchem welchen welcher welches wenn wer werde werden wie
		wieder will wir wird wo wurde wurden zu zum zur zwischen`
	fr = `alors apres au aucun aussi autre aux avant avec avoir ce cela ces cet cette ceux chaque chez comme comment dans de depuis des donc
		dont du elle elles en encore entre est et etaient etait etant ete etre eu eux fait il ils je la le les leur leurs lui
		mais meme mes moins mon ne nos notre nous ou par parce pas pendant peu peut plus pour pourquoi qu quand que quel quelle quelles quels
		qui sa sans se sera ses si son sont sous sur ta te tes toi ton tous tout toute toutes tres tu un une vers vos votre vous`
	es = `al algo algunas algunos ante antes como con contra cual cuando de del desde donde durante el ella ellas ellos en entre era eran
		es esa esas ese eso esos esta estaba estado estan estar estas este esto estos fue fueron ha haber han hasta hay la las le les lo los
		mas me mi mis mucho muy nada ni nos nosotros nuestra nuestro o otra otro otros para pero poco por porque que quien quienes se sea ser si
		sido sin sobre son su sus tambien tanto te tiene tienen toda todo todos tu tus un una unas uno unos usted y ya yo`
	it = `ai al alla alle anche che chi ci come con cosa da dal dalla dei del della delle di dove e ed gli ha hanno ho i il in io la le lei
		lo loro ma mi nel nella non o per perche piu quale quando quanto quella quelle quelli quello questa queste questi questo se
		si sono su sua sue sul sulla suo suoi tra un una uno`
	nl = `aan als bij dat de deze die dit door een en er geen haar had heeft het hij hoe hun ik in is je kan maar meer met mijn na naar niet
		nog of om onder ons ook op over te tot uit van veel voor waar wanneer was wat we wel werd wie wij worden wordt zal ze zich zij zijn zo
		zou`
)
