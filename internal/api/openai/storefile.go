package openai

import (
	"context"
	"net/http"
	"strings"

	"airfield/internal/fault"
	"airfield/internal/id"
	"airfield/internal/ingest"
)

// pollHeader tells the SDKs' createAndPoll how soon to ask again; without it they wait five seconds.
func pollHeader(w http.ResponseWriter) { w.Header().Set("openai-poll-after-ms", "100") }

type attachRequest struct {
	FileID     string         `json:"file_id"`
	Attributes map[string]any `json:"attributes"`
	Chunking   *chunking      `json:"chunking_strategy"`
}

func (q attachRequest) check() error {
	if q.Chunking != nil && q.Chunking.Type == "static" {
		return fault.New(fault.Invalid, "chunking_strategy", "chunking belongs to the vector store, not to a file in it").Hinted("give chunking_strategy to vector_stores.create").At("chunking_strategy")
	}
	return nil
}

func (d *Door) attachFile(w http.ResponseWriter, r *http.Request) (any, error) {
	var q attachRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	receipt, err := d.Ingest.AttachFile(r.Context(), r.PathValue("store"), q.FileID, q.Attributes)
	if err != nil {
		return nil, err
	}
	doc, err := d.Ingest.GetDocument(r.Context(), receipt.DocumentID)
	if err != nil {
		return nil, err
	}
	pollHeader(w)
	return storeFileObject(doc), nil
}

// document finds what a file is in a store: by the file's id, or by the document's where a source brought it.
func (d *Door) document(ctx context.Context, store, file string) (ingest.Document, error) {
	if !id.Has(file, "doc") {
		return d.Ingest.AttachedFile(ctx, store, file)
	}
	doc, err := d.Ingest.GetDocument(ctx, file)
	if err == nil && doc.CollectionID != store && doc.Collection != store {
		err = fault.New(fault.NotFound, "file_not_found", "there is no file %q in the vector store %q", file, store)
	}
	return doc, err
}

func (d *Door) listStoreFiles(_ http.ResponseWriter, r *http.Request) (any, error) {
	after, limit, err := paging(r, 20)
	if err != nil {
		return nil, err
	}
	f := ingest.DocumentFilter{After: after, Limit: limit + 1}
	if after != "" {
		doc, err := d.document(r.Context(), r.PathValue("store"), after)
		if err != nil {
			return nil, err
		}
		f.After = doc.ID
	}
	switch filter := r.URL.Query().Get("filter"); filter {
	case "":
	case "completed":
		f.State = ingest.Live
	case "failed":
		f.State = ingest.Dead
	case "in_progress":
		f.State = ingest.Pending
	case "cancelled":
		f.State = ingest.Superseded
	default:
		return nil, fault.New(fault.Invalid, "filter", "filter must be in_progress, completed, failed or cancelled, not %q", filter).At("filter")
	}
	docs, err := d.Ingest.ListDocuments(r.Context(), r.PathValue("store"), f)
	if err != nil {
		return nil, err
	}
	return page(docs, limit, storeFileObject, fileID), nil
}

func (d *Door) getStoreFile(w http.ResponseWriter, r *http.Request) (any, error) {
	doc, err := d.document(r.Context(), r.PathValue("store"), r.PathValue("file"))
	if err != nil {
		return nil, err
	}
	pollHeader(w)
	return storeFileObject(doc), nil
}

func (d *Door) updateStoreFile(_ http.ResponseWriter, r *http.Request) (any, error) {
	var q attachRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	doc, err := d.document(r.Context(), r.PathValue("store"), r.PathValue("file"))
	if err != nil {
		return nil, err
	}
	m, err := ingest.ParseMetadata(q.Attributes)
	if err != nil {
		return nil, err
	}
	if doc, err = d.Ingest.UpdateMetadata(r.Context(), doc.ID, m); err != nil {
		return nil, err
	}
	return storeFileObject(doc), nil
}

func (d *Door) detachFile(_ http.ResponseWriter, r *http.Request) (any, error) {
	store, file := r.PathValue("store"), r.PathValue("file")
	doc, err := d.document(r.Context(), store, file)
	if err != nil {
		return nil, err
	}
	if doc.Source == "files" {
		err = d.Ingest.DetachFile(r.Context(), store, doc.SourceKey)
	} else {
		err = d.Ingest.Delete(r.Context(), doc.ID)
	}
	if err != nil {
		return nil, err
	}
	return deleted("vector_store.file", file), nil
}

// storeFileContent shows the text as it was cut.
func (d *Door) storeFileContent(_ http.ResponseWriter, r *http.Request) (any, error) {
	doc, err := d.document(r.Context(), r.PathValue("store"), r.PathValue("file"))
	if err != nil {
		return nil, err
	}
	chunks, err := d.Ingest.ListChunks(r.Context(), doc.ID, 0)
	if err != nil {
		return nil, err
	}
	content := []any{}
	for _, c := range chunks {
		content = append(content, map[string]any{"type": "text", "text": c.Text})
	}
	return map[string]any{"object": "vector_store.file_content.page", "data": content, "has_more": false, "next_page": nil}, nil
}

