package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"airfield/internal/access"
	"airfield/internal/bucket"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
)

// Upload is one file on its way in.
type Upload struct {
	Name      string    // the file's name; its extension counts
	Source    string    // upload where empty
	SourceKey string    // its name in the source: Name where empty
	Reader    io.Reader // its bytes
	MediaType string    // as declared, or ""
	Metadata  Metadata  // as given with it
	Problem   string    // why what was given cannot be used; the version becomes a dead letter, the document restricted
	Priority  int       // PriorityUpload where 0

	Item   *Item        // what the source saw, kept in the same transaction
	Verify func() error // called when the bytes are stored; an error drops them
}

// What an upload turned out to be.
const (
	Created   = "created"
	Changed   = "version"
	Described = "metadata"
	Unchanged = "unchanged"
)

// Receipt says what became of an upload.
type Receipt struct {
	DocumentID string `json:"document_id"`
	VersionID  string `json:"version_id"`
	Number     int    `json:"number"`
	Change     string `json:"change"` // created, version, metadata, unchanged
	SHA256     string `json:"sha256"`
	Bytes      int64  `json:"bytes"`
	Err        error  `json:"-"` // why this one of many was not accepted
}

// Upload accepts a file: a new document, a new version of the one with the same source and key, changed metadata, or
// nothing new. When it returns, the bytes and the run are durable.
func (p *Pipeline) Upload(ctx context.Context, collection string, u Upload) (Receipt, error) {
	receipts, err := p.UploadAll(ctx, collection, []Upload{u})
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], receipts[0].Err
}

// staged is an upload whose bytes are in the bucket.
type staged struct {
	Upload
	version string
	object  bucket.Object
	err     error
}

func originalKey(versionID string) string { return "versions/" + versionID + "/original" }
func blocksKey(versionID string) string   { return "versions/" + versionID + "/blocks" }

// UploadAll accepts many files with one transaction. A file that cannot be read fails alone: its receipt says why.
func (p *Pipeline) UploadAll(ctx context.Context, collection string, uploads []Upload) ([]Receipt, error) {
	c, err := findCollection(ctx, p.DB, collection)
	if err == nil {
		err = owns(ctx, c, collection)
	}
	if err != nil {
		return nil, err
	}
	files := p.stageAll(ctx, c, uploads)
	receipts, err := p.acceptAll(ctx, c.ID, files)
	for try := 1; db.IsUnique(err) && try < 3; try++ {
		// Somebody else brought a document of the same name at the same moment: now it is there, and this is a version of it.
		receipts, err = p.acceptAll(ctx, c.ID, files)
	}
	for i, f := range files {
		switch {
		case f.err != nil:
		case err != nil:
			p.dropUnnamed(ctx, "versions", f.version, originalKey(f.version))
		case receipts[i].VersionID != f.version:
			p.drop(ctx, originalKey(f.version))
		}
	}
	return receipts, err
}

// dropUnnamed removes the bytes of a transaction that failed. A commit whose answer was lost may have succeeded all the
// same: where that cannot be ruled out the bytes stay, and the sweep decides.
func (p *Pipeline) dropUnnamed(ctx context.Context, table, rowID, key string) {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), 5*time.Second, errors.New("the database took too long"))
	defer cancel()
	var n int
	if err := p.DB.QueryRow(ctx, "SELECT COUNT(*) FROM "+table+" WHERE id = ?", rowID).Scan(&n); err == nil && n == 0 {
		p.drop(ctx, key)
	}
}

