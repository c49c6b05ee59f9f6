package ingest

import (
	"context"

	"airfield/internal/caller"
	"airfield/internal/fault"
)

// asSystem returns a context in which the pipeline itself is asking.
func asSystem(ctx context.Context) context.Context {
	if c := caller.From(ctx); c != nil && c.Role == caller.System {
		return ctx
	}
	return caller.With(ctx, &caller.Caller{Role: caller.System, KeyName: "ingest", Clearance: caller.Restricted})
}

// reads fails with not found for a collection that the caller may not read: that it exists is not told either.
func reads(ctx context.Context, c Collection) error {
	if !caller.From(ctx).Reads(c.Name, c.Workflow) {
		return noCollection(c.Name)
	}
	return nil
}

// owns fails for a collection that the caller may read but not change.
func owns(ctx context.Context, c Collection) error {
	if err := reads(ctx, c); err != nil {
		return err
	}
	if !caller.From(ctx).Owns(c.Workflow) {
		return fault.New(fault.Denied, "collection_not_yours", "the collection %s belongs to somebody else", c.Name).
			Hinted("use a key of the workflow that created it, or an operator's")
	}
	return nil
}

// sees reports whether the caller may know of a document: its tier is within the clearance, or it is the caller's own.
func sees(ctx context.Context, c Collection, d Document) bool {
	who := caller.From(ctx)
	return who.Clearance.Sees(d.Tier) || who.Owns(c.Workflow)
}

// readsContent reports whether the caller may read what a document says.
func readsContent(ctx context.Context, d Document) bool {
	who := caller.From(ctx)
	return who.Clearance.Sees(d.Tier) || who.Is(caller.Operator)
}

// mayGive refuses a tier above the caller's own clearance.
func mayGive(ctx context.Context, m Metadata) error {
	who := caller.From(ctx)
	if m.Tier == caller.None || who.Is(caller.Operator) || who.Clearance.Sees(m.Tier) {
		return nil
	}
	return fault.New(fault.Denied, "tier_above_clearance", "the tier %s is above your clearance, which is %s", m.Tier, who.Clearance).At("/tier")
}

func noCollection(name string) error {
	return fault.New(fault.NotFound, "collection_not_found", "there is no collection %q", name).Hinted("airfield ingest status lists those that this key reads")
}

func noDocument(id string) error {
	return fault.New(fault.NotFound, "document_not_found", "there is no document %q", id)
}
