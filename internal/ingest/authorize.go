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

// reads reports whether the caller may read a collection.
func reads(ctx context.Context, c Collection) bool {
	return caller.From(ctx).Reads(c.Name, c.Workflow)
}

// owns fails for a collection that the caller may not change, and with not found for one that it may not read: neither
// that it exists is told then, nor, to who knows its id, its name.
func owns(ctx context.Context, c Collection, asked string) error {
	if !reads(ctx, c) {
		return noCollection(asked)
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

// seesVersion reports whether the caller may know of one version of a document that it sees: the document's tier is that of
// its live version, and an earlier one, or one on its way, may be closed more tightly.
func (p *Pipeline) seesVersion(ctx context.Context, c Collection, d Document, v Version) (bool, error) {
	if caller.From(ctx).Owns(c.Workflow) {
		return true, nil
	}
	tier, err := p.versionTier(ctx, c, d, v)
	return caller.From(ctx).Clearance.Sees(tier), err
}

// readsVersion reports whether the caller may read what one version of a document says.
func (p *Pipeline) readsVersion(ctx context.Context, c Collection, d Document, v Version) (bool, error) {
	if caller.From(ctx).Is(caller.Operator) {
		return true, nil
	}
	tier, err := p.versionTier(ctx, c, d, v)
	return caller.From(ctx).Clearance.Sees(tier), err
}

// versionTier is the tier of one version: never below that of its document, and restricted where nothing is certain.
func (p *Pipeline) versionTier(ctx context.Context, c Collection, d Document, v Version) (caller.Tier, error) {
	if v.ID == d.LiveVersion || (d.LiveVersion == "" && v.Number == d.Newest.Number) {
		return d.Tier, nil
	}
	g, found, _, err := metadataParts(ctx, p.DB, v.ID)
	if err != nil {
		return caller.None, err
	}
	m, err := c.resolve(d.Source, g, found)
	if err != nil || (v.State != Superseded && g.Metadata.Tier == caller.None) {
		return caller.Restricted, nil // not validated, or not any more
	}
	return max(d.Tier, m.Tier), nil
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
