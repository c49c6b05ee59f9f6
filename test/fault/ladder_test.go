package fault

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"airfield/internal/api/admin"
	"airfield/internal/ingest"
	"airfield/internal/retrieve"
	"airfield/test/binary"
	"airfield/test/upstream"
)

const papers = `
collections:
  papers:
    defaults: {tier: internal}
    sources:
      folder: {folder: documents, interval: 2s}
`

// shelf writes documents into the folder that is watched, last changed a minute ago.
func (s *site) shelf(documents map[string]string) {
	s.T.Helper()
	for name, text := range documents {
		s.Write("documents/"+name, []byte(text))
		before := time.Now().Add(-time.Minute)
		if err := os.Chtimes(s.Path("documents", name), before, before); err != nil {
			s.T.Fatal(err)
		}
	}
}

// extract is what an extractive answer has besides those of models.
type extract struct {
	Degraded  string
	Citations []retrieve.Citation
}

// cited finds it in a whole answer or in a stream.
func cited(text string) (e extract) {
	for line := range strings.Lines(text) {
		var chunk struct{ Airfield *extract }
		if json.Unmarshal([]byte(strings.TrimPrefix(strings.TrimSpace(line), "data: ")), &chunk) == nil && chunk.Airfield != nil {
			e = *chunk.Airfield
		}
	}
	return e
}

