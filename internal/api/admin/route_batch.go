package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/batch"
	"airfield/internal/money"
)

// LineBatch is a file of calls and how far they are.
type LineBatch struct {
	ID           string            `json:"id"`
	Workflow     string            `json:"workflow"`
	KeyID        string            `json:"key_id" doc:"Whose calls its lines are."`
	Endpoint     string            `json:"endpoint"`
	Status       string            `json:"status" enum:"validating,failed,in_progress,finalizing,completed,expired,cancelling,cancelled"`
	InputFile    string            `json:"input_file_id"`
	OutputFile   string            `json:"output_file_id,omitempty"`
	ErrorFile    string            `json:"error_file_id,omitempty"`
	Metadata     map[string]string `json:"metadata"`
	Total        int64             `json:"total"`
	Completed    int64             `json:"completed"`
	Failed       int64             `json:"failed"`
	CostUSD      money.Nanos       `json:"cost_usd" doc:"So far."`
	Unpriced     int64             `json:"unpriced" doc:"Lines whose cost is not known."`
	ServiceTiers map[string]int64  `json:"service_tiers" doc:"Lines by the service tier that was billed."`
	Problems     []LineProblem     `json:"problems" doc:"What is wrong with its input, where it failed."`
	CreatedAt    time.Time         `json:"created_at"`
	ExpiresAt    time.Time         `json:"expires_at"`
	EndedAt      time.Time         `json:"ended_at,omitzero"`
}

// LineProblem is what is wrong with a line of an input.
type LineProblem struct {
	Line    int64  `json:"line,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

type batchesIn struct {
	Workflow string `query:"workflow" doc:"Only of this one; a workflow's key sees its own."`
	After    string `query:"after" doc:"The last one of the page before."`
	Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type batchIn struct {
	Batch string `path:"batch"`
}

func (d *Door) registerBatches(a huma.API) {
	add(a, d.Log, route{http.MethodGet, "/api/batches", "listBatches", "Batches, the newest first: how far they are and what they cost", documents}, func(ctx context.Context, in *batchesIn) ([]LineBatch, error) {
		all, err := d.Batches.List(ctx, batch.Filter{Workflow: in.Workflow, After: in.After, Limit: in.Limit})
		if err != nil {
			return nil, err
		}
		shown := []LineBatch{}
		for _, b := range all {
			shown = append(shown, lineBatch(b))
		}
		return shown, nil
	})
	add(a, d.Log, route{http.MethodGet, "/api/batches/{batch}", "getBatch", "One batch", documents}, func(ctx context.Context, in *batchIn) (LineBatch, error) {
		b, err := d.Batches.Get(ctx, in.Batch)
		return lineBatch(b), err
	})
	add(a, d.Log, route{http.MethodPost, "/api/batches/{batch}/cancel", "cancelBatch", "Stop what has not begun of a batch", documents}, func(ctx context.Context, in *batchIn) (LineBatch, error) {
		b, err := d.Batches.Cancel(ctx, in.Batch)
		return lineBatch(b), err
	})
}

func lineBatch(b batch.Batch) LineBatch {
	l := LineBatch{
		ID: b.ID, Workflow: b.Workflow, KeyID: b.KeyID, Endpoint: b.Endpoint, Status: string(b.Status), InputFile: b.InputFile, OutputFile: b.OutputFile, ErrorFile: b.ErrorFile, Metadata: b.Metadata,
		Total: b.Total, Completed: b.Completed, Failed: b.Failed, CostUSD: b.Cost, Unpriced: b.Unpriced, ServiceTiers: b.Tiers, Problems: []LineProblem{}, CreatedAt: b.CreatedAt, ExpiresAt: b.ExpiresAt, EndedAt: b.EndedAt,
	}
	for _, p := range b.Errors {
		l.Problems = append(l.Problems, LineProblem{Line: p.Line, Code: p.Code, Message: p.Message})
	}
	return l
}
