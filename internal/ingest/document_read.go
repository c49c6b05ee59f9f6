package ingest

import (
	"context"
	"encoding/json"
	"io"
	"slices"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
)

// anyDocument reads a document, deleted or not, as far as the caller may know of it.
func (p *Pipeline) anyDocument(ctx context.Context, documentID string) (Document, Collection, error) {
	d, err := scanDocument(p.DB.QueryRow(ctx, "SELECT "+documentColumns+" WHERE d.id = ?", documentID))
	if db.IsNone(err) {
		return d, Collection{}, noDocument(documentID)
	}
	if err != nil {
		return d, Collection{}, err
	}
	c, err := scanCollection(p.DB.QueryRow(ctx, "SELECT "+collectionColumns+" WHERE c.id = ?", d.CollectionID))
	if err != nil {
		return d, c, err
	}
	if !reads(ctx, c) || !sees(ctx, c, d) {
		return Document{}, Collection{}, noDocument(documentID)
	}
	return d, c, nil
}

// document reads a document that is not deleted.
func (p *Pipeline) document(ctx context.Context, documentID string) (Document, Collection, error) {
	d, c, err := p.anyDocument(ctx, documentID)
	if err == nil && !d.DeletedAt.IsZero() {
		return Document{}, Collection{}, noDocument(documentID)
	}
	return d, c, err
}

// ownDocument reads a document that the caller may change.
func (p *Pipeline) ownDocument(ctx context.Context, documentID string) (Document, Collection, error) {
	d, c, err := p.document(ctx, documentID)
	if err == nil {
		err = owns(ctx, c, c.Name)
	}
	return d, c, err
}

// GetDocument returns a document by its id, with its newest version and that one's run.
func (p *Pipeline) GetDocument(ctx context.Context, documentID string) (Document, error) {
	d, _, err := p.document(ctx, documentID)
	if err != nil {
		return d, err
	}
	return d, p.fillVersion(ctx, &d.Newest)
}

// liveManifest are the manifests that the live generations search.
const liveManifest = "manifests vc JOIN versions v ON v.id = vc.version_id JOIN collections l ON l.id = v.collection_id JOIN generations g ON g.id = l.generation_id AND g.cut = vc.cut"

// fillVersion adds what a version's own row does not hold.
func (p *Pipeline) fillVersion(ctx context.Context, v *Version) (err error) {
	if v.Run, err = newestRun(ctx, p.DB, "r.version_id = ?", v.ID); err != nil {
		return err
	}
	return p.DB.QueryRow(ctx, "SELECT COUNT(*) FROM "+liveManifest+" WHERE vc.version_id = ?", v.ID).Scan(&v.Chunks)
}

// FindDocument returns a document of a collection by its name in the source.
func (p *Pipeline) FindDocument(ctx context.Context, collection, source, sourceKey string) (Document, error) {
	c, err := p.GetCollection(ctx, collection)
	if err != nil {
		return Document{}, err
	}
	var documentID string
	err = p.DB.QueryRow(ctx, "SELECT id FROM documents WHERE collection_id = ? AND source = ? AND source_key = ? AND deleted_at IS NULL", c.ID, source, sourceKey).Scan(&documentID)
	if db.IsNone(err) {
		return Document{}, noDocument(sourceKey)
	}
	if err != nil {
		return Document{}, err
	}
	d, err := p.GetDocument(ctx, documentID)
	if fault.Is(err, fault.NotFound) {
		err = noDocument(sourceKey) // the id is not told
	}
	return d, err
}

