package ingest

import (
	"time"

	"airfield/internal/ingest/chunk"
)

// Who owns a collection's configuration.
const (
	OwnerFile = "file" // airfield.yaml
	OwnerAPI  = "api"
)

// Collection is a set of documents with one schema, one way of cutting and one embedding.
type Collection struct {
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	Title        string            `json:"title,omitempty"` // as its creator calls it; several may have the same
	Owner        string            `json:"owner"`
	Workflow     string            `json:"workflow,omitempty"` // that created it, where the owner is api
	Config       CollectionConfig  `json:"config"`
	Metadata     map[string]string `json:"metadata,omitempty"` // what the creator attached to it
	GenerationID string            `json:"generation_id"`
	Model        string            `json:"model"`      // of the live generation
	Dimensions   int               `json:"dimensions"` // 0 until the first vector
	Cut          int64             `json:"-"`          // of the live generation: which manifests are its
	Chunking     chunk.Config      `json:"chunking"`   // of the live generation
	Epoch        int64             `json:"epoch"`
	Sequence     int64             `json:"sequence"`
	CreatedAt    time.Time         `json:"created_at"`
	UpdatedAt    time.Time         `json:"updated_at"`
	MissingSince time.Time         `json:"missing_since,omitzero"` // it is owned by airfield.yaml and no longer in it
}

// NewCollection is what a collection is created from.
type NewCollection struct {
	Title    string // any text; the name is made from it, or from the id where it is empty
	Config   *CollectionConfig
	Metadata map[string]string
}

// CollectionUpdate changes what is not nil.
type CollectionUpdate struct {
	Title    *string
	Config   *CollectionConfig
	Metadata map[string]string
}

// Status counts what a collection holds.
type Status struct {
	Documents int            `json:"documents"` // not deleted
	Versions  map[string]int `json:"versions"`  // by state; the newest of each document that is not deleted
	Live      int            `json:"live"`      // documents that searches find
	Chunks    int            `json:"chunks"`    // of live versions
	Bytes     int64          `json:"bytes"`     // of live versions
	Purging   int            `json:"purging"`   // deletions whose purge is not done
	Sources   []Source       `json:"sources,omitempty"`
}
