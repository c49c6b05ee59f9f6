package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"airfield/internal/fault"
	"airfield/internal/index"
	"airfield/internal/retrieve"
)

type nothing struct{}

type collectionList struct {
	Collections []collectionItem `json:"collections"`
}

type collectionItem struct {
	Name        string `json:"name" jsonschema:"what the other tools call it"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
}

func (d *Door) listCollections(ctx context.Context, _ nothing) (a answered[collectionList], err error) {
	all, err := d.Ingest.ListCollections(ctx)
	if err != nil {
		return a, err
	}
	a.out.Collections = []collectionItem{}
	for _, c := range all {
		item := collectionItem{c.Name, c.Title, c.Config.Description}
		a.out.Collections = append(a.out.Collections, item)
		a.text += strings.TrimRight(fmt.Sprintf("- %s: %s", item.Name, firstOf(item.Description, item.Title)), ": ") + "\n"
	}
	if len(all) == 0 {
		a.text = "This key may read no collection."
	}
	return a, nil
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

type searchRequest struct {
	Query       string         `json:"query" jsonschema:"what is looked for, in words or as a question"`
	Collections []string       `json:"collections,omitempty" jsonschema:"names of collections; by default all that there are"`
	Filters     map[string]any `json:"filters,omitempty" jsonschema:"which documents, as of OpenAI's vector stores: {\"type\":\"eq\",\"key\":\"type\",\"value\":\"contract\"}, or {\"type\":\"and\",\"filters\":[...]}; types eq, ne, gt, gte, lt, lte, in, nin, and, or"`
	Limit       int            `json:"limit,omitempty" jsonschema:"how many passages at most"`
}

type searchResult struct {
	Passages []passage `json:"passages"`
	Degraded string    `json:"degraded,omitempty" jsonschema:"keyword: the passages were found by their words alone"`
	TraceID  string    `json:"trace_id"`
}

// place is where a passage stands.
type place struct {
	Collection string   `json:"collection"`
	DocumentID string   `json:"document_id"`
	Title      string   `json:"title"`
	Version    int      `json:"version"`
	Heading    []string `json:"heading" jsonschema:"the headings above it, the outermost first"`
	PageFrom   int      `json:"page_from,omitempty"`
	PageTo     int      `json:"page_to,omitempty"`
	Source     string   `json:"source,omitempty"`
	SourceKey  string   `json:"source_key" jsonschema:"the document's name in its source"`
}

type passage struct {
	N int `json:"n"`
	place
	Tier  string  `json:"tier"`
	Score float64 `json:"score" jsonschema:"from 0 to 1"`
	Text  string  `json:"text"`
}

func (d *Door) search(ctx context.Context, q searchRequest) (a answered[searchResult], err error) {
	filter, err := filterOf(q.Filters)
	if err != nil {
		return a, err
	}
	collections, err := d.named(ctx, q.Collections)
	if err != nil {
		return a, err
	}
	found, err := d.Retrieve.Search(ctx, retrieve.Request{Collections: collections, Query: q.Query, Limit: q.Limit, Filter: filter})
	if err != nil {
		return a, err
	}
	a.out = searchResult{Passages: []passage{}, Degraded: found.Degraded, TraceID: found.TraceID}
	for i, p := range found.Passages {
		at := place{p.Collection, p.DocumentID, firstOf(p.Title, p.Name), p.Version, list(p.Heading), p.PageFrom, p.PageTo, p.Source, p.SourceKey}
		a.out.Passages = append(a.out.Passages, passage{i + 1, at, p.Tier.String(), p.Score, p.Text})
		a.text += fmt.Sprintf("[%d] %s, score %.2f\n%s\n\n", i+1, at, p.Score, p.Text)
	}
	if len(found.Passages) == 0 {
		a.text = "Nothing was found in what this key may see."
	}
	return a, nil
}

// String is a citation for people.
func (p place) String() string {
	s := p.Title
	if len(p.Heading) > 0 {
		s += " › " + strings.Join(p.Heading, " › ")
	}
	switch {
	case p.PageFrom > 0 && p.PageTo > p.PageFrom:
		s += fmt.Sprintf(", pages %d–%d", p.PageFrom, p.PageTo)
	case p.PageFrom > 0:
		s += fmt.Sprintf(", page %d", p.PageFrom)
	}
	return s + " (collection " + p.Collection + ", document " + p.DocumentID + ")"
}

func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// filterOf reads a filter as the other doors do.
func filterOf(raw map[string]any) (f index.Filter, err error) {
	if len(raw) == 0 {
		return f, nil
	}
	b, err := json.Marshal(raw)
	if err != nil {
		return f, fault.New(fault.Invalid, "filter", "filters cannot be read: %w", err).At("filters")
	}
	return f, json.Unmarshal(b, &f)
}

// named are the collections that were asked for, or all that the caller reads.
func (d *Door) named(ctx context.Context, names []string) ([]string, error) {
	if len(names) > 0 {
		return names, nil
	}
	all, err := d.Ingest.ListCollections(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		names = append(names, c.ID)
	}
	if len(names) == 0 {
		return nil, fault.New(fault.NotFound, "collection_not_found", "this key may read no collection").Hinted("grant its workflow some: collections in airfield.yaml, or airfield keys create --collections")
	}
	if len(names) > manyCollections {
		return nil, fault.New(fault.Invalid, "collections", "there are %d collections: name those to look in, at most %d", len(names), manyCollections).Hinted("list_collections says what there is")
	}
	return names, nil
}

const manyCollections = 32 // in one search

type answerRequest struct {
	Question    string         `json:"question"`
	Collections []string       `json:"collections,omitempty" jsonschema:"names of collections; by default all that there are"`
	Filters     map[string]any `json:"filters,omitempty" jsonschema:"which documents, as for search"`
	Model       string         `json:"model,omitempty" jsonschema:"which model answers; by default the collection's"`
}

type answerResult struct {
	Text      string     `json:"text" jsonschema:"the answer; [n] points to a citation"`
	Found     bool       `json:"found" jsonschema:"false: the documents do not hold the answer"`
	Reason    string     `json:"reason,omitempty" jsonschema:"why it was not found: no_passages, not_answered, not_cited"`
	Citations []citation `json:"citations"`
	Model     string     `json:"model,omitempty"`
	CallID    string     `json:"call_id,omitempty" jsonschema:"of the call in the log"`
	CostUSD   string     `json:"cost_usd" jsonschema:"what the model cost, in dollars"`
	Priced    bool       `json:"priced" jsonschema:"false: the price is not known, and the cost is not a number but unknown"`
	TraceID   string     `json:"trace_id"`
}

type citation struct {
	N int `json:"n"`
	place
	Quote string `json:"quote" jsonschema:"the sentence that the answer rests on"`
}

func (d *Door) answer(ctx context.Context, q answerRequest) (a answered[answerResult], err error) {
	filter, err := filterOf(q.Filters)
	if err != nil {
		return a, err
	}
	collections, err := d.named(ctx, q.Collections)
	if err != nil {
		return a, err
	}
	got, err := d.Retrieve.Answer(ctx, retrieve.Ask{Collections: collections, Question: q.Question, Model: q.Model, Filter: filter})
	if err != nil {
		return a, err
	}
	a.out = answerResult{
		Text: got.Text, Found: got.Found, Reason: got.Reason, Citations: []citation{}, Model: got.Model, CallID: got.CallID, CostUSD: got.Cost.Decimal(), Priced: got.Priced, TraceID: got.TraceID,
	}
	a.text = got.Text + "\n"
	for _, c := range got.Citations {
		at := place{c.Collection, c.DocumentID, c.Document, c.Version, list(c.Heading), c.PageFrom, c.PageTo, "", c.SourceKey}
		a.out.Citations = append(a.out.Citations, citation{c.N, at, c.Quote})
		a.text += fmt.Sprintf("\n[%d] %s: “%s”", c.N, at, c.Quote)
	}
	return a, nil
}
