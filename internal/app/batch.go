package app

import (
	"context"
	"io"

	"airfield/internal/batch"
	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/ingest"
)

// batchCalls makes the lines of batches through the gateway, behind everybody who waits.
type batchCalls struct{ gateway *gateway.Gateway }

func (c batchCalls) Make(ctx context.Context, q batch.Call) batch.Answer {
	a, err := c.gateway.Answer(ctx, &gateway.Request{Surface: q.Surface, Body: q.Body, Tags: q.Tags, Priority: "low", Service: q.Service})
	return batch.Answer{CallID: a.Row.ID, Status: a.Status, Body: a.Body, Cost: a.Row.Cost, Priced: a.Row.Priced, Service: a.Row.Service, Err: err}
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