// acceptAll writes down everything that was staged, in one transaction.
func (p *Pipeline) acceptAll(ctx context.Context, collectionID string, files []staged) (receipts []Receipt, err error) {
	err = p.DB.Tx(ctx, func(tx *db.Tx) error {
		receipts = make([]Receipt, len(files))
		// The collection may have changed, or gone, while the bytes were on their way.
		c, err := findCollection(ctx, tx, collectionID)
		if err != nil {
			return err
		}
		for i, f := range files {
			if f.err != nil {
				receipts[i].Err = f.err
				continue
			}
			if receipts[i], err = p.accept(ctx, tx, c, f); err != nil {
				return fmt.Errorf("accept %s: %w", f.SourceKey, err)
			}
		}
		// Last, because the end of the audit log stays locked from here on.
		for i, r := range receipts {
			if r.Err != nil || r.Change == Unchanged {
				continue
			}
			f := files[i]
			if err := p.Audit.Record(ctx, tx, access.Entry{Action: "document." + r.Change, Target: r.DocumentID, Detail: map[string]any{
				"collection": c.Name, "source": f.Source, "key": f.SourceKey, "version": r.Number, "sha256": r.SHA256}}); err != nil {
				return err
			}
		}
		return nil
	})
	return receipts, err
}

// prepare fills in what was left out and refuses what cannot be a document's name.
func (u *Upload) prepare(ctx context.Context) error {
	if u.Source == "" {
		u.Source = SourceUpload
	}
	if u.SourceKey == "" {
		u.SourceKey = u.Name
	}
	if u.Name == "" {
		u.Name = path.Base(u.SourceKey)
	}
	if u.Priority == 0 {
		u.Priority = PriorityUpload
	}
	u.Name, u.SourceKey = storable(u.Name), storable(u.SourceKey)
	if u.SourceKey == "" || len(u.SourceKey) > 1024 || len(u.Name) > 1024 {
		return fault.New(fault.Invalid, "document_name", "a document's name must have 1 to 1024 bytes").At("name")
	}
	if err := bucket.CheckMediaType(u.MediaType); err != nil {
		return err
	}
	return mayGive(ctx, u.Metadata)
}

// storable is text that both engines keep: valid UTF-8 without NUL.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// stagedAtOnce is how many files are on their way into the bucket: each waits for the disk, or the network, several times.
const stagedAtOnce = 4

func (p *Pipeline) stageAll(ctx context.Context, c Collection, uploads []Upload) []staged {
	files := make([]staged, len(uploads))
	var all errgroup.Group
	all.SetLimit(stagedAtOnce)
	for i, u := range uploads {
		all.Go(func() error {
			if err := u.prepare(ctx); err != nil {
				files[i].err = err
			} else {
				files[i] = p.stage(ctx, c, u)
			}
			return nil
		})
	}
	all.Wait()
	return files
}

// stage brings the bytes into the bucket.
func (p *Pipeline) stage(ctx context.Context, c Collection, u Upload) staged {
	f := staged{Upload: u, version: id.New("ver")}
	f.object, f.err = p.Bucket.Put(ctx, originalKey(f.version), u.Reader, bucket.PutOptions{MediaType: u.MediaType, MaxBytes: c.Config.MaxFileBytes})
	if fault.Is(f.err, fault.TooLarge) {
		f.err = fault.New(fault.TooLarge, "file_too_large", "%s has more than the %d bytes that collection %s takes", u.Name, c.Config.MaxFileBytes, c.Name).
			Hinted("raise max_file_bytes of the collection, or split the file")
	}
	if f.err == nil && u.Verify != nil {
		if f.err = u.Verify(); f.err != nil {
			p.drop(ctx, originalKey(f.version))
		}
	}
	return f
}

// drop removes bytes that no row names. What it cannot remove the sweeper finds.
func (p *Pipeline) drop(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), 30*time.Second, errors.New("the bucket took too long"))
	defer cancel()
	if _, err := p.Bucket.Purge(ctx, key, ""); err != nil {
		p.Log.Warn("bytes that nothing needs stay until the next sweep", "key", key, "err", err)
	}
}

