package ingest

import (
	"context"
	"errors"
	"io"
	"time"

	"airfield/internal/db"
)

var errLater = errors.ErrUnsupported

// Queue wakes the pipeline for a run: at once or at a time, at least once. jobs satisfies it.
type Queue interface {
	Wake(ctx context.Context, tx *db.Tx, runID string, priority int, at time.Time) error
}

// Priorities of runs: lower is sooner.
const (
	PriorityUpload   = 1 // somebody waits
	PriorityChange   = 2 // a watched source changed
	PriorityBackfill = 3 // a source is read for the first time
	PriorityPurge    = 2
)

// Sync brings the collections that airfield.yaml owns in line with it. One that vanished from the file is kept and
// marked; the warnings say so. Called by the wiring with a system caller, at the start and at every reload.
func (p *Pipeline) Sync(ctx context.Context, want map[string]CollectionConfig) (warnings []string, err error) {
	return nil, errLater
}

// CreateCollection makes a collection that the API owns, for the caller's workflow.
func (p *Pipeline) CreateCollection(ctx context.Context, n NewCollection) (Collection, error) {
	return Collection{}, errLater
}

// GetCollection returns a collection the caller reads, by name or id.
func (p *Pipeline) GetCollection(ctx context.Context, nameOrID string) (Collection, error) {
	return Collection{}, errLater
}

// ListCollections returns the collections the caller reads, by name.
func (p *Pipeline) ListCollections(ctx context.Context) ([]Collection, error) { return nil, errLater }

// CollectionUpdate changes what is not nil.
type CollectionUpdate struct {
	Name     *string
	Config   *CollectionConfig
	Metadata map[string]string
}

// UpdateCollection changes a collection that the API owns.
func (p *Pipeline) UpdateCollection(ctx context.Context, nameOrID string, u CollectionUpdate) (Collection, error) {
	return Collection{}, errLater
}

// DeleteCollection hides a collection and its documents at once and purges them durably. One that airfield.yaml owns
// and still holds is refused.
func (p *Pipeline) DeleteCollection(ctx context.Context, nameOrID string) error { return errLater }

// Status counts what a collection holds.
func (p *Pipeline) Status(ctx context.Context, nameOrID string) (Status, error) {
	return Status{}, errLater
}

// Upload is one file on its way in.
type Upload struct {
	Name      string    // the file's name; its extension counts
	Source    string    // upload where empty
	SourceKey string    // its name in the source: Name where empty
	Reader    io.Reader // its bytes
	MediaType string    // as declared, or ""
	Metadata  Metadata  // as given with it
	Priority  int       // PriorityUpload where 0
}

// Receipt says what became of an upload.
type Receipt struct {
	DocumentID string `json:"document_id"`
	VersionID  string `json:"version_id"`
	Number     int    `json:"number"`
	Change     string `json:"change"` // created, version, metadata, unchanged
	SHA256     string `json:"sha256"`
	Bytes      int64  `json:"bytes"`
}

// Upload accepts a file: a new document, a new version of the one with the same source and key, changed metadata, or
// nothing new. When it returns, the bytes and the run are durable.
func (p *Pipeline) Upload(ctx context.Context, collection string, u Upload) (Receipt, error) {
	return Receipt{}, errLater
}

// GetDocument returns a document by its id, with its newest version and that one's run.
func (p *Pipeline) GetDocument(ctx context.Context, id string) (Document, error) {
	return Document{}, errLater
}

// FindDocument returns a document of a collection by its name in the source.
func (p *Pipeline) FindDocument(ctx context.Context, collection, source, sourceKey string) (Document, error) {
	return Document{}, errLater
}

// ListDocuments returns documents in the order of their ids.
func (p *Pipeline) ListDocuments(ctx context.Context, collection string, f DocumentFilter) ([]Document, error) {
	return nil, errLater
}

// UpdateMetadata replaces what was given with the document. Nothing is embedded again.
func (p *Pipeline) UpdateMetadata(ctx context.Context, documentID string, m Metadata) (Document, error) {
	return Document{}, errLater
}

// ListVersions returns a document's versions, newest first.
func (p *Pipeline) ListVersions(ctx context.Context, documentID string) ([]Version, error) {
	return nil, errLater
}

// ListChunks returns the chunks of a version in reading order; of the live one where version is 0.
func (p *Pipeline) ListChunks(ctx context.Context, documentID string, version int) ([]ChunkRow, error) {
	return nil, errLater
}

// Content opens the bytes of a version, of the live one (or the newest, where none is) where version is 0.
func (p *Pipeline) Content(ctx context.Context, documentID string, version int) (io.ReadCloser, Version, error) {
	return nil, Version{}, errLater
}

// Versions returns versions by their ids, in that order, for progress.
func (p *Pipeline) Versions(ctx context.Context, ids []string) ([]Version, error) {
	return nil, errLater
}

// Wait blocks until nothing more happens to the versions by itself, and returns them; each, where given, is called
// whenever something changed.
func (p *Pipeline) Wait(ctx context.Context, ids []string, each func([]Version)) ([]Version, error) {
	return nil, errLater
}

// Delete hides a document at once and purges it durably.
func (p *Pipeline) Delete(ctx context.Context, documentID string) error { return errLater }