// ListDocuments returns documents in the order of their ids, each with its newest version, and with that one's run unless
// it is live.
func (p *Pipeline) ListDocuments(ctx context.Context, collection string, f DocumentFilter) ([]Document, error) {
	c, err := p.GetCollection(ctx, collection)
	if err != nil {
		return nil, err
	}
	query, args := "SELECT "+documentColumns+" WHERE d.collection_id = ? AND d.deleted_at IS NULL AND d.id > ?", []any{c.ID, f.After}
	if f.State != "" {
		query, args = query+" AND v.state = ?", append(args, f.State)
	}
	if f.Source != "" {
		query, args = query+" AND d.source = ?", append(args, f.Source)
	}
	if who := caller.From(ctx); !who.Is(caller.Operator) { // whoever owns them: a list tells titles
		may := "d.tier >= ? AND d.tier <= ?"
		if who.Owns(c.Workflow) {
			may += " OR d.live_version_id IS NULL" // not validated, so of no tier yet: its owner must see why it waits or failed
		}
		query, args = query+" AND ("+may+")", append(args, int(caller.Public), int(who.Clearance))
	}
	list, err := collect(ctx, p.DB, scanDocument, query+" ORDER BY d.id LIMIT ?", append(args, pageSize(f.Limit))...)
	if err != nil {
		return nil, err
	}
	return list, p.fillRuns(ctx, list)
}

// fillRuns adds, to those documents whose newest version is not live, the run that says why.
func (p *Pipeline) fillRuns(ctx context.Context, list []Document) error {
	var ids []string
	for _, d := range list {
		if d.Newest.State != Live {
			ids = append(ids, d.Newest.ID)
		}
	}
	versions, err := p.Versions(ctx, ids)
	if err != nil {
		return err
	}
	runs := map[string]*Run{}
	for _, v := range versions {
		runs[v.ID] = v.Run
	}
	for i := range list {
		list[i].Newest.Run = runs[list[i].Newest.ID]
	}
	return nil
}

func pageSize(limit int) int {
	if limit <= 0 {
		return 100
	}
	return min(limit, 1000)
}

// ListVersions returns a document's versions, newest first, as far as the caller may know of them.
func (p *Pipeline) ListVersions(ctx context.Context, documentID string) ([]Version, error) {
	d, c, err := p.document(ctx, documentID)
	if err != nil {
		return nil, err
	}
	all, err := collect(ctx, p.DB, scanVersion, "SELECT "+versionColumns+" FROM versions v WHERE v.document_id = ? ORDER BY v.number DESC", d.ID)
	if err != nil {
		return nil, err
	}
	list := make([]Version, 0, len(all))
	for _, v := range all {
		seen, err := p.seesVersion(ctx, c, d, v)
		if err != nil {
			return nil, err
		}
		if seen {
			list = append(list, v)
		}
	}
	return list, nil
}

// version picks a version whose content the caller may read: by number, or with 0 the live one, or the newest where
// none is.
func (p *Pipeline) version(ctx context.Context, documentID string, number int) (Version, error) {
	d, c, err := p.document(ctx, documentID)
	if err != nil {
		return Version{}, err
	}
	if !readsContent(ctx, d) {
		return Version{}, noDocument(documentID)
	}
	v, err := p.numbered(ctx, d, number)
	if err != nil {
		return v, err
	}
	may, err := p.readsVersion(ctx, c, d, v)
	if err == nil && !may {
		err = noNumber(d, number)
	}
	return v, err
}

func noNumber(d Document, number int) error {
	return fault.New(fault.NotFound, "version_not_found", "the document %s has no version %d", d.ID, number)
}

func (p *Pipeline) numbered(ctx context.Context, d Document, number int) (Version, error) {
	query, args := "SELECT "+versionColumns+" FROM versions v WHERE v.document_id = ? AND v.number = ?", []any{d.ID, number}
	switch {
	case number == 0 && d.LiveVersion != "":
		query, args = "SELECT "+versionColumns+" FROM versions v WHERE v.id = ?", []any{d.LiveVersion}
	case number == 0:
		return d.Newest, nil
	}
	v, err := scanVersion(p.DB.QueryRow(ctx, query, args...))
	if db.IsNone(err) {
		return v, noNumber(d, number)
	}
	return v, err
}

