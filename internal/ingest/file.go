package ingest

import (
	"context"
	"io"
	"path"
	"strings"
	"time"

	"airfield/internal/access"
	"airfield/internal/bucket"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
)

// File is an upload that belongs to a workflow and, until it is attached, to no collection.
type File struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Purpose   string      `json:"purpose"`
	Bytes     int64       `json:"bytes"`
	SHA256    string      `json:"sha256"`
	MediaType string      `json:"media_type"`
	Workflow  string      `json:"workflow"`
	Tier      caller.Tier `json:"tier"` // the clearance of who uploaded it: nobody with less may read it
	CreatedAt time.Time   `json:"created_at"`
}

// NewFile is what a file is made from.
type NewFile struct {
	Name      string
	Purpose   string
	MediaType string
	Reader    io.Reader
}

// FileFilter narrows a list of files.
type FileFilter struct {
	Purpose string
	After   string
	Limit   int // 100 where 0, at most 1000
}

func fileKey(fileID string) string { return "files/" + fileID }

const fileColumns = "SELECT id, name, purpose, bytes, sha256, media_type, workflow, tier, created_at FROM files"

func scanFile(row scanner) (f File, err error) {
	var created int64
	err = row.Scan(&f.ID, &f.Name, &f.Purpose, &f.Bytes, &f.SHA256, &f.MediaType, &f.Workflow, &f.Tier, &created)
	f.CreatedAt = db.Time(created)
	return f, err
}

// PurposeOutput is what files are for that Airfield writes itself; nobody uploads one.
const PurposeOutput = "batch_output"

// KeepOutput keeps a file that Airfield wrote for a workflow. One of the same id is replaced: writing it again, after a crash,
// leaves one file.
func (p *Pipeline) KeepOutput(ctx context.Context, f File, content io.Reader) error {
	o, err := p.Bucket.Put(ctx, fileKey(f.ID), content, bucket.PutOptions{MediaType: f.MediaType})
	if err != nil {
		return err
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO files (id, name, purpose, bytes, sha256, media_type, bucket_key, bucket_version, workflow, tier, created_by, created_at)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes, sha256 = excluded.sha256, bucket_version = excluded.bucket_version`,
			f.ID, f.Name, f.Purpose, o.Size, o.SHA256, f.MediaType, o.Key, o.Version, f.Workflow, int(f.Tier), caller.From(ctx).Actor(), db.Micros(time.Now())); err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "file.create", Target: f.ID, Detail: map[string]any{"name": f.Name, "sha256": o.SHA256, "bytes": o.Size}})
	})
}

// CreateFile keeps a file of the caller's workflow.
func (p *Pipeline) CreateFile(ctx context.Context, n NewFile) (File, error) {
	who := caller.From(ctx)
	if who == nil || (who.Role != caller.Workflow && !who.Is(caller.Operator)) {
		return File{}, fault.New(fault.Denied, "file_create", "this key may not upload files")
	}
	f := File{ID: id.New("file"), Name: storable(path.Base(strings.ReplaceAll(n.Name, `\`, "/"))), Purpose: storable(n.Purpose), MediaType: n.MediaType, Workflow: who.Workflow, Tier: who.Clearance, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
	if n.Name == "" || len(f.Name) > 1024 {
		return File{}, fault.New(fault.Invalid, "file_name", "a file needs a name of at most 1024 bytes").At("file")
	}
	if err := checkPurpose(f.Purpose); err != nil {
		return File{}, err
	}
	o, err := p.Bucket.Put(ctx, fileKey(f.ID), n.Reader, bucket.PutOptions{MediaType: n.MediaType, MaxBytes: p.config.MaxUploadBytes})
	if err != nil {
		return File{}, err
	}
	f.Bytes, f.SHA256 = o.Size, o.SHA256
	err = p.DB.Tx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO files (id, name, purpose, bytes, sha256, media_type, bucket_key, bucket_version, workflow, tier, created_by, created_at)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?)`, f.ID, f.Name, f.Purpose, f.Bytes, f.SHA256, f.MediaType, o.Key, o.Version, f.Workflow, int(f.Tier), who.Actor(), db.Micros(f.CreatedAt)); err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "file.create", Target: f.ID, Detail: map[string]any{"name": f.Name, "sha256": f.SHA256, "bytes": f.Bytes}})
	})
	if err != nil {
		p.dropUnnamed(ctx, "files", f.ID, fileKey(f.ID))
		return File{}, err
	}
	return f, nil
}

func checkPurpose(purpose string) error {
	if len(purpose) > 64 {
		return fault.New(fault.Invalid, "file_purpose", "a file's purpose has at most 64 bytes").At("purpose")
	}
	if purpose == PurposeOutput {
		return fault.New(fault.Invalid, "file_purpose", "files for %s are written by Airfield and not uploaded", PurposeOutput).At("purpose")
	}
	return nil
}