func TestOneWorkflowGoesDownTheWholeLadderAndUpAgain(t *testing.T) {
	first, second, people := well(t), well(t), receive(t)
	s := &site{Server: binary.Install(t, "routing: {deadline: 20s, attempts: 2, queue: {wait: 10s}, backoff: 10ms, max_backoff: 20ms, breaker: {failures: 1000}}\nproviders:\n"+
		first.Provider("first")+second.Provider("second")+
		"models:\n"+model("chat", "tier: standard, ", "first", "chat")+model("small", "tier: economy, ", "second", "small")+team+
		"workflows:\n  team:\n    business_unit: product\n    clearance: internal\n    collections: [papers]\n    cache: {ttl: 1s, stale: 1h}\n"+
		"    degrade: [{queue: 3s}, {tier: economy, within: 1s}, {stale: true, within: 1s}, {extractive: [papers], within: 5s}]\n"+people.config()+papers)}
	s.shelf(map[string]string{
		"parcels.md":          "# Parcels\n\nA parcel to Norway takes four working days and is insured up to 500 euros.\n",
		"gates.md":            "# Gates\n\nA permit for the northern gate is valid for ninety days.\n",
		"gates.md.meta.yaml":  "tier: public\n",
		"salary.md":           "# Salaries\n\nThe crane driver earns 4,100 euros a month.\n",
		"salary.md.meta.yaml": "tier: confidential\n",
	})
	s.Start()
	s.key = s.Key("team")
	public := s.Key("team", "clearance", "public")
	s.Await("3 documents to be live", func() bool {
		var c admin.CollectionStatus
		s.Call(http.MethodGet, "/api/collections/papers", nil, &c)
		return c.Status.Versions[ingest.Live] == 3
	})

	// served asks, both ways, and looks at every place where the rung must show.
	served := func(rung, text string, wants ...string) (texts []string, last admin.Call) {
		t.Helper()
		for _, stream := range []bool{false, true} {
			before := s.Metric("airfield_degraded_calls_total", `workflow="team"`, `rung="`+rung+`"`)
			e, row := s.ask(question("chat", stream, text))
			if !e.Whole || row.Outcome != "ok" || row.Degraded != rung || e.Header.Get("X-Airfield-Degraded") != rung {
				t.Fatalf("%s, stream %t: %d, %s, the row says %q and the header %q: %s", rung, stream, e.Status, row.Outcome, row.Degraded, e.Header.Get("X-Airfield-Degraded"), e.Text)
			}
			if stream && (statement(e.Text).Degraded != rung || strings.Count(e.Text, "[DONE]") != 1) {
				t.Errorf("%s: the stream's end says %q: %s", rung, statement(e.Text).Degraded, e.Text)
			}
			if got := s.Metric("airfield_degraded_calls_total", `workflow="team"`, `rung="`+rung+`"`); rung != "" && got != before+1 {
				t.Errorf("%s: the metric went from %v to %v", rung, before, got)
			}
			for _, want := range wants {
				if !strings.Contains(e.Text, want) {
					t.Errorf("%s, stream %t: no %q in %s", rung, stream, want, e.Text)
				}
			}
			texts, last = append(texts, e.Text), row
		}
		return texts, last
	}

	const familiar = "How long does a familiar thing take?" + polite
	served("", familiar, "word")

	// The queue: the model's own answer, a little later, which nobody needs to be told of.
	first.Behave(upstream.Sequence(upstream.Behaviour{Kind: upstream.Status, Status: 429, RetryAfter: time.Second}, upstream.Behaviour{}))
	e, row := s.ask(question("chat", true, "Who waits?"+polite))
	if !e.Whole || row.Degraded != "" || row.WaitedMS < 500 || row.Deployment != "first/chat" || e.Header.Get("X-Airfield-Degraded") != "" {
		t.Errorf("the queue: %d, %q by %s after %v ms", e.Status, row.Degraded, row.Deployment, row.WaitedMS)
	}

	// The cheaper tier.
	first.Behave(always("503"))
	served("economy", "What is said by the small one?"+polite, "word")
	if told := s.await(people, "gateway.degraded", "team/chat", 1); len(told) != 1 || told[0].Resolved || told[0].Fields["rung"] != "economy" || told[0].Fields["workflow"] != "team" || !strings.Contains(told[0].Text, "the upstream says 503") && !strings.Contains(told[0].Text, "Service Unavailable") {
		t.Errorf("told %+v", told)
	}

	// The answer of before.
	second.Behave(always("500"))
	for end := time.Now().Add(1200 * time.Millisecond); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // the answer must have become old
	}
	begun := first.Chats().Whole + second.Chats().Whole
	served("stale", familiar, "word")
	if first.Chats().Whole+second.Chats().Whole != begun {
		t.Error("a stale answer was made by a model")
	}

	// Sentences of the documents.
	texts, last := served("extractive", "How long does a parcel to Norway take?", "four working days")
	for i, text := range texts {
		x := cited(text)
		if x.Degraded != "extractive" || len(x.Citations) == 0 || x.Citations[0].SourceKey != "parcels.md" || !strings.Contains(x.Citations[0].Quote, "four working days") {
			t.Errorf("answer %d is cited by %+v: %s", i, x, text)
		}
	}
	if last.Deployment != "extractive" || last.Provider != "builtin" || last.CostUSD != 0 || !last.Priced || len(last.Attempts) < 2 {
		t.Errorf("an extractive answer is logged by %s, at %s, after %d attempts", last.Deployment, last.CostUSD, len(last.Attempts))
	}

	// What the key may not see, what the workflow may not see, and what no document says: a clear error.
	team := s.key
	s.key = public
	served("extractive", "How long is a permit for the northern gate valid?", "ninety days")
	for text, key := range map[string]string{
		"How long does a parcel to Norway take?":     public,
		"What does the crane driver earn a month?":   team,
		"Which colour has the moon of the admiral?":  team,
		"How long does a parcel to Norway cost, {}?": public,
	} {
		s.key = key
		for _, stream := range []bool{false, true} {
			e, row := s.ask(question("chat", stream, text))
			if e.Status < 500 || e.Whole || !strings.Contains(e.Text, `"error"`) || !strings.Contains(e.Text, `"message"`) || strings.Contains(e.Text, "working days") || strings.Contains(e.Text, "4,100") || strings.Contains(e.Text, "[DONE]") {
				t.Errorf("%s: %d %s", text, e.Status, e.Text)
			}
			if row.Outcome != "error" || row.Degraded != "" || row.Error == "" || row.CostUSD != 0 {
				t.Errorf("%s: logged as %s %q %q at %s", text, row.Outcome, row.Degraded, row.Error, row.CostUSD)
			}
		}
	}
	// Neither stands for what is not plain text.
	s.key = team
	if e, _ := s.ask(question("chat", false, "How long does a parcel to Norway take?", `"response_format":{"type":"json_object"}`)); e.Status < 500 {
		t.Errorf("JSON was asked for: %d %s", e.Status, e.Text)
	}

	// Up again, and people are told once that it is over.
	first.Behave(nil)
	second.Behave(nil)
	s.Await("the model to answer again", func() bool {
		e, row := s.ask(question("chat", false, "Is everything in order?"+polite), "X-Airfield-Cache", "off")
		return e.Whole && row.Degraded == ""
	})
	if told := s.await(people, "gateway.degraded", "team/chat", 2); len(told) != 2 || !told[1].Resolved {
		t.Errorf("told %+v", told)
	}
	served("", "Is it as before?"+polite, "word")
}
