package app

import (
	"context"
	"io"
	"net/http"
	"time"

	"airfield/internal/batch"
	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/ingest"
	"airfield/internal/llm"
	"airfield/internal/response"
)

// batchCalls makes the lines of batches through the gateway, behind everybody who waits.
type batchCalls struct {
	gateway   *gateway.Gateway
	responses *response.Service
}

func (c batchCalls) Make(ctx context.Context, q batch.Call) batch.Answer {
	req := gateway.Request{Surface: q.Surface, Body: q.Body, Tags: q.Tags, Priority: "low", Service: q.Service}
	if q.Surface == llm.Responses {
		return c.respond(ctx, req)
	}
	a, err := c.gateway.Answer(ctx, &req)
	return batch.Answer{CallID: a.Row.ID, Status: a.Status, Body: a.Body, Cost: a.Row.Cost, Priced: a.Row.Priced, Service: a.Row.Service, Err: err}
}

// respond makes a response with all the calls it takes, kept and continued here like those of people: no provider is told
// of another's response.
func (c batchCalls) respond(ctx context.Context, wish gateway.Request) (all batch.Answer) {
	all.Priced = true
	w := &answer{header: http.Header{}}
	all.Err = c.responses.Create(ctx, wish.Body, 0, func(ctx context.Context, body []byte, epochs string, timeout time.Duration, w http.ResponseWriter) error {
		req := wish
		req.Body, req.Epochs, req.Timeout = body, epochs, timeout
		a, err := c.gateway.Answer(ctx, &req)
		all.CallID, all.Cost, all.Priced, all.Service = a.Row.ID, all.Cost.Add(a.Row.Cost), all.Priced && a.Row.Priced, a.Row.Service
		if err != nil {
			return err
		}
		w.WriteHeader(a.Status)
		_, err = w.Write(a.Body)
		return err
	}, w)
	all.Status, all.Body = w.status, w.body
	all.Priced = all.Priced && all.CallID != ""
	return all
}

// answer is what a response writes, held in memory.
type answer struct {
	header http.Header
	status int
	body   []byte
}

func (a *answer) Header() http.Header    { return a.header }
func (a *answer) WriteHeader(status int) { a.status = status }

func (a *answer) Write(p []byte) (int, error) {
	a.body = append(a.body, p...)
	return len(p), nil
}

// refusal is a fault as callers of the model API read it.
func refusal(err error) (int, []byte) {
	f := fault.As(err)
	return f.Kind.Status(), gateway.ErrorBody(f)
}

// batchFiles are ingestion's.
type batchFiles struct{ ingest *ingest.Pipeline }

func (b batchFiles) Find(ctx context.Context, fileID string) (batch.File, error) {
	f, err := b.ingest.GetFile(ctx, fileID)
	return batch.File{ID: f.ID, Purpose: f.Purpose, Bytes: f.Bytes}, err
}

func (b batchFiles) Open(ctx context.Context, fileID string) (io.ReadCloser, error) {
	r, _, err := b.ingest.FileContent(asBatch(ctx), fileID)
	return r, err
}

func (b batchFiles) Keep(ctx context.Context, o batch.Output) error {
	return b.ingest.KeepOutput(asBatch(ctx), ingest.File{ID: o.ID, Name: o.Name, Purpose: o.Purpose, MediaType: "application/jsonl", Workflow: o.Workflow, Tier: o.Tier}, o.Reader)
}

func (b batchFiles) Drop(ctx context.Context, fileID string) error {
	err := b.ingest.DeleteFile(asBatch(ctx), fileID)
	if fault.Is(err, fault.NotFound) { // its owner was quicker
		return nil
	}
	return err
}

// asBatch is the worker itself, for files of a batch whose maker was allowed to read them.
func asBatch(ctx context.Context) context.Context {
	return caller.With(ctx, &caller.Caller{Role: caller.System, KeyName: "batch", Clearance: caller.Restricted})
}
