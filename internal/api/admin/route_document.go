package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

// CollectionStatus is a collection with what it holds.
type CollectionStatus struct {
	ingest.Collection
	Status ingest.Status `json:"status"`
	Index  *IndexSize    `json:"index,omitempty"` // for those who administrate
}

// IndexSize is what a collection's vectors and keywords come to.
type IndexSize struct {
	Documents  int   `json:"documents"`
	Chunks     int   `json:"chunks"`
	Vectors    int   `json:"vectors"`
	Dimensions int   `json:"dimensions"`
	Bytes      int64 `json:"bytes"` // on this process's disk, or in PostgreSQL
}

type nameIn struct {
	Name string `path:"name" doc:"Name or id of the collection."`
}

type documentIn struct {
	ID string `path:"id" doc:"Id of the document."`
}

type listDocumentsIn struct {
	Name   string `path:"name" doc:"Name or id of the collection."`
	State  string `query:"state" enum:"pending,running,live,superseded,dead" doc:"State of the newest version."`
	Source string `query:"source"`
	After  string `query:"after" doc:"Id of the last document of the page before."`
	Limit  int    `query:"limit" minimum:"0" maximum:"1000"`
}

type versionsIn struct {
	Body struct {
		IDs []string `json:"ids" maxItems:"10000"`
	}
}

type chunksIn struct {
	ID      string `path:"id" doc:"Id of the document."`
	Version int    `query:"version" minimum:"0" doc:"0: the live one."`
}

type deadIn struct {
	Collection string `query:"collection"`
	Code       string `query:"code"`
	OlderThan  int64  `query:"older_than_seconds" minimum:"0" maximum:"3153600000" doc:"Only those that gave up so long ago."`
	After      string `query:"after" doc:"Id of the last run of the page before."`
	Limit      int    `query:"limit" minimum:"0" maximum:"1000"`
}

func (f deadIn) filter() ingest.DeadLetterFilter {
	filter := ingest.DeadLetterFilter{Collection: f.Collection, Code: f.Code, After: f.After, Limit: f.Limit}
	if f.OlderThan > 0 {
		filter.Before = time.Now().Add(-time.Duration(f.OlderThan) * time.Second)
	}
	return filter
}

type runIn struct {
	Run string `path:"run" doc:"Id of the run."`
}

type whyIn struct {
	Document string `query:"document" required:"true" doc:"Id of a document, or its name in a source."`
}

type sourceIn struct {
	Name   string `path:"name" doc:"Name or id of the collection."`
	Source string `path:"source"`
}

// Count is how many things were done.
type Count struct {
	Count int `json:"count"`
}

func (d *Door) registerDocuments(a huma.API) {
	add(a, d.Log, route{http.MethodGet, "/api/collections", "listCollections", "Collections and what they hold", everybody}, d.listCollections)
	add(a, d.Log, route{http.MethodGet, "/api/collections/{name}", "getCollection", "One collection", everybody}, func(ctx context.Context, in *nameIn) (CollectionStatus, error) {
		c, err := d.Ingest.GetCollection(ctx, in.Name)
		if err != nil {
			return CollectionStatus{}, err
		}
		return d.withStatus(ctx, c)
	})
	add(a, d.Log, route{http.MethodDelete, "/api/collections/{name}", "deleteCollection", "Delete a collection made through the API, with its documents", documents}, func(ctx context.Context, in *nameIn) (none, error) {
		return none{}, d.Ingest.DeleteCollection(ctx, in.Name)
	})
	add(a, d.Log, route{http.MethodGet, "/api/collections/{name}/documents", "listDocuments", "Documents of a collection", everybody}, func(ctx context.Context, in *listDocumentsIn) ([]ingest.Document, error) {
		return d.Ingest.ListDocuments(ctx, in.Name, ingest.DocumentFilter{State: in.State, Source: in.Source, After: in.After, Limit: in.Limit})
	})
	add(a, d.Log, route{http.MethodGet, "/api/documents/{id}", "getDocument", "One document with its newest version and run", everybody}, func(ctx context.Context, in *documentIn) (ingest.Document, error) {
		return d.Ingest.GetDocument(ctx, in.ID)
	})
	add(a, d.Log, route{http.MethodGet, "/api/documents/{id}/versions", "listVersions", "Versions of a document, newest first", everybody}, func(ctx context.Context, in *documentIn) ([]ingest.Version, error) {
		return d.Ingest.ListVersions(ctx, in.ID)
	})
	add(a, d.Log, route{http.MethodGet, "/api/documents/{id}/chunks", "listChunks", "Chunks of a version in reading order", documents}, func(ctx context.Context, in *chunksIn) ([]ingest.ChunkRow, error) {
		return d.Ingest.ListChunks(ctx, in.ID, in.Version)
	})
	add(a, d.Log, route{http.MethodDelete, "/api/documents/{id}", "deleteDocument", "Delete a document: hidden at once, purged durably", documents}, func(ctx context.Context, in *documentIn) (none, error) {
		return none{}, d.Ingest.Delete(ctx, in.ID)
	})
	add(a, d.Log, route{http.MethodGet, "/api/documents/{id}/proof", "getProof", "The proof of a document's deletion", proofs}, func(ctx context.Context, in *documentIn) (ingest.Proof, error) {
		return d.Ingest.Proof(ctx, in.ID)
	})
	add(a, d.Log, route{http.MethodPost, "/api/versions", "getVersions", "Versions by their ids, for progress", everybody}, func(ctx context.Context, in *versionsIn) ([]ingest.Version, error) {
		return d.Ingest.Versions(ctx, in.Body.IDs)
	})
	add(a, d.Log, route{http.MethodGet, "/api/why", "why", "Why a document is where it is", everybody}, func(ctx context.Context, in *whyIn) (ingest.Explanation, error) {
		return d.Ingest.Why(ctx, in.Document)
	})
}