func fileID(doc ingest.Document) string {
	if doc.Source == "files" {
		return doc.SourceKey
	}
	return doc.ID
}

func storeFileObject(doc ingest.Document) any {
	v := doc.Newest
	status := fileStatus(v.State)
	var lastError any
	if v.State == ingest.Dead && v.Run != nil {
		code := "invalid_file"
		if strings.HasPrefix(v.Run.ErrorCode, "unsupported") {
			code = "unsupported_file"
		}
		lastError = map[string]any{"code": code, "message": v.Run.ErrorCode + ": " + v.Run.Error}
	}
	return map[string]any{
		"id": fileID(doc), "object": "vector_store.file", "created_at": doc.CreatedAt.Unix(), "vector_store_id": doc.CollectionID, "usage_bytes": v.Bytes,
		"status": status, "last_error": lastError, "attributes": attributes(doc), "filename": v.Name, "document_id": doc.ID, "version": v.Number,
		"chunking_strategy": map[string]any{"type": "other"},
	}
}

// attributes are a document's metadata in the flat form, lists as text: the hosted API knows texts, numbers and booleans.
func attributes(doc ingest.Document) map[string]any {
	m := ingest.Metadata{Title: doc.Title, Tier: doc.Tier, BusinessUnit: doc.BusinessUnit, Type: doc.Type, Date: doc.Date, Tags: doc.Tags, Fields: doc.Metadata}
	flat := m.Flat()
	for key, value := range flat {
		switch l := value.(type) {
		case []string:
			if flat[key] = strings.Join(l, ","); len(l) == 0 {
				delete(flat, key)
			}
		case []any:
			texts := make([]string, len(l))
			for i, v := range l {
				texts[i], _ = v.(string)
			}
			flat[key] = strings.Join(texts, ",")
		}
	}
	return flat
}

type batchRequest struct {
	FileIDs    []string        `json:"file_ids"`
	Files      []attachRequest `json:"files"`
	Attributes map[string]any  `json:"attributes"`
	Chunking   *chunking       `json:"chunking_strategy"`
}

func (d *Door) createBatch(w http.ResponseWriter, r *http.Request) (any, error) {
	var q batchRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	files := q.Files
	for _, f := range q.FileIDs {
		files = append(files, attachRequest{FileID: f, Attributes: q.Attributes, Chunking: q.Chunking})
	}
	var list []ingest.BatchFile
	for _, f := range files {
		if err := f.check(); err != nil {
			return nil, err
		}
		list = append(list, ingest.BatchFile{FileID: f.FileID, Attributes: f.Attributes})
	}
	b, err := d.Ingest.CreateBatch(r.Context(), r.PathValue("store"), list)
	if err != nil {
		return nil, err
	}
	pollHeader(w)
	return batchObject(b), nil
}

func (d *Door) getBatch(w http.ResponseWriter, r *http.Request) (any, error) {
	b, err := d.Ingest.GetBatch(r.Context(), r.PathValue("store"), r.PathValue("batch"))
	if err != nil {
		return nil, err
	}
	pollHeader(w)
	return batchObject(b), nil
}

func (d *Door) cancelBatch(_ http.ResponseWriter, r *http.Request) (any, error) {
	b, err := d.Ingest.CancelBatch(r.Context(), r.PathValue("store"), r.PathValue("batch"))
	if err != nil {
		return nil, err
	}
	return batchObject(b), nil
}

func (d *Door) listBatchFiles(_ http.ResponseWriter, r *http.Request) (any, error) {
	b, err := d.Ingest.GetBatch(r.Context(), r.PathValue("store"), r.PathValue("batch"))
	if err != nil {
		return nil, err
	}
	return page(b.Documents, len(b.Documents), storeFileObject, fileID), nil
}

func batchObject(b ingest.Batch) any {
	var n counts
	for _, doc := range b.Documents {
		n.Total++
		switch fileStatus(doc.Newest.State) {
		case "in_progress":
			n.InProgress++
		case "completed":
			n.Completed++
		case "failed":
			n.Failed++
		default:
			n.Cancelled++
		}
	}
	gone := b.Files - n.Total // detached or deleted since
	n.Total, n.Cancelled = n.Total+gone, n.Cancelled+gone
	status := "completed"
	switch {
	case b.Cancelled:
		status = "cancelled"
	case n.InProgress > 0:
		status = "in_progress"
	case n.Total > 0 && n.Failed == n.Total:
		status = "failed"
	}
	return map[string]any{"id": b.ID, "object": "vector_store.files_batch", "created_at": b.CreatedAt.Unix(), "vector_store_id": b.CollectionID, "status": status, "file_counts": n}
}
