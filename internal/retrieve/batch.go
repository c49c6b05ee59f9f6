package retrieve

import (
	"context"
	"fmt"

	"airfield/internal/fault"
	"airfield/internal/index"
)

// What one write to the index holds at the most, so that memory is bounded whatever the documents.
const (
	batchDocuments = 64
	batchChunks    = 1000
)

// batch gathers documents for one write.
type batch struct {
	feed      *Feed
	claim     index.Claim
	c         collection
	documents []index.Document
	chunks    int
}

func (f *Feed) batch(claim index.Claim, c collection) *batch {
	return &batch{feed: f, claim: claim, c: c}
}

// add reads what is live of a document. A full batch is written without moving the position, which only flush does.
func (b *batch) add(ctx context.Context, documentID string) error {
	d, err := liveDocument(ctx, b.feed.db, b.c.generation, b.c.cut, documentID)
	if err != nil {
		return err
	}
	b.documents = append(b.documents, d)
	if b.chunks += len(d.Chunks); b.chunks < batchChunks && len(b.documents) < batchDocuments {
		return nil
	}
	return b.flush(ctx, 0)
}

// flush writes, and records the position where it is above zero.
func (b *batch) flush(ctx context.Context, sequence int64) error {
	if len(b.documents) == 0 && sequence == 0 {
		return nil
	}
	documents := b.documents
	b.documents, b.chunks = nil, 0
	err := b.claim.Replace(ctx, documents, sequence)
	if fault.Is(err, fault.Invalid) {
		err = b.oneByOne(ctx, documents, sequence)
	}
	if err != nil {
		return fmt.Errorf("feed the index of collection %s: %w", b.c.name, err)
	}
	return nil
}

// oneByOne keeps a document that the index refuses from holding up the others: it is taken out and reported.
func (b *batch) oneByOne(ctx context.Context, documents []index.Document, sequence int64) error {
	for _, d := range documents {
		err := b.claim.Replace(ctx, []index.Document{d}, 0)
		if fault.Is(err, fault.Invalid) {
			b.feed.log.Error("the index refuses a document; it cannot be found until it is ingested again", "collection", b.c.name, "document", d.ID, "error", err)
			err = b.claim.Replace(ctx, []index.Document{{ID: d.ID}}, 0)
		}
		if err != nil {
			return err
		}
	}
	return b.claim.Replace(ctx, nil, sequence)
}