// SetPurpose says what a file is for, where that came after its bytes.
func (p *Pipeline) SetPurpose(ctx context.Context, fileID, purpose string) (File, error) {
	f, err := p.GetFile(ctx, fileID)
	if err != nil {
		return f, err
	}
	f.Purpose = storable(purpose)
	if err := checkPurpose(f.Purpose); err != nil {
		return f, err
	}
	_, err = p.DB.Exec(ctx, "UPDATE files SET purpose = ? WHERE id = ?", f.Purpose, f.ID)
	return f, err
}

// mayRead reports whether a file is the caller's workflow's, and within its clearance: one workflow has keys of several.
func (f File) mayRead(who *caller.Caller) bool {
	return who.Is(caller.Operator) || (who.Owns(f.Workflow) && who.Clearance.Sees(f.Tier))
}

// GetFile returns a file of the caller's workflow.
func (p *Pipeline) GetFile(ctx context.Context, fileID string) (File, error) {
	f, err := scanFile(p.DB.QueryRow(ctx, fileColumns+" WHERE id = ?", fileID))
	if db.IsNone(err) || (err == nil && !f.mayRead(caller.From(ctx))) {
		return File{}, noFile(fileID)
	}
	return f, err
}

func noFile(fileID string) error {
	return fault.New(fault.NotFound, "file_not_found", "there is no file %q", fileID)
}

// ListFiles returns the files of the caller's workflow that it may read, oldest first; an operator sees everybody's.
func (p *Pipeline) ListFiles(ctx context.Context, f FileFilter) ([]File, error) {
	query, args := fileColumns+" WHERE id > ?", []any{f.After}
	if who := caller.From(ctx); !who.Is(caller.Operator) {
		if who == nil || who.Workflow == "" {
			return []File{}, nil
		}
		query, args = query+" AND workflow = ? AND tier >= ? AND tier <= ?", append(args, who.Workflow, int(caller.Public), int(who.Clearance))
	}
	if f.Purpose != "" {
		query, args = query+" AND purpose = ?", append(args, f.Purpose)
	}
	return collect(ctx, p.DB, scanFile, query+" ORDER BY id LIMIT ?", append(args, pageSize(f.Limit))...)
}

// FileContent opens a file's bytes.
func (p *Pipeline) FileContent(ctx context.Context, fileID string) (io.ReadCloser, File, error) {
	f, err := p.GetFile(ctx, fileID)
	if err != nil {
		return nil, f, err
	}
	r, _, err := p.Bucket.Get(ctx, fileKey(f.ID), "")
	return r, f, err
}

// DeleteFile removes a file, and the documents made of it in every collection. The row and the documents go in one
// transaction; bytes that a crash then leaves are removed by the sweep.
func (p *Pipeline) DeleteFile(ctx context.Context, fileID string) error {
	f, err := p.GetFile(ctx, fileID)
	if err != nil {
		return err
	}
	err = p.DB.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, "DELETE FROM files WHERE id = ?", f.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return noFile(fileID)
		}
		docs, err := collect(ctx, tx, scanDocRow, docRowColumns+" WHERE source = ? AND source_key = ? AND deleted_at IS NULL ORDER BY id", SourceFiles, f.ID)
		if err != nil {
			return err
		}
		for _, doc := range docs {
			c, err := findCollection(ctx, tx, doc.Collection)
			if err != nil {
				return err
			}
			if _, err := p.remove(ctx, tx, c, doc.ID); err != nil {
				return err
			}
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "file.delete", Target: f.ID, Detail: map[string]any{"name": f.Name, "sha256": f.SHA256, "documents": len(docs)}})
	})
	if err != nil {
		return err
	}
	p.drop(ctx, fileKey(f.ID))
	return nil
}

// AttachFile makes a document of a file: source "files", key the file's id. attributes are metadata in the flat form;
// the bytes are copied, so that document and file can be deleted without each other.
func (p *Pipeline) AttachFile(ctx context.Context, collection, fileID string, attributes map[string]any) (Receipt, error) {
	m, err := ParseMetadata(attributes)
	if err != nil {
		return Receipt{}, err
	}
	r, f, err := p.FileContent(ctx, fileID)
	if err != nil {
		return Receipt{}, err
	}
	defer r.Close()
	return p.Upload(ctx, collection, Upload{Name: f.Name, Source: SourceFiles, SourceKey: f.ID, Reader: r, MediaType: f.MediaType, Metadata: m})
}

// AttachedFile returns the document that a file is in a collection.
func (p *Pipeline) AttachedFile(ctx context.Context, collection, fileID string) (Document, error) {
	return p.FindDocument(ctx, collection, SourceFiles, fileID)
}

// DetachFile removes a file's document from a collection; the file stays.
func (p *Pipeline) DetachFile(ctx context.Context, collection, fileID string) error {
	d, err := p.AttachedFile(ctx, collection, fileID)
	if err != nil {
		return err
	}
	return p.Delete(ctx, d.ID)
}
