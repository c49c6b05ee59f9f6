// Package examples holds the documents that the demo and the tests use. Its test asks the questions about them.
package examples

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"airfield/internal/caller"
	"airfield/internal/retrieve"
)

type question struct {
	Question  string   `yaml:"question"`
	Clearance string   `yaml:"clearance"`
	Document  string   `yaml:"document"`
	Page      int      `yaml:"page"`
	Heading   string   `yaml:"heading"`
	Answer    []string `yaml:"answer"`
	RefusedTo string   `yaml:"refused_to"`
}

func readQuestions(t *testing.T, name string) []question {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Questions []question `yaml:"questions"`
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return file.Questions
}

func TestEveryQuestionIsAnsweredFromTheRightPlaceOrRefused(t *testing.T) {
	l := openLibrary(t)
	l.addFolder("documents")
	tier := func(s string) caller.Tier {
		v, err := caller.ParseTier(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	ask := func(q question, clearance string) retrieve.Answer {
		a, err := l.Answer(as(tier(clearance)), retrieve.Ask{Collections: []string{"documents"}, Question: q.Question})
		if err != nil {
			t.Fatalf("%s: %v", q.Question, err)
		}
		return a
	}
	answered, refused, cleared := 0, 0, 0
	for _, q := range append(readQuestions(t, "questions.yaml"), readQuestions(t, "questions-more.yaml")...) {
		a := ask(q, q.Clearance)
		if q.Document == "" {
			refused++
			if a.Found || a.Text != retrieve.Refusal {
				t.Errorf("%s: must be refused, but: %s", q.Question, a.Text)
			}
			continue
		}
		answered++
		if !a.Found {
			t.Errorf("%s: not answered (%s)", q.Question, a.Reason)
			for i, p := range a.Passages {
				t.Logf("  %d %s %q %.3f %.60q", i+1, p.SourceKey, p.Heading, p.Score, p.Text)
			}
			continue
		}
		c := a.Citations[0]
		at := slices.IndexFunc(a.Passages, func(p retrieve.Passage) bool { return p.ChunkID == c.ChunkID })
		if key := a.Passages[at].SourceKey; key != q.Document {
			t.Errorf("%s: cites %s, not %s: %s", q.Question, key, q.Document, a.Text)
		}
		if q.Page > 0 && (c.PageFrom > q.Page || c.PageTo < q.Page) {
			t.Errorf("%s: cites pages %d to %d, not %d", q.Question, c.PageFrom, c.PageTo, q.Page)
		}
		if q.Heading != "" && (len(c.Heading) == 0 || c.Heading[len(c.Heading)-1] != q.Heading) {
			t.Errorf("%s: cites under %q, not %q", q.Question, c.Heading, q.Heading)
		}
		for _, want := range q.Answer {
			if !strings.Contains(a.Text, want) {
				t.Errorf("%s: %q is not in the answer: %s", q.Question, want, a.Text)
			}
		}
		if q.RefusedTo != "" {
			cleared++
			if less := ask(q, q.RefusedTo); less.Found {
				t.Errorf("%s: answered to a caller cleared for %s only: %s", q.Question, q.RefusedTo, less.Text)
			}
		}
		if testing.Verbose() {
			t.Logf("%s\n  %s", q.Question, a.Text)
		}
	}
	if answered < 12 || refused < 3 || cleared < 2 {
		t.Errorf("only %d questions with answers, %d without, %d that need a clearance", answered, refused, cleared)
	}
}

func TestTheSecondVersionAnswersOtherwise(t *testing.T) {
	for folder, want := range map[string]string{"documents/policies": "165 EUR", "versions": "190 EUR"} {
		l := openLibrary(t)
		l.addFolder(folder)
		a, err := l.Answer(as(caller.Internal), retrieve.Ask{Collections: []string{"documents"}, Question: "How much may a hotel in Oslo cost per night?"})
		if err != nil || !strings.Contains(a.Text, want) || a.Citations[0].Name != "travel-policy.docx" {
			t.Errorf("%s: %q %v", folder, a.Text, err)
		}
	}
}
