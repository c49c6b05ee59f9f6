package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
)

// maxBatch is how many files can be attached with one batch.
const maxBatch = 500

// BatchFile is one file to attach.
type BatchFile struct {
	FileID     string
	Attributes map[string]any
}

// Batch is several files attached to a collection with one request, followed as one.
type Batch struct {
	ID           string
	CollectionID string
	Files        int        // attached with it
	Documents    []Document // of those that are still there
	Cancelled    bool
	CreatedAt    time.Time
}

// CreateBatch attaches files. All of them are looked up before the first is attached; a failure after that leaves what
// is attached, and the same batch may be sent again: what is there already is unchanged.
func (p *Pipeline) CreateBatch(ctx context.Context, collection string, files []BatchFile) (Batch, error) {
	if len(files) == 0 || len(files) > maxBatch {
		return Batch{}, fault.New(fault.Invalid, "batch_size", "a batch has 1 to %d files, not %d", maxBatch, len(files)).At("file_ids")
	}
	c, err := p.ownCollection(ctx, collection)
	if err != nil {
		return Batch{}, err
	}
	for _, f := range files {
		if _, err := p.GetFile(ctx, f.FileID); err != nil {
			return Batch{}, err
		}
	}
	var documents []string
	for _, f := range files {
		receipt, err := p.AttachFile(ctx, c.ID, f.FileID, f.Attributes)
		if err != nil {
			return Batch{}, err
		}
		documents = append(documents, receipt.DocumentID)
	}
	list, err := json.Marshal(documents)
	if err != nil {
		return Batch{}, err
	}
	batchID := id.New("batch")
	if _, err := p.DB.Exec(ctx, "INSERT INTO file_batches (id, collection_id, documents, created_by, created_at) VALUES (?, ?, ?, ?, ?)",
		batchID, c.ID, string(list), caller.From(ctx).Actor(), db.Micros(time.Now())); err != nil {
		return Batch{}, fmt.Errorf("create batch: %w", err)
	}
	return p.GetBatch(ctx, c.ID, batchID)
}

// GetBatch returns a batch of a collection the caller may change, with its documents as they are now.
func (p *Pipeline) GetBatch(ctx context.Context, collection, batchID string) (Batch, error) {
	c, err := p.ownCollection(ctx, collection)
	if err != nil {
		return Batch{}, err
	}
	b := Batch{ID: batchID, CollectionID: c.ID}
	var list string
	var created, cancelled int64
	err = p.DB.QueryRow(ctx, "SELECT documents, created_at, cancelled_at FROM file_batches WHERE id = ? AND collection_id = ?", batchID, c.ID).Scan(&list, &created, &cancelled)
	if db.IsNone(err) {
		return Batch{}, fault.New(fault.NotFound, "batch_not_found", "there is no file batch %q in the collection %q", batchID, c.Name)
	}
	if err != nil {
		return Batch{}, fmt.Errorf("get batch: %w", err)
	}
	b.CreatedAt, b.Cancelled = db.Time(created), cancelled != 0
	var documents []string
	if err := json.Unmarshal([]byte(list), &documents); err != nil {
		return Batch{}, fmt.Errorf("read batch %s: %w", batchID, err)
	}
	b.Files = len(documents)
	for _, documentID := range documents {
		doc, err := p.GetDocument(ctx, documentID)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return Batch{}, err
		}
		if doc.DeletedAt.IsZero() {
			b.Documents = append(b.Documents, doc)
		}
	}
	return b, nil
}

// CancelBatch detaches those files of a batch that are not searchable yet; the others stay.
func (p *Pipeline) CancelBatch(ctx context.Context, collection, batchID string) (Batch, error) {
	b, err := p.GetBatch(ctx, collection, batchID)
	if err != nil {
		return b, err
	}
	for _, doc := range b.Documents {
		if doc.Newest.Ended() {
			continue
		}
		if err := p.Delete(ctx, doc.ID); err != nil && !fault.Is(err, fault.NotFound) {
			return b, err
		}
	}
	if _, err := p.DB.Exec(ctx, "UPDATE file_batches SET cancelled_at = ? WHERE id = ? AND cancelled_at = 0", db.Micros(time.Now()), batchID); err != nil {
		return b, fmt.Errorf("cancel batch: %w", err)
	}
	return p.GetBatch(ctx, collection, batchID)
}