// accept decides what the staged bytes are, and writes it down.
func (p *Pipeline) accept(ctx context.Context, tx *db.Tx, c Collection, f staged) (Receipt, error) {
	r := Receipt{VersionID: f.version, SHA256: f.object.SHA256, Bytes: f.object.Size}
	came := given{Metadata: f.Metadata, Problem: f.Problem}
	doc, err := scanDocRow(tx.QueryRow(ctx, docRowColumns+" WHERE collection_id = ? AND source = ? AND source_key = ? AND deleted_at IS NULL"+tx.ForUpdate(),
		c.ID, f.Source, f.SourceKey))
	switch {
	case db.IsNone(err):
		if doc, err = insertDocument(ctx, tx, c, f, came); err != nil {
			return r, err
		}
		r.Change = Created
	case err != nil:
		return r, err
	default:
		if f.Source == SourceUpload && came.equal(given{}) {
			if came, err = newestGiven(ctx, tx, doc); err != nil {
				return r, err
			}
		}
		if came, err = c.keepClosed(ctx, tx, doc, came); err != nil {
			return r, err
		}
		same, err := p.describe(ctx, tx, c, doc, f.object.SHA256, came)
		if err != nil {
			return r, err
		}
		if same.Change != "" {
			r.VersionID, r.Number, r.Change = same.VersionID, same.Number, same.Change
		} else {
			r.Change = Changed
		}
	}
	r.DocumentID = doc.ID
	if r.Change == Created || r.Change == Changed {
		r.Number = doc.Last + 1
		if err := p.insertVersion(ctx, tx, c, doc, r, f, came); err != nil {
			return r, err
		}
	}
	if f.Item != nil {
		f.Item.DocumentID, f.Item.SHA256 = doc.ID, f.object.SHA256
		if err := putItem(ctx, tx, *f.Item); err != nil {
			return r, err
		}
	}
	return r, nil
}

func insertDocument(ctx context.Context, tx *db.Tx, c Collection, f staged, came given) (docRow, error) {
	doc := docRow{ID: id.New("doc"), Collection: c.ID, Source: f.Source, SourceKey: f.SourceKey}
	doc.Tier = doc.atLeast(came)
	now := db.Micros(time.Now())
	_, err := tx.Exec(ctx, "INSERT INTO documents (id, collection_id, source, source_key, title, tier, created_at, updated_at) VALUES (?,?,?,?,?,?,?,?)",
		doc.ID, c.ID, f.Source, f.SourceKey, titleOf(came.Metadata, f.Name), int(doc.Tier), now, now)
	return doc, err
}

// insertVersion writes the version and its run, and asks for the run to be done.
func (p *Pipeline) insertVersion(ctx context.Context, tx *db.Tx, c Collection, doc docRow, r Receipt, f staged, came given) error {
	raw, err := json.Marshal(came)
	if err != nil {
		return err
	}
	now := db.Micros(time.Now())
	if _, err := tx.Exec(ctx, `INSERT INTO versions (id, document_id, collection_id, number, state, name, sha256, bytes, media_type, bucket_key, bucket_version, metadata, created_at)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`, r.VersionID, doc.ID, c.ID, r.Number, Pending, f.Name, f.object.SHA256, f.object.Size, f.MediaType,
		f.object.Key, f.object.Version, string(raw), now); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "UPDATE documents SET last_number = ?, updated_at = ? WHERE id = ?", r.Number, now, doc.ID); err != nil {
		return err
	}
	if r.Change == Changed {
		if err := raise(ctx, tx, doc, came); err != nil {
			return err
		}
	}
	return p.insertRun(ctx, tx, runRow{Kind: kindIngest, Collection: c.ID, Document: doc.ID, Version: r.VersionID, Step: StepExtract, Priority: f.Priority})
}

// insertRun writes a run that waits, and wakes a worker for it.
func (p *Pipeline) insertRun(ctx context.Context, tx *db.Tx, r runRow) error {
	r.ID = id.New("run")
	now := time.Now()
	if _, err := tx.Exec(ctx, `INSERT INTO runs (id, kind, collection_id, document_id, version_id, state, step, priority, due_at, created_at, updated_at)
		VALUES (?,?,?,?,?,?,?,?,?,?,?)`, r.ID, r.Kind, r.Collection, r.Document, r.Version, runWaiting, r.Step, r.Priority, db.Micros(now), db.Micros(now), db.Micros(now)); err != nil {
		return err
	}
	return p.Queue.Wake(ctx, tx, Wake{RunID: r.ID, Key: r.ID + ":0", Priority: r.Priority})
}