// Proof says what a deletion removed and what is left.
type Proof struct {
	DocumentID   string           `json:"document_id,omitempty"`
	CollectionID string           `json:"collection_id"`
	DeletedAt    time.Time        `json:"deleted_at"`
	PurgedAt     time.Time        `json:"purged_at"`
	Removed      map[string]int64 `json:"removed"` // rows, objects and bytes by store
	Left         map[string]int64 `json:"left"`    // counted afterwards: all zero
	Scope        string           `json:"scope"`   // what a deletion does not reach, and until when
}

// Proof returns the proof of a document's deletion, once its purge is done.
func (p *Pipeline) Proof(ctx context.Context, documentID string) (Proof, error) {
	return Proof{}, errLater
}

// DeadLetter is a run that gave up.
type DeadLetter struct {
	Run        Run    `json:"run"`
	DocumentID string `json:"document_id"`
	Collection string `json:"collection"`
	Source     string `json:"source"`
	SourceKey  string `json:"source_key"`
	Number     int    `json:"number"` // of the version
}

// DeadLetterFilter narrows a list of dead letters.
type DeadLetterFilter struct {
	Collection string
	Code       string
	After      string // the run id of the last one of the page before
	Limit      int    // 100 where 0
}

// ListDeadLetters returns dead letters in the order of their runs' ids.
func (p *Pipeline) ListDeadLetters(ctx context.Context, f DeadLetterFilter) ([]DeadLetter, error) {
	return nil, errLater
}

// GetDeadLetter returns one, with the steps that were done, by the id of its run.
func (p *Pipeline) GetDeadLetter(ctx context.Context, runID string) (DeadLetter, error) {
	return DeadLetter{}, errLater
}

// Replay puts a dead letter on its way again, from the step that failed.
func (p *Pipeline) Replay(ctx context.Context, runID string) error { return errLater }

// ReplayAll replays every dead letter that the filter matches, and counts them.
func (p *Pipeline) ReplayAll(ctx context.Context, f DeadLetterFilter) (int, error) {
	return 0, errLater
}

// Discard gives up a dead letter for good: its version is deleted; a document that never was live goes with it.
func (p *Pipeline) Discard(ctx context.Context, runID string) error { return errLater }

// Explanation says in words where a document stands.
type Explanation struct {
	Document Document `json:"document"`
	Lines    []string `json:"lines"`
	Queue    int      `json:"queue,omitempty"` // runs that come before it
}

// Why explains where a document stands: by its id, or by its name in a source.
func (p *Pipeline) Why(ctx context.Context, idOrPath string) (Explanation, error) {
	return Explanation{}, errLater
}

// File is an upload that belongs to no collection yet.
type File struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Purpose   string    `json:"purpose"`
	Bytes     int64     `json:"bytes"`
	SHA256    string    `json:"sha256"`
	MediaType string    `json:"media_type"`
	Workflow  string    `json:"workflow"`
	CreatedAt time.Time `json:"created_at"`
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

// CreateFile keeps a file of the caller's workflow.
func (p *Pipeline) CreateFile(ctx context.Context, n NewFile) (File, error) { return File{}, errLater }

// GetFile returns a file of the caller's workflow.
func (p *Pipeline) GetFile(ctx context.Context, id string) (File, error) { return File{}, errLater }

// ListFiles returns the files of the caller's workflow, oldest first.
func (p *Pipeline) ListFiles(ctx context.Context, f FileFilter) ([]File, error) { return nil, errLater }

// FileContent opens a file's bytes.
func (p *Pipeline) FileContent(ctx context.Context, id string) (io.ReadCloser, File, error) {
	return nil, File{}, errLater
}

// DeleteFile removes a file, and the documents made of it in every collection.
func (p *Pipeline) DeleteFile(ctx context.Context, id string) error { return errLater }

// AttachFile makes a document of a file: source "files", key the file's id. attributes are metadata in the flat form.
func (p *Pipeline) AttachFile(ctx context.Context, collection, fileID string, attributes map[string]any) (Receipt, error) {
	return Receipt{}, errLater
}

// AttachedFile returns the document that a file is in a collection.
func (p *Pipeline) AttachedFile(ctx context.Context, collection, fileID string) (Document, error) {
	return Document{}, errLater
}

// DetachFile removes a file's document from a collection; the file stays.
func (p *Pipeline) DetachFile(ctx context.Context, collection, fileID string) error { return errLater }

// Source is a place that is watched, and how it is.
type Source struct {
	ID           string       `json:"id"`
	CollectionID string       `json:"collection_id"`
	Collection   string       `json:"collection"`
	Name         string       `json:"name"`
	Kind         string       `json:"kind"`
	State        string       `json:"state"` // ok, warning, held
	Message      string       `json:"message,omitempty"`
	ScannedAt    time.Time    `json:"scanned_at,omitzero"`
	Config       SourceConfig `json:"config"`
}

// ListSources returns the sources of a collection, or of all where it is empty.
func (p *Pipeline) ListSources(ctx context.Context, collection string) ([]Source, error) {
	return nil, errLater
}

// Confirm lets a source that is held remove what it holds back.
func (p *Pipeline) Confirm(ctx context.Context, collection, source string) error { return errLater }

// Work does what is left of a run, step by step; a run that another worker holds, or that ended, is left alone.
func (p *Pipeline) Work(ctx context.Context, runID string) error { return errLater }

// Sweep wakes runs that were forgotten and removes left-over bytes.
func (p *Pipeline) Sweep(ctx context.Context) error { return errLater }

// Recover frees every lease: only where no other process can be at work, at an embedded start.
func (p *Pipeline) Recover(ctx context.Context) error { return errLater }