func (d *Door) listCollections(ctx context.Context, _ *struct{}) ([]CollectionStatus, error) {
	all, err := d.Ingest.ListCollections(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]CollectionStatus, 0, len(all))
	for _, c := range all {
		one, err := d.withStatus(ctx, c)
		if fault.Is(err, fault.NotFound) {
			continue // deleted since
		}
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

func (d *Door) withStatus(ctx context.Context, c ingest.Collection) (CollectionStatus, error) {
	status, err := d.Ingest.Status(ctx, c.ID)
	if !caller.From(ctx).Is(readers...) {
		c.Config.Sources, c.Epoch, c.Sequence = nil, 0, 0 // folders of this machine; counts of changes to documents of any tier
		return CollectionStatus{Collection: c, Status: status}, err
	}
	out := CollectionStatus{Collection: c, Status: status}
	if err == nil && d.IndexSize != nil {
		size, err := d.IndexSize(ctx, c.ID)
		if err != nil {
			d.Log.Warn("the size of an index is not known", "part", "api", "collection", c.Name, "error", err) // the rest is
			return out, nil
		}
		out.Index = &IndexSize{size.Documents, size.Chunks, size.Vectors, size.Dimensions, size.Bytes}
	}
	return out, err
}

func (d *Door) registerRuns(a huma.API) {
	add(a, d.Log, route{http.MethodGet, "/api/dead-letters", "listDeadLetters", "Runs that gave up", everybody}, func(ctx context.Context, in *deadIn) ([]ingest.DeadLetter, error) {
		return d.Ingest.ListDeadLetters(ctx, in.filter())
	})
	add(a, d.Log, route{http.MethodGet, "/api/dead-letters/{run}", "getDeadLetter", "One run that gave up, with its steps", everybody}, func(ctx context.Context, in *runIn) (ingest.DeadLetter, error) {
		return d.Ingest.GetDeadLetter(ctx, in.Run)
	})
	add(a, d.Log, route{http.MethodPost, "/api/dead-letters/{run}/replay", "replay", "Put a dead letter on its way again, from the step that failed", documents}, func(ctx context.Context, in *runIn) (none, error) {
		return none{}, d.Ingest.Replay(ctx, in.Run)
	})
	add(a, d.Log, route{http.MethodPost, "/api/dead-letters/replay", "replayAll", "Replay every dead letter that matches", operators}, func(ctx context.Context, in *deadIn) (Count, error) {
		n, err := d.Ingest.ReplayAll(ctx, in.filter())
		return Count{n}, err
	})
	add(a, d.Log, route{http.MethodPost, "/api/dead-letters/{run}/discard", "discard", "Give up a dead letter for good", documents}, func(ctx context.Context, in *runIn) (none, error) {
		return none{}, d.Ingest.Discard(ctx, in.Run)
	})
	add(a, d.Log, route{http.MethodGet, "/api/sources", "listSources", "Sources and how they are", readers}, func(ctx context.Context, _ *struct{}) ([]ingest.Source, error) {
		return d.Ingest.ListSources(ctx, "")
	})
	add(a, d.Log, route{http.MethodPost, "/api/collections/{name}/sources/{source}/scan", "scan", "Compare a source with what is there, now", operators}, func(ctx context.Context, in *sourceIn) (none, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
		defer cancel()
		return none{}, d.System.Scan(ctx, in.Name, in.Source)
	})
	add(a, d.Log, route{http.MethodPost, "/api/collections/{name}/sources/{source}/events", "sourceEvent", "Say that something changed in a source: it is looked at soon. What the body says is not read", operators}, func(ctx context.Context, in *sourceIn) (none, error) {
		return none{}, d.System.Wake(ctx, in.Name, in.Source)
	})
	add(a, d.Log, route{http.MethodPost, "/api/collections/{name}/sources/{source}/confirm", "confirm", "Let a held source remove what it holds back", operators}, func(ctx context.Context, in *sourceIn) (none, error) {
		return none{}, d.Ingest.Confirm(ctx, in.Name, in.Source)
	})
}
