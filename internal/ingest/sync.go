package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"airfield/internal/access"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
)

// Sync brings the collections that airfield.yaml owns in line with it. One that vanished from the file is kept and
// marked; the warnings say so. Called by the wiring with a system caller, at the start and at every reload.
func (p *Pipeline) Sync(ctx context.Context, want map[string]CollectionConfig) (warnings []string, err error) {
	ctx = asSystem(ctx)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		more, err := p.syncOne(ctx, name, want[name])
		if err != nil {
			return warnings, fmt.Errorf("bring collection %s in line with the configuration: %w", name, err)
		}
		warnings = append(warnings, more...)
	}
	all, err := allCollections(ctx, p.DB)
	if err != nil {
		return warnings, err
	}
	for _, c := range all {
		if _, kept := want[c.Name]; kept || c.Owner != OwnerFile {
			continue
		}
		warnings = append(warnings, fmt.Sprintf("the collection %s is no longer in airfield.yaml; its documents are kept and served, its sources are not read. Delete it through the admin API when they are not needed any more", c.Name))
		if c.MissingSince.IsZero() {
			now := db.Micros(time.Now())
			if _, err := p.DB.Exec(ctx, "UPDATE collections SET missing_since = ?, updated_at = ? WHERE id = ?", now, now, c.ID); err != nil {
				return warnings, err
			}
		}
	}
	return warnings, nil
}

func (p *Pipeline) syncOne(ctx context.Context, name string, config CollectionConfig) (warnings []string, err error) {
	if !nameShape.MatchString(name) {
		return nil, badName(name)
	}
	warnings, err = config.Check()
	if err != nil {
		return nil, fault.New(fault.Invalid, "collection_config", "%w", err)
	}
	err = p.DB.Tx(ctx, func(tx *db.Tx) error {
		c, err := findCollection(ctx, tx, name)
		switch {
		case fault.Is(err, fault.NotFound):
			if c, err = insertCollection(ctx, tx, Collection{ID: id.New("col"), Name: name, Owner: OwnerFile, Config: config}, time.Now()); err != nil {
				return err
			}
			if err := p.syncSources(ctx, tx, c); err != nil {
				return err
			}
			return p.Audit.Record(ctx, tx, access.Entry{Action: "collection.create", Target: c.ID, Detail: map[string]any{"name": name, "owner": OwnerFile}})
		case err != nil:
			return err
		case c.Owner != OwnerFile:
			return fault.New(fault.Conflict, "collection_exists", "a collection %s was made through the API", name).
				Hinted("export it to airfield.yaml after deleting it, or choose another name")
		}
		before := c
		c.Config = config
		more, err := p.writeConfig(ctx, tx, before, c)
		warnings = append(warnings, more...)
		return err
	})
	return warnings, err
}

// writeConfig changes a collection's configuration and lets what follows from it follow, in one transaction.
func (p *Pipeline) writeConfig(ctx context.Context, tx *db.Tx, before, c Collection) (warnings []string, err error) {
	if warnings, err = p.followFile(ctx, tx, before, &c); err != nil {
		return nil, err
	}
	if same(before.Config, c.Config) && before.Title == c.Title && same(before.Metadata, c.Metadata) && before.MissingSince.IsZero() {
		return warnings, p.syncSources(ctx, tx, c)
	}
	if !same(before.Config.Records, c.Config.Records) {
		warnings = append(warnings, fmt.Sprintf("the records of collection %s changed: what is said of them applies to versions from now on", c.Name))
	}
	config, metadata, err := c.encode()
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, "UPDATE collections SET title = ?, config = ?, metadata = ?, missing_since = NULL, updated_at = ? WHERE id = ?", c.Title, config, metadata, db.Micros(time.Now()), c.ID); err != nil {
		return nil, err
	}
	if err := p.syncSources(ctx, tx, c); err != nil {
		return nil, err
	}
	if !same(before.Config.metadataRules(), c.Config.metadataRules()) {
		more, err := p.reapply(ctx, tx, c)
		if err != nil {
			return nil, err
		}
		warnings = append(warnings, more...)
	}
	return warnings, p.Audit.Record(ctx, tx, access.Entry{Action: "collection.update", Target: c.ID, Detail: map[string]any{"name": c.Name}})
}

// metadataRules is the part of a configuration that documents' metadata follows from.
func (c CollectionConfig) metadataRules() any {
	sources := map[string]Defaults{}
	for name, s := range c.Sources {
		sources[name] = s.Defaults
	}
	return []any{c.Defaults, c.MetadataSchema, sources}
}

func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// reapply resolves every live document's metadata again, after the defaults or the schema changed. One that no longer
// meets the schema keeps what it has, but never a more open tier than the new defaults give.
func (p *Pipeline) reapply(ctx context.Context, tx *db.Tx, c Collection) (warnings []string, err error) {
	docs, err := collect(ctx, tx, scanDocRow, docRowColumns+" WHERE collection_id = ? AND deleted_at IS NULL AND live_version_id IS NOT NULL ORDER BY id"+tx.ForUpdate(), c.ID)
	if err != nil {
		return nil, err
	}
	open := c
	open.Config.MetadataSchema = nil
	var touched []string
	failed := 0
	for _, doc := range docs {
		m, name, err := c.metadataOf(ctx, tx, doc, doc.Live)
		if fault.Is(err, fault.Invalid) {
			failed++
			if m, name, err = open.metadataOf(ctx, tx, doc, doc.Live); err == nil {
				m.Tier = max(m.Tier, doc.Tier)
			}
		}
		if err == nil {
			err = writeMetadata(ctx, tx, doc.ID, name, m)
		}
		if err != nil {
			return nil, err
		}
		touched = append(touched, doc.ID)
	}
	if failed > 0 {
		warnings = append(warnings, fmt.Sprintf("%d live documents of collection %s do not meet its metadata_schema; they stay live, and a new version of them will not pass", failed, c.Name))
	}
	return warnings, touch(ctx, tx, c.ID, "metadata", touched...)
}

// syncSources gives every configured source its row. The row of one that is gone says so; its documents stay.
func (p *Pipeline) syncSources(ctx context.Context, tx *db.Tx, c Collection) error {
	have, err := collect(ctx, tx, scanText, "SELECT name FROM sources WHERE collection_id = ?", c.ID)
	if err != nil {
		return err
	}
	for name, s := range c.Config.Sources {
		if slices.Contains(have, name) {
			if _, err := tx.Exec(ctx, "UPDATE sources SET kind = ? WHERE collection_id = ? AND name = ?", s.Kind(), c.ID, name); err != nil {
				return err
			}
			continue
		}
		if _, err := tx.Exec(ctx, "INSERT INTO sources (id, collection_id, name, kind, state, created_at) VALUES (?,?,?,?,'ok',?)", id.New("src"), c.ID, name, s.Kind(), db.Micros(time.Now())); err != nil {
			return err
		}
	}
	for _, name := range have {
		if _, kept := c.Config.Sources[name]; kept {
			continue
		}
		if _, err := tx.Exec(ctx, "UPDATE sources SET state = ?, message = ?, held = '' WHERE collection_id = ? AND name = ?",
			SourceWarning, "it is no longer configured; its documents are kept", c.ID, name); err != nil {
			return err
		}
	}
	return nil
}

func badName(name string) error {
	return fault.New(fault.Invalid, "collection_name", "%q is no name for a collection: lower case letters, digits, dots, dashes and underscores, at most 63", name).At("name")
}
