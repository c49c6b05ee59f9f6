package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"airfield/examples"
	"airfield/internal/api/admin"
)

// question asks with the key of a clearance.
func (d *demo) question(ctx context.Context, clearance, question string) (answered, error) {
	var a answered
	err := d.as(clearance).do(ctx, http.MethodPost, "/v1/answers", map[string]any{"question": question, "collection": "nordhafen"}, &a)
	return a, err
}

// given is an answer as the known answers are held against it.
func given(a answered) examples.Given {
	g := examples.Given{Text: a.Text}
	if len(a.Citations) > 0 {
		c := a.Citations[0]
		g.Document, g.Page, g.PageTo = c.SourceKey, c.PageFrom, c.PageTo
		if n := len(c.Heading); n > 0 {
			g.Heading = c.Heading[n-1]
		}
	}
	return g
}

// show asks a question of the list, prints the answer and holds it against the known one.
func (d *demo) show(ctx context.Context, clearance string, q examples.Question) error {
	d.printf("\n%s %s\n", d.colour(text.Bold, "?"), q.Question)
	a, err := d.question(ctx, clearance, q.Question)
	if err != nil {
		return err
	}
	d.answer(a)
	if wrong := q.Wrong(given(a)); wrong != "" {
		return fmt.Errorf("%s: %s", q.Question, wrong)
	}
	if a.Found {
		d.call = a.CallID
	}
	return nil
}

func demoQuestions() ([]examples.Question, error) {
	file, err := examples.Files.ReadFile("questions.yaml")
	if err != nil {
		return nil, err
	}
	return examples.Questions(file)
}

// askSome asks one question of each of a few formats, and one that the documents do not answer.
func (d *demo) askSome(ctx context.Context) error {
	d.title("Questions, asked with a key that is cleared for internal documents")
	questions, err := demoQuestions()
	if err != nil {
		return err
	}
	seen, refused := map[string]bool{}, false
	for _, q := range questions {
		format := filepath.Ext(q.Document)
		switch {
		case q.Document == "" && !refused:
			refused = true
		case q.Document == "" || q.Clearance != "internal" || seen[format] || format == ".csv" || format == ".json":
			continue
		}
		seen[format] = true
		if err := d.show(ctx, "internal", q); err != nil {
			return err
		}
	}
	return nil
}

// askTwice asks one question with two keys.
func (d *demo) askTwice(ctx context.Context) error {
	questions, err := demoQuestions()
	if err != nil {
		return err
	}
	for _, q := range questions {
		if q.RefusedTo != "internal" {
			continue
		}
		d.title("The same question with two keys: the document is %s", q.Clearance)
		d.printf("\nwith a key cleared for %s:", q.Clearance)
		if err := d.show(ctx, q.Clearance, q); err != nil {
			return err
		}
		d.printf("\nwith a key cleared for %s:", q.RefusedTo)
		return d.show(ctx, q.RefusedTo, examples.Question{Question: q.Question})
	}
	return errors.New("no question is for one clearance only")
}

// newVersion puts a second version of a policy into the watched folder and waits until it serves.
func (d *demo) newVersion(ctx context.Context) error {
	const name = "travel-policy.docx"
	d.title("A new version of %s is dropped into the folder", name)
	question := "How much may a hotel in Oslo cost per night?"
	before, err := d.question(ctx, "internal", question)
	if err != nil {
		return err
	}
	for _, file := range []string{name + ".meta.yaml", name} {
		content, err := examples.Files.ReadFile("versions/" + file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(d.dir, "documents", "policies", file), content, 0o644); err != nil {
			return err
		}
	}
	began := time.Now()
	for {
		after, err := d.question(ctx, "internal", question)
		if err != nil {
			return err
		}
		if after.Found && after.Citations[0].Version == 2 {
			d.printf("? %s\n  before: %s (version %d)\n  after:  %s (version 2, %s later)\n", question, printable(before.Text), before.Citations[0].Version, printable(after.Text), brief(time.Since(began)))
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// askAll asks everything whose answer is known, also with the keys that must be refused.
func (d *demo) askAll(ctx context.Context) error {
	questions, err := demoQuestions()
	if err != nil {
		return err
	}
	var wrong []string
	asked := 0
	check := func(clearance string, q examples.Question) error {
		if strings.HasSuffix(q.Document, "travel-policy.docx") {
			return nil // its second version answers otherwise
		}
		asked++
		a, err := d.question(ctx, clearance, q.Question)
		if err == nil {
			if w := q.Wrong(given(a)); w != "" {
				wrong = append(wrong, q.Question+" ("+clearance+"): "+w)
			}
		}
		return err
	}
	for _, q := range questions {
		if err := check(q.Clearance, q); err != nil {
			return err
		}
		if q.RefusedTo != "" {
			if err := check(q.RefusedTo, examples.Question{Question: q.Question}); err != nil {
				return err
			}
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d of %d known answers were wrong: %s", len(wrong), asked, strings.Join(wrong, "; "))
	}
	d.title("All %d questions with known answers: answered, or refused, rightly.", asked)
	return nil
}

func (d *demo) showWhatHappened(ctx context.Context) error {
	d.title("The last calls (airfield calls)")
	page, err := get[admin.CallPage](ctx, d.client, "/api/calls?limit=6")
	if err != nil {
		return err
	}
	d.callTable(page.Calls, "no calls yet")
	d.title("What they cost, by workflow (airfield costs); the builtin models are free, and that is a price too")
	costs, err := get[admin.Costs](ctx, d.client, "/api/costs?by=workflow")
	if err != nil {
		return err
	}
	d.costTable(costs)
	d.title("One answer's trace (airfield trace)")
	call, err := get[admin.Call](ctx, d.client, "/api/calls/"+url.PathEscape(d.call))
	if err != nil {
		return err
	}
	trace, err := get[admin.Trace](ctx, d.client, "/api/traces/"+url.PathEscape(call.TraceID))
	if err != nil {
		return err
	}
	d.trace(trace)
	return nil
}
