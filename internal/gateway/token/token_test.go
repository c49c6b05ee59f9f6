package token

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/tiktoken-go/tokenizer"
)

var texts = map[string]string{
	"English": `The carrier shall deliver the goods within five working days of collection. Where delivery is delayed by more than two days, the customer may claim a refund of the freight charges, provided that the delay was not caused by customs, weather or incomplete documents. Claims must be made in writing.`,
	"German":  `Der Spediteur liefert die Waren innerhalb von fünf Werktagen nach der Abholung. Verzögert sich die Lieferung um mehr als zwei Tage, kann der Kunde die Erstattung der Frachtkosten verlangen, sofern die Verspätung nicht durch Zollbehörden, Wetter oder unvollständige Unterlagen verursacht wurde.`,
	"French":  `Le transporteur livre les marchandises dans un délai de cinq jours ouvrables après l'enlèvement. Si la livraison est retardée de plus de deux jours, le client peut demander le remboursement des frais, à condition que le retard ne soit pas dû à la douane ou à la météo.`,
	"Russian": `Перевозчик доставляет груз в течение пяти рабочих дней после получения. Если доставка задерживается более чем на два дня, клиент может потребовать возврата стоимости перевозки, если задержка не вызвана таможней или погодой.`,
	"Chinese": `承运人应在提货后五个工作日内交付货物。如果交货延迟超过两天，客户可以要求退还运费，但延迟不是由海关、天气或文件不完整造成的。索赔必须以书面形式提出。`,
	"numbers": `Invoice 20260131: 1,250 kg at 0.85 EUR, 3,400 kg at 0.79 EUR, total 3,748.50 EUR; reference 998877665544, due 2026-02-28, VAT 19%, customer 4711.`,
	"JSON":    `{"parcel":{"id":"pkg-00017","weight_kg":12.5,"route":["HAM","FRA","MUC"],"delivered":false,"events":[{"at":"2026-01-31T08:15:00Z","code":"PICKUP"},{"at":"2026-01-31T19:42:10Z","code":"HUB"}]}}`,
}

// The estimate is for charging calls whose provider says nothing; how far off it may be is part of the promise.
func TestTheEstimateIsWithinAThirdOfARealTokenizer(t *testing.T) {
	codec, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("token.go")
	if err != nil {
		t.Fatal(err)
	}
	texts["Go"] = string(source)
	for name, text := range texts {
		real, err := codec.Count(text)
		if err != nil {
			t.Fatal(err)
		}
		got := Estimate([]byte(text))
		ratio := float64(got) / float64(real)
		t.Logf("%-8s %5d tokens, estimated %5d: %.2f", name, real, got, ratio)
		if ratio < 0.67 || ratio > 1.34 {
			t.Errorf("%s: %d tokens estimated as %d", name, real, got)
		}
	}
}

func TestPiecesCountAsTheWholeAndEscapesAsTheirCharacters(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, text := range texts {
		quoted, err := json.Marshal(text + "\n\ttab \"quoted\" back\\slash\n")
		if err != nil {
			t.Fatal(err)
		}
		raw := bytes.Trim(quoted, `"`)
		whole := Estimate(raw)
		var c Counter
		for rest := raw; len(rest) > 0; {
			n := 1 + r.IntN(min(9, len(rest)))
			c.Add(rest[:n])
			rest = rest[n:]
		}
		if c.Tokens() != whole {
			t.Errorf("%s: %d in pieces, %d as a whole", name, c.Tokens(), whole)
		}
	}
	if a, b := Estimate([]byte("a\nb")), Estimate([]byte(`a\nb`)); a != b {
		t.Errorf("a line feed counts %d, its escape %d", a, b)
	}
	if got := Estimate([]byte(`\u4f60\u597d`)); got != 2 {
		t.Errorf("two escaped characters are %d", got)
	}
}

func TestEveryTextThatIsNotBlankIsSomething(t *testing.T) {
	for _, text := range []string{"a", "7", ".", "é", "你", "😀", "\n"} {
		if Estimate([]byte(text)) < 1 {
			t.Errorf("%q is nothing", text)
		}
	}
	if Estimate(nil) != 0 {
		t.Error("nothing is something")
	}
}

func BenchmarkEstimate(b *testing.B) {
	text := []byte(strings.Repeat(texts["English"], 10))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Estimate(text)
	}
}

func BenchmarkRealTokenizer(b *testing.B) {
	codec, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat(texts["English"], 10)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		codec.Count(text)
	}
}
