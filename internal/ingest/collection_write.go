package ingest

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
)

// CreateCollection makes a collection that the API owns, for the caller's workflow. Without a configuration it takes
// the default one, closed to everybody below the creator's clearance.
func (p *Pipeline) CreateCollection(ctx context.Context, n NewCollection) (Collection, error) {
	who := caller.From(ctx)
	if who == nil || (who.Role != caller.Workflow && !who.Is(caller.Operator)) {
		return Collection{}, fault.New(fault.Denied, "collection_create", "this key may not create collections")
	}
	c := Collection{ID: id.New("col"), Title: n.Title, Owner: OwnerAPI, Workflow: who.Workflow, Metadata: n.Metadata, Config: DefaultCollection()}
	c.Config.Defaults.Tier = max(who.Clearance, caller.Public)
	if n.Config != nil {
		c.Config = *n.Config
	}
	c.Name = c.nameFrom(c.Title)
	if err := checkAPIConfig(ctx, c); err != nil {
		return Collection{}, err
	}
	err := p.insertCollection(ctx, &c)
	if db.IsUnique(err) {
		// Whether somebody else has the name is not told: this one gets another.
		c.Name = c.nameFrom(short(c.Name) + "-" + c.ID[len(c.ID)-6:])
		err = p.insertCollection(ctx, &c)
	}
	return c, err
}

func (p *Pipeline) insertCollection(ctx context.Context, c *Collection) error {
	return p.DB.Tx(ctx, func(tx *db.Tx) (err error) {
		if *c, err = insertCollection(ctx, tx, *c, time.Now()); err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "collection.create", Target: c.ID, Detail: map[string]any{"name": c.Name, "owner": OwnerAPI}})
	})
}

// nameFrom makes a name of what a caller calls its collection: "Support FAQ" becomes support-faq.
func (c Collection) nameFrom(title string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(title), "-"), "-._")
	if name = short(name); name == "" {
		return c.ID
	}
	return name
}

var notInName = regexp.MustCompile(`[^a-z0-9._]+`)

// short leaves room for what makes a name different from another's.
func short(name string) string { return strings.TrimRight(name[:min(len(name), 48)], "-._") }

const maxTitleBytes = 512

// checkAPIConfig refuses what a collection made through the API may not have: sources read this machine's files.
func checkAPIConfig(ctx context.Context, c Collection) error {
	if len(c.Title) > maxTitleBytes || !utf8.ValidString(c.Title) || strings.ContainsRune(c.Title, 0) {
		return fault.New(fault.Invalid, "collection_name", "a collection's name is a text of at most %d bytes", maxTitleBytes).At("name")
	}
	if _, err := c.Config.Check(); err != nil {
		return fault.New(fault.Invalid, "collection_config", "%w", err)
	}
	if len(c.Config.Sources) > 0 {
		return fault.New(fault.Invalid, "collection_config", "sources can only be configured in airfield.yaml").At("sources")
	}
	return nil
}

// GetCollection returns a collection the caller reads, by name or id.
func (p *Pipeline) GetCollection(ctx context.Context, nameOrID string) (Collection, error) {
	c, err := findCollection(ctx, p.DB, nameOrID)
	if err == nil && !reads(ctx, c) {
		err = noCollection(nameOrID)
	}
	if err != nil {
		return Collection{}, err
	}
	return c, nil
}

// ownCollection returns a collection the caller may change.
func (p *Pipeline) ownCollection(ctx context.Context, nameOrID string) (Collection, error) {
	c, err := findCollection(ctx, p.DB, nameOrID)
	if err == nil {
		err = owns(ctx, c, nameOrID)
	}
	if err != nil {
		return Collection{}, err
	}
	return c, nil
}

// ListCollections returns the collections the caller reads, by name.
func (p *Pipeline) ListCollections(ctx context.Context) ([]Collection, error) {
	all, err := allCollections(ctx, p.DB)
	return slices.DeleteFunc(all, func(c Collection) bool { return !reads(ctx, c) }), err
}

// UpdateCollection changes a collection that the API owns.
func (p *Pipeline) UpdateCollection(ctx context.Context, nameOrID string, u CollectionUpdate) (Collection, error) {
	before, err := p.ownCollection(ctx, nameOrID)
	if err != nil {
		return before, err
	}
	if before.Owner == OwnerFile {
		return before, fault.New(fault.Conflict, "collection_in_file", "the collection %s is configured in airfield.yaml", before.Name).Hinted("change the file")
	}
	c := before
	if u.Title != nil {
		c.Title = *u.Title
	}
	if u.Config != nil {
		c.Config = *u.Config
	}
	if u.Metadata != nil {
		c.Metadata = u.Metadata
	}
	if err := checkAPIConfig(ctx, c); err != nil {
		return before, err
	}
	err = p.DB.Tx(ctx, func(tx *db.Tx) error {
		warnings, err := p.writeConfig(ctx, tx, before, c)
		if err == nil && (c.Config.EmbeddingModel != before.Model || c.Config.Chunking != before.Chunking) && len(warnings) > 0 {
			err = fault.New(fault.Conflict, "embedding_model", "%s", strings.Join(warnings, "; ")).At("embedding_model")
		}
		return err
	})
	if err != nil {
		return before, err
	}
	return p.GetCollection(ctx, before.ID)
}

// Status counts what a collection holds.
func (p *Pipeline) Status(ctx context.Context, nameOrID string) (s Status, err error) {
	c, err := p.GetCollection(ctx, nameOrID)
	if err != nil {
		return s, err
	}
	s.Versions = map[string]int{}
	// What the caller may not know of is not counted either.
	seen, args := "", []any{c.ID}
	if who := caller.From(ctx); !who.Owns(c.Workflow) {
		seen, args = " AND d.tier >= ? AND d.tier <= ?", append(args, int(caller.Public), int(who.Clearance))
	}
	type count struct {
		state string
		n     int
	}
	counts, err := collect(ctx, p.DB, func(row scanner) (c count, err error) { return c, row.Scan(&c.state, &c.n) },
		"SELECT v.state, COUNT(*) FROM documents d JOIN versions v ON v.document_id = d.id AND v.number = d.last_number WHERE d.collection_id = ?"+seen+" AND d.deleted_at IS NULL GROUP BY v.state", args...)
	if err != nil {
		return s, err
	}
	for _, one := range counts {
		s.Versions[one.state] = one.n
		s.Documents += one.n
	}
	if err := p.DB.QueryRow(ctx, "SELECT COUNT(*), COALESCE(SUM(v.bytes), 0) FROM documents d JOIN versions v ON v.id = d.live_version_id WHERE d.collection_id = ?"+seen, args...).Scan(&s.Live, &s.Bytes); err != nil {
		return s, err
	}
	if err := p.DB.QueryRow(ctx, "SELECT COUNT(*) FROM documents d JOIN manifests vc ON vc.version_id = d.live_version_id WHERE vc.cut = ? AND d.collection_id = ?"+seen, append([]any{c.Cut}, args...)...).Scan(&s.Chunks); err != nil {
		return s, err
	}
	if err := p.DB.QueryRow(ctx, "SELECT COUNT(*) FROM runs r JOIN documents d ON d.id = r.document_id WHERE r.collection_id = ?"+seen+" AND r.kind = ? AND r.state IN (?,?)", append(args, kindPurge, runWaiting, runRunning)...).Scan(&s.Purging); err != nil {
		return s, err
	}
	s.Sources, err = p.sources(ctx, c)
	return s, err
}
