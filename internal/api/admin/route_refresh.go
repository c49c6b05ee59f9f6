package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/ingest"
)

// RefreshRequest is what a collection is to be embedded and cut with.
type RefreshRequest struct {
	EmbeddingModel string                `json:"embedding_model,omitempty" doc:"The model; the configured one where empty."`
	Chunking       ingest.ChunkingChange `json:"chunking,omitempty" doc:"What differs from the configured chunking."`
	AutoSwitch     *bool                 `json:"auto_switch,omitempty" doc:"Whether it becomes live by itself when it has passed its gate; as configured where it is not said."`
}

func (r RefreshRequest) target() ingest.RefreshTarget {
	return ingest.RefreshTarget{EmbeddingModel: r.EmbeddingModel, Change: r.Chunking, AutoSwitch: r.AutoSwitch}
}

type refreshIn struct {
	Name string `path:"name" doc:"Name or id of the collection."`
	Body RefreshRequest
}

type switchIn struct {
	Name string `path:"name" doc:"Name or id of the collection."`
	Body struct {
		Force bool `json:"force,omitempty" doc:"Although it did not pass its gate, or is not through it."`
	}
}

func (d *Door) registerRefresh(a huma.API) {
	const base = "/api/collections/{name}/refresh"
	add(a, d.Log, route{http.MethodGet, base, "listGenerations", "A collection's generations, the newest first: how far they are, and the figures of their gates", operators}, func(ctx context.Context, in *nameIn) ([]ingest.Generation, error) {
		return d.Ingest.Refresh(ctx, in.Name)
	})
	add(a, d.Log, route{http.MethodPost, base + "/plan", "planRefresh", "What a refresh would do and cost; nothing is begun", operators}, func(ctx context.Context, in *refreshIn) (ingest.RefreshPlan, error) {
		return d.Ingest.PlanRefresh(ctx, in.Name, in.Body.target())
	})
	add(a, d.Log, route{http.MethodPost, base, "startRefresh", "Build another generation beside the live one", operators}, func(ctx context.Context, in *refreshIn) (ingest.Generation, error) {
		return d.Ingest.StartRefresh(ctx, in.Name, in.Body.target())
	})
	add(a, d.Log, route{http.MethodPost, base + "/switch", "switchGeneration", "Make the generation that was built live", operators}, func(ctx context.Context, in *switchIn) (ingest.Generation, error) {
		return d.Ingest.SwitchGeneration(ctx, in.Name, in.Body.Force)
	})
	add(a, d.Log, route{http.MethodPost, base + "/rollback", "rollbackGeneration", "Make the generation live again that was so before", operators}, func(ctx context.Context, in *nameIn) (ingest.Generation, error) {
		return d.Ingest.RollbackGeneration(ctx, in.Name)
	})
	add(a, d.Log, route{http.MethodPost, base + "/cancel", "cancelRefresh", "End the refresh under way; what is live stays so", operators}, func(ctx context.Context, in *nameIn) (ingest.Generation, error) {
		return d.Ingest.CancelRefresh(ctx, in.Name)
	})
}
