package ingest

import (
	"time"

	"airfield/internal/caller"
)

// The states of a version: it is in exactly one at any moment.
const (
	Pending    = "pending"    // accepted, waits for a worker
	Running    = "running"    // on its way through the steps
	Live       = "live"       // found by searches
	Superseded = "superseded" // a newer version took its place
	Dead       = "dead"       // its run gave up: a dead letter
	Deleted    = "deleted"    // its document was deleted
)

// Document is something a source holds, by its name there. It keeps its id over versions and renames.
type Document struct {
	ID           string         `json:"id"`
	CollectionID string         `json:"collection_id"`
	Collection   string         `json:"collection"` // its name
	Source       string         `json:"source"`     // the source's name, upload, or files
	SourceKey    string         `json:"source_key"` // its name there: a path, a file's id
	Title        string         `json:"title"`
	Tier         caller.Tier    `json:"tier"`
	BusinessUnit string         `json:"business_unit,omitempty"`
	Type         string         `json:"type,omitempty"`
	Date         string         `json:"date,omitempty"`
	Tags         []string       `json:"tags"`
	Metadata     map[string]any `json:"metadata"` // the free fields
	LiveVersion  string         `json:"live_version_id,omitempty"`
	Newest       Version        `json:"newest"` // the version with the highest number, whatever became of it
	CreatedAt    time.Time      `json:"created_at"`
	UpdatedAt    time.Time      `json:"updated_at"`
	DeletedAt    time.Time      `json:"deleted_at,omitzero"`
}

// Version is one state of a document's bytes.
type Version struct {
	ID         string    `json:"id"`
	DocumentID string    `json:"document_id"`
	Number     int       `json:"number"`
	State      string    `json:"state"`
	Name       string    `json:"name"` // the file's name
	SHA256     string    `json:"sha256"`
	Bytes      int64     `json:"bytes"`
	MediaType  string    `json:"media_type"`
	Pages      int       `json:"pages,omitempty"`
	Partial    bool      `json:"partial,omitempty"` // some of it could not be read; Warnings say what
	Warnings   []string  `json:"warnings,omitempty"`
	Chunks     int       `json:"chunks,omitempty"` // filled where one version is asked for
	CreatedAt  time.Time `json:"created_at"`
	LiveAt     time.Time `json:"live_at,omitzero"`
	Run        *Run      `json:"run,omitempty"` // the newest of it
}

// Ended reports whether nothing more will happen to the version by itself.
func (v Version) Ended() bool { return v.State != Pending && v.State != Running }

// Run is one version's way through the steps, or a deletion's purge.
type Run struct {
	ID          string    `json:"id"`
	Kind        string    `json:"kind"`
	VersionID   string    `json:"version_id,omitempty"`
	State       string    `json:"state"`
	Step        string    `json:"step"`
	Attempts    int       `json:"attempts"` // failed ones, of this step
	Crashes     int       `json:"crashes,omitempty"`
	LeasedBy    string    `json:"leased_by,omitempty"`
	LeasedUntil time.Time `json:"leased_until,omitzero"`
	DueAt       time.Time `json:"due_at"`
	ErrorCode   string    `json:"error_code,omitempty"`
	Error       string    `json:"error,omitempty"`
	TraceID     string    `json:"trace_id,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	FinishedAt  time.Time `json:"finished_at,omitzero"`
	Steps       []Step    `json:"steps,omitempty"` // filled where one run is asked for
}

// Step is a step that was done.
type Step struct {
	Name      string         `json:"name"`
	Attempts  int            `json:"attempts"` // failed ones before it was done
	StartedAt time.Time      `json:"started_at"`
	EndedAt   time.Time      `json:"ended_at"`
	Detail    map[string]any `json:"detail,omitempty"`
}

// DocumentFilter narrows a list of documents.
type DocumentFilter struct {
	State  string // of the newest version
	Source string
	After  string // the id of the last document of the page before
	Limit  int    // 100 where 0, at most 1000
}

// ChunkRow is one chunk of a version, in reading order.
type ChunkRow struct {
	ID       string   `json:"id"`
	Ordinal  int      `json:"ordinal"`
	Heading  []string `json:"heading"`
	PageFrom int      `json:"page_from,omitempty"`
	PageTo   int      `json:"page_to,omitempty"`
	Kind     string   `json:"kind"`
	Tokens   int      `json:"tokens"`
	Text     string   `json:"text"`
}
