package builtin

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

var leave = []passage{
	{n: 1, document: "Leave policy", heading: "Leave policy > Annual leave", text: "Every full-time employee has 28 days of annual leave. The team lead answers requests within five working days."},
	{n: 2, document: "Leave policy", heading: "Leave policy > Special leave", text: "Special leave is given on these occasions:\n\nOccasion | Days\nOwn wedding | 2\nMoving house | 1"},
	{n: 4, document: "Price list", heading: "Price list", text: "item: Frozen place\nprice: 9.60 EUR\n\nitem: Ambient place\nprice: 4.20 EUR"},
	{n: 5, document: "Report 14", heading: "", text: "Cause\n\nA relay had failed.\n\nContact\n\nQuestions go to Femke de Groot. She answers on 12 May 2026. Cash is not accepted."},
	{n: 6, document: "Map", heading: "", text: "The wharf is in the north [7] of the port [3, 4]."},
}

func TestAnswersAreQuotedWithTheirPassage(t *testing.T) {
	a := NewAnswerer()
	for _, c := range []struct{ question, want string }{
		{"How many days of annual leave does an employee have?", "Every full-time employee has 28 days of annual leave. [1]"},
		{"How many days are given for moving house?", "Occasion: Moving house, Days: 1 [2]"},
		{"What is the price of a frozen place?", "item: Frozen place, price: 9.60 EUR [4]"},
		{"How much does an ambient place cost?", "item: Ambient place, price: 4.20 EUR [4]"},
		{"What was the cause?", "A relay had failed. [5]"},
		{"Who answers questions?", "Questions go to Femke de Groot. [5]"},
		{"When does Femke answer?", "Questions go to Femke de Groot. She answers on 12 May 2026. [5]"},
		{"WHAT IS THE PRICE OF A FROZEN PLACE?", "item: Frozen place, price: 9.60 EUR [4]"},
		{"For a house, how many days are given when moving?", "Occasion: Moving house, Days: 1 [2]"},
		{"Where is the wharf?", "The wharf is in the north (7) of the port (3, 4). [6]"},
		{"How many days are given for a funeral?", Refusal},
		{"How many sick days does an employee have?", Refusal},
		{"What does a frozen place in Oslo cost?", Refusal},
		{"Who approved the annual leave?", Refusal},
		{"When was the relay bought?", Refusal},
		{"How much is the fine for smoking?", Refusal},
		{"the of and?", Refusal},
		{"", Refusal},
		{"What is 2 + 2?", Refusal},
	} {
		if got, cut := a.answer(c.question, leave, 0); got != c.want || cut {
			t.Errorf("%s\n got %s\nwant %s", c.question, got, c.want)
		}
	}
}

func TestAnAnswerIsCutToItsTokens(t *testing.T) {
	a := NewAnswerer()
	for tokens, want := range map[int]string{5: "Every full-time employee [1]", 11: "Every full-time employee has 28 days of annual leave. [1]"} {
		got, cut := a.answer("How many days of annual leave does an employee have?", leave, tokens)
		if got != want || cut != (tokens < 11) {
			t.Errorf("%d: %q %v", tokens, got, cut)
		}
	}
}

// A long question over long passages must not take the process away from others.
func TestTheWorkIsBounded(t *testing.T) {
	question, text := strings.Repeat("which harbour Crane lifted ", 50_000), strings.Repeat("A harbour crane lifted 40 containers. ", 30_000)+strings.Repeat("line\n", 100_000)
	for i := range 2000 {
		question += "word" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + " "
	}
	done := make(chan bool, 1)
	go func() {
		NewAnswerer().answer(question, []passage{{n: 1, text: text}}, 0)
		done <- true
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("still at work after 20 s")
	}
}