// ListChunks returns the chunks of a version in reading order; of the live one where version is 0.
func (p *Pipeline) ListChunks(ctx context.Context, documentID string, version int) ([]ChunkRow, error) {
	v, err := p.version(ctx, documentID, version)
	if err != nil {
		return nil, err
	}
	return collect(ctx, p.DB, func(row scanner) (c ChunkRow, err error) {
		var heading string
		if err := row.Scan(&c.ID, &c.Ordinal, &heading, &c.PageFrom, &c.PageTo, &c.Kind, &c.Tokens, &c.Text); err != nil {
			return c, err
		}
		return c, json.Unmarshal([]byte(heading), &c.Heading)
	}, "SELECT c.id, vc.ordinal, c.heading, vc.page_from, vc.page_to, c.kind, c.tokens, c.text FROM "+liveManifest+" JOIN chunks c ON c.id = vc.chunk_id WHERE vc.version_id = ? ORDER BY vc.ordinal", v.ID)
}

// Content opens the bytes of a version, of the live one (or the newest, where none is) where version is 0.
func (p *Pipeline) Content(ctx context.Context, documentID string, version int) (io.ReadCloser, Version, error) {
	v, err := p.version(ctx, documentID, version)
	if err != nil {
		return nil, v, err
	}
	var key, bucketVersion string
	if err := p.DB.QueryRow(ctx, "SELECT bucket_key, bucket_version FROM versions WHERE id = ?", v.ID).Scan(&key, &bucketVersion); err != nil {
		return nil, v, err
	}
	if key == "" {
		return nil, v, fault.New(fault.NotFound, "bytes_expired", "the bytes of version %d are not kept any more", v.Number).Hinted("keep_versions of the collection says how many are")
	}
	r, _, err := p.Bucket.Get(ctx, key, bucketVersion)
	return r, v, err
}

// Versions returns versions with their runs, in the order of their ids as given, for progress. What the caller may not
// know of is not found.
func (p *Pipeline) Versions(ctx context.Context, ids []string) ([]Version, error) {
	list := make([]Version, 0, len(ids))
	for batch := range slices.Chunk(ids, 500) {
		type known struct {
			Version
			document Document // what its tier follows from
		}
		found, err := collect(ctx, p.DB, func(row scanner) (k known, err error) {
			dest, finish := versionDest(&k.Version)
			var run Run
			runs, finishRun := runDest(&run)
			if err := row.Scan(append(append([]any{&k.document.CollectionID, &k.document.Tier, &k.document.Source, &k.document.LiveVersion, &k.document.Newest.Number}, dest...), runs...)...); err != nil {
				return k, err
			}
			finishRun()
			k.Run = &run
			return k, finish()
		}, "SELECT d.collection_id, d.tier, d.source, COALESCE(d.live_version_id, ''), d.last_number, "+versionColumns+", "+runColumns+` FROM versions v JOIN documents d ON d.id = v.document_id JOIN runs r ON r.version_id = v.id
			WHERE v.id IN (`+db.Marks(len(batch))+") ORDER BY r.created_at", db.Args(batch)...)
		if err != nil {
			return nil, err
		}
		byID := map[string]known{}
		for _, k := range found {
			byID[k.ID] = k
		}
		collections := map[string]Collection{}
		for _, versionID := range batch {
			k, ok := byID[versionID]
			if !ok {
				return nil, noVersion(versionID)
			}
			c, ok := collections[k.document.CollectionID]
			if !ok {
				if c, err = scanCollection(p.DB.QueryRow(ctx, "SELECT "+collectionColumns+" WHERE c.id = ?", k.document.CollectionID)); err != nil {
					return nil, err
				}
				collections[k.document.CollectionID] = c
			}
			seen := reads(ctx, c) && sees(ctx, c, k.document)
			if seen {
				if seen, err = p.seesVersion(ctx, c, k.document, k.Version); err != nil {
					return nil, err
				}
			}
			if !seen {
				return nil, noVersion(versionID)
			}
			list = append(list, k.Version)
		}
	}
	return list, nil
}

func noVersion(versionID string) error {
	return fault.New(fault.NotFound, "version_not_found", "there is no version %q", versionID)
}
