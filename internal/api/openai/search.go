package openai

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"airfield/internal/api"
	"airfield/internal/fault"
	"airfield/internal/index"
	"airfield/internal/retrieve"
)

// queries is a query or a list of them.
type queries []string

func (q *queries) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*q = queries{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return fault.New(fault.Invalid, "query", "query must be a text or a list of texts").At("query")
	}
	*q = many
	return nil
}

type searchRequest struct {
	Query   queries      `json:"query"`
	Max     int          `json:"max_num_results"`
	Filters index.Filter `json:"filters"`
	Ranking struct {
		Threshold float64 `json:"score_threshold"`
	} `json:"ranking_options"`
	Mode retrieve.Mode `json:"mode"` // ours: hybrid, keyword, vector
}

const maxQueries = 8

func (d *Door) search(w http.ResponseWriter, r *http.Request) (any, error) {
	var q searchRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	if len(q.Query) == 0 || len(q.Query) > maxQueries || slices.ContainsFunc(q.Query, func(s string) bool { return strings.TrimSpace(s) == "" }) {
		return nil, fault.New(fault.Invalid, "query", "query must be a text, or 1 to %d of them", maxQueries).At("query")
	}
	var found []retrieve.Passage
	for _, query := range q.Query {
		result, err := d.Retrieve.Search(r.Context(), retrieve.Request{Collections: []string{r.PathValue("store")}, Query: query, Limit: q.Max, Filter: q.Filters, Mode: q.Mode, MinScore: q.Ranking.Threshold})
		if err != nil {
			return nil, err
		}
		w.Header().Set("Traceparent", result.Traceparent)
		found = merge(found, result.Passages)
	}
	if q.Max > 0 && len(found) > q.Max {
		found = found[:q.Max]
	}
	data := []any{}
	for _, p := range found {
		data = append(data, hit(p))
	}
	return map[string]any{"object": "vector_store.search_results.page", "search_query": q.Query, "data": data, "has_more": false, "next_page": nil}, nil
}

// merge joins the results of several queries: each passage once, with its best score.
func merge(a, b []retrieve.Passage) []retrieve.Passage {
	if len(a) == 0 {
		return b
	}
	for _, p := range b {
		if i := slices.IndexFunc(a, func(x retrieve.Passage) bool { return x.ChunkID == p.ChunkID }); i < 0 {
			a = append(a, p)
		} else if a[i].Score < p.Score {
			a[i].Score = p.Score
		}
	}
	slices.SortStableFunc(a, func(x, y retrieve.Passage) int {
		switch {
		case x.Score > y.Score:
			return -1
		case x.Score < y.Score:
			return 1
		}
		return 0
	})
	return a
}

func hit(p retrieve.Passage) any {
	return map[string]any{
		"file_id": p.FileID(), "filename": p.Name, "score": p.Score, "attributes": p.Attributes, "content": []any{map[string]any{"type": "text", "text": p.Text}},
		"document_id": p.DocumentID, "version": p.Version, "chunk_id": p.ChunkID, "generation": p.Generation, "title": p.Title, "heading": p.Heading, "page_from": p.PageFrom, "page_to": p.PageTo, "tier": p.Tier,
	}
}

// answerRequest is the body of POST /v1/answers.
type answerRequest struct {
	Question    string       `json:"question"`
	Collections []string     `json:"collections"`
	Collection  string       `json:"collection"`
	Model       string       `json:"model"`
	Limit       int          `json:"limit"`
	Filters     index.Filter `json:"filters"`
	MaxTokens   int          `json:"max_tokens"`
}

// answerResponse is an answer with what it cost.
type answerResponse struct {
	Object string `json:"object"`
	retrieve.Answer
	CostUSD string `json:"cost_usd"`
}

func (d *Door) answer(w http.ResponseWriter, r *http.Request) (any, error) {
	var q answerRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	tags, err := api.Tags(r.Header)
	if err != nil {
		return nil, err
	}
	if q.Collection != "" {
		q.Collections = append(q.Collections, q.Collection)
	}
	a, err := d.Retrieve.Answer(r.Context(), retrieve.Ask{Collections: q.Collections, Question: q.Question, Model: q.Model, Limit: q.Limit, Filter: q.Filters, MaxTokens: q.MaxTokens, Tags: tags})
	if err != nil {
		return nil, err
	}
	h := w.Header()
	if a.CallID != "" {
		h.Set("X-Airfield-Call-Id", a.CallID)
	}
	h.Set("X-Airfield-Cost-Usd", a.Cost.Decimal())
	h.Set("X-Airfield-Priced", strconv.FormatBool(a.Priced))
	h.Set("Traceparent", a.Traceparent)
	if a.Citations == nil {
		a.Citations = []retrieve.Citation{}
	}
	return answerResponse{Object: "answer", Answer: a, CostUSD: a.Cost.Decimal()}, nil
}
