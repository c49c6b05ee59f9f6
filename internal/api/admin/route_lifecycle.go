package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/ingest"
)

// EraseBody orders an erasure, or asks for its plan.
type EraseBody struct {
	Where  map[string]string `json:"where" doc:"Fields and the values that a document must have, all of them."`
	Reason string            `json:"reason,omitempty" doc:"Why, for the record."`
	DryRun bool              `json:"dry_run,omitempty" doc:"Only say what would be deleted."`
}

// HoldBody is why a hold is placed or released.
type HoldBody struct {
	Reason string `json:"reason"`
}

// HoldMatchesBody chooses documents by their metadata.
type HoldMatchesBody struct {
	Where  map[string]string `json:"where" doc:"Fields and the values that a document must have, all of them."`
	Reason string            `json:"reason"`
}

type eraseIn struct {
	Name string `path:"name" doc:"Name or id of the collection."`
	Body EraseBody
}

type erasureIn struct {
	ID string `path:"id" doc:"Id of the erasure."`
}

type lineageIn struct {
	Of string `query:"of" required:"true" doc:"Id of a chunk, a version or a document."`
}

// PauseBody says what is paused, resumed or cancelled.
type PauseBody struct {
	Target string `json:"target" doc:"COLLECTION, COLLECTION/SOURCE, or the id of a run."`
	Reason string `json:"reason,omitempty" doc:"Why it is paused."`
}

type pauseIn struct{ Body PauseBody }

type holdIn struct {
	ID   string `path:"id" doc:"Id of the document."`
	Body HoldBody
}

type holdMatchesIn struct {
	Name string `path:"name" doc:"Name or id of the collection."`
	Body HoldMatchesBody
}

type holdsIn struct {
	Collection string `query:"collection"`
	After      string `query:"after" doc:"Id of the last document of the page before."`
	Limit      int    `query:"limit" minimum:"0" maximum:"1000"`
}

func (d *Door) registerLifecycle(a huma.API) {
	add(a, d.Log, route{http.MethodPost, "/api/collections/{name}/erasures", "erase", "Delete every document that has some metadata, or say which", documents}, func(ctx context.Context, in *eraseIn) (ingest.Erasure, error) {
		if in.Body.DryRun {
			return d.Ingest.PlanErasure(ctx, in.Name, in.Body.Where)
		}
		return d.Ingest.Erase(ctx, in.Name, in.Body.Where, in.Body.Reason)
	})
	add(a, d.Log, route{http.MethodGet, "/api/erasures/{id}", "getErasure", "The record of an erasure with the proof of each document", proofs}, func(ctx context.Context, in *erasureIn) (ingest.Erasure, error) {
		return d.Ingest.GetErasure(ctx, in.ID)
	})
	add(a, d.Log, route{http.MethodGet, "/api/lineage", "getLineage", "Where a chunk, a version or a document came from", everybody}, func(ctx context.Context, in *lineageIn) (ingest.Lineage, error) {
		return d.Ingest.Lineage(ctx, in.Of)
	})
	add(a, d.Log, route{http.MethodGet, "/api/pauses", "listPauses", "What is paused, and what it holds up", readers}, func(ctx context.Context, _ *struct{}) ([]ingest.Pause, error) {
		return d.Ingest.ListPauses(ctx)
	})
	add(a, d.Log, route{http.MethodPost, "/api/pause", "pause", "Begin no more runs of a collection or a source, or not this run", operators}, func(ctx context.Context, in *pauseIn) (none, error) {
		return none{}, d.Ingest.PauseRuns(ctx, in.Body.Target, in.Body.Reason)
	})
	add(a, d.Log, route{http.MethodPost, "/api/resume", "resume", "Go on with what was paused", operators}, func(ctx context.Context, in *pauseIn) (none, error) {
		return none{}, d.Ingest.Resume(ctx, in.Body.Target)
	})
	add(a, d.Log, route{http.MethodPost, "/api/cancel", "cancelRuns", "End the runs of a collection or a source, or this run", operators}, func(ctx context.Context, in *pauseIn) (Count, error) {
		n, err := d.Ingest.CancelRuns(ctx, in.Body.Target)
		return Count{n}, err
	})
	add(a, d.Log, route{http.MethodGet, "/api/holds", "listHolds", "Documents under a legal hold", texts}, func(ctx context.Context, in *holdsIn) ([]ingest.Hold, error) {
		return d.Ingest.ListHolds(ctx, in.Collection, in.After, in.Limit)
	})
	add(a, d.Log, route{http.MethodPost, "/api/documents/{id}/hold", "hold", "Place a document under a legal hold", operators}, func(ctx context.Context, in *holdIn) (none, error) {
		return none{}, d.Ingest.PlaceHold(ctx, in.ID, in.Body.Reason)
	})
	add(a, d.Log, route{http.MethodPost, "/api/documents/{id}/release", "release", "Release a document from a legal hold", operators}, func(ctx context.Context, in *holdIn) (none, error) {
		return none{}, d.Ingest.ReleaseHold(ctx, in.ID, in.Body.Reason)
	})
	add(a, d.Log, route{http.MethodPost, "/api/collections/{name}/hold", "holdMatches", "Place every document that has some metadata under a legal hold", operators}, func(ctx context.Context, in *holdMatchesIn) (Count, error) {
		n, err := d.Ingest.HoldMatches(ctx, in.Name, in.Body.Where, true, in.Body.Reason)
		return Count{n}, err
	})
	add(a, d.Log, route{http.MethodPost, "/api/collections/{name}/release", "releaseMatches", "Release every document that has some metadata from its legal hold", operators}, func(ctx context.Context, in *holdMatchesIn) (Count, error) {
		n, err := d.Ingest.HoldMatches(ctx, in.Name, in.Body.Where, false, in.Body.Reason)
		return Count{n}, err
	})
}