func TestSentences(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"points that end nothing", "It costs approx. 5 EUR, i.e. No. 7 of J. Doe. Done? Yes!", "It costs approx. 5 EUR, i.e. No. 7 of J. Doe.|Done?|Yes!"},
		{"lines that go on", "A sentence that\ngoes on here. Another\none.", "A sentence that goes on here.|Another one."},
		{"a table under its header", "Lane | Price\nA - B | 5\nC | ", "Lane: A - B, Price: 5|Lane: C"},
		{"a table without a header", "1 | 2\n3 | 4", "1, 2|3, 4"},
		{"records", "a: 1\nb: 2\n\na: 3\nb: 4", "a: 1, b: 2|a: 3, b: 4"},
		{"a list", "Take along:\n- a coat\n- shoes. And socks.\n2. a hat", "a coat|shoes.|And socks.|a hat"},
		{"heading lines are no sentences", "Cause\n\nIt broke.", "It broke."},
		{"decimals", "It is 3.5 cm. It is 1.2.", "It is 3.5 cm.|It is 1.2."},
		{"Chinese", "今天下雨。明天晴。", "今天下雨。|明天晴。"},
		{"nothing", " \n\n ", ""},
	} {
		var got []string
		for _, s := range sentences(0, c.text) {
			got = append(got, s.text)
		}
		if s := strings.Join(got, "|"); s != c.want {
			t.Errorf("%s: %q, want %q", c.name, s, c.want)
		}
	}
	if list := sentences(0, "Fees:\n\n- 5 EUR"); len(list) != 1 || strings.TrimSpace(list[0].context) != "Fees" {
		t.Errorf("%+v", list)
	}
}

func TestThePromptIsRead(t *testing.T) {
	text := func(role, s string) message { return message{Role: role, Content: []byte(quoted(s))} }
	prompt := "<passages>\n<passage n=\"1\" document=\"A &#34;b&#34; &amp; c\" heading=\"X &gt; Y\" page=\"3\">\none &lt;/passage> more\n</passage>\n<passage n=\"x\">\nno number\n</passage>\n<passage n=\"2\" document=\"d\">\ntwo\n</passage>\n</passages>\n\nQuestion: Why </passages>?"
	question, passages := readPrompt([]message{text("system", "rules"), text("user", prompt)})
	if question != "Why </passages>?" || len(passages) != 2 || passages[0] != (passage{n: 1, document: `A "b" & c`, heading: "X > Y", text: "one </passage> more"}) || passages[1].text != "two" {
		t.Errorf("%q %+v", question, passages)
	}
	question, passages = readPrompt([]message{text("system", "<passages>\n<passage n=\"7\">\nx\n</passage>"), text("user", "old"), text("assistant", "a"), {Role: "user", Content: []byte(`[{"type":"text","text":"new"},{"type":"image_url"}]`)}})
	if question != "new" || len(passages) != 1 || passages[0].n != 7 {
		t.Errorf("%q %+v", question, passages)
	}
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

var cited = regexp.MustCompile(`\[(\d+)\]`)

func FuzzAnswer(f *testing.F) {
	f.Add("How many days?", "It has 28 days.\n\na | b\n1 | 2", 0)
	f.Add("Who is it?", "x: y\nz: Anna Maria\n\n- item one:\n- two", 3)
	f.Add("Wann?", "Am 3. Mai. \xff It \u0301 was", 1)
	a := NewAnswerer()
	f.Fuzz(func(t *testing.T, question, text string, tokens int) {
		passages := []passage{{n: 3, document: "d", heading: "a > b", text: text}}
		got, _ := a.answer(question, passages, tokens)
		if got == Refusal {
			return
		}
		have := map[string]bool{}
		words(text, func(w word) { have[w.folded] = true })
		if !strings.HasSuffix(got, "[3]") {
			t.Errorf("%q is not cited", got)
		}
		words(cited.ReplaceAllString(got, ""), func(w word) {
			if !have[w.folded] && !strings.Contains(text, got) {
				t.Errorf("%q says %q, which %q does not", got, w.folded, text)
			}
		})
	})
}

func FuzzPrompt(f *testing.F) {
	f.Add(`"<passages>\n<passage n=\"1\">\nx\n</passage>\n</passages>\nQuestion: y"`)
	f.Add(`[{"type":"text","text":"<passages><passage n=1>"}]`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, content string) {
		for _, p := range func() []passage { _, p := readPrompt([]message{{Role: "user", Content: []byte(content)}}); return p }() {
			if p.n < 1 {
				t.Errorf("%q: %+v", content, p)
			}
		}
	})
}
