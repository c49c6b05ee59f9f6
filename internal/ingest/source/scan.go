package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/ingest"
)

// A listing that would remove more than this of a source's documents is held until somebody confirms it.
const (
	holdAbove   = 20 // documents, and
	holdPercent = 30
	examples    = 5
	batch       = 32 // files that are accepted with one transaction
)

// scan is one comparison of a source with what was seen last.
type scan struct {
	library Library
	backend Backend
	source  ingest.Source
	listing Listing
	items   map[string]ingest.Item
	report  Report
	failed  []string // in words
}

// Scan brings the documents of a source in line with what the backend lists. An error is one of our own stores; what is
// wrong with the source itself is in its state.
func Scan(ctx context.Context, library Library, backend Backend, collection, name string) (Report, error) {
	var all Report
	for {
		part, more, err := scanPart(ctx, library, backend, collection, name)
		all.add(part)
		if err != nil || !more {
			return all, err
		}
	}
}

// add counts a part of a scan.
func (r *Report) add(p Report) {
	p.Added, p.Changed, p.Renamed, p.Removed = p.Added+r.Added, p.Changed+r.Changed, p.Renamed+r.Renamed, p.Removed+r.Removed
	p.Touched += r.Touched
	*r = p // what is unsettled or failed, the last part tells of the whole
}

func scanPart(ctx context.Context, library Library, backend Backend, collection, name string) (r Report, more bool, err error) {
	src, err := library.GetSource(ctx, collection, name)
	if err != nil {
		return Report{}, false, err
	}
	s := &scan{library: library, backend: backend, source: src}
	err = s.run(ctx)
	return s.report, s.listing.More, err
}

func (s *scan) run(ctx context.Context) (err error) {
	if recaller, ok := s.backend.(Recaller); ok {
		items, err := s.library.Items(ctx, s.source.ID)
		if err != nil {
			return err
		}
		root, _ := Remembered(s.source.Cursor)
		recaller.Recall(items, root)
	}
	if s.listing, err = s.backend.List(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.report.Away, s.report.Missed = true, true
		return s.save(ctx, ingest.SourceWarning, fmt.Sprintf("the source cannot be read, so nothing was removed: %s", fault.As(err).Text))
	}
	if s.items, err = s.library.Items(ctx, s.source.ID); err != nil {
		return err
	}
	added, changed, missing := s.compare()
	if added, changed, missing, err = s.moves(ctx, added, changed, missing); err != nil {
		return err
	}
	if added, missing, err = s.renames(ctx, added, missing); err != nil {
		return err
	}
	if err := s.bring(ctx, added, changed); err != nil {
		var away awayError
		if errors.As(err, &away) && ctx.Err() == nil {
			s.report.Away, s.report.Missed, s.listing.More = true, true, false
			return s.save(ctx, ingest.SourceWarning, "the source could not be read to its end, so nothing was removed: "+reason(away.error))
		}
		return err
	}
	return s.finish(ctx, missing)
}

// compare sorts by key, so that scans of the same tree do the same.
func (s *scan) compare() (added, changed []Entry, missing []ingest.Item) {
	for _, key := range slices.Sorted(maps.Keys(s.listing.Entries)) {
		e := s.listing.Entries[key]
		item, known := s.items[key]
		switch {
		case known && item.Fingerprint == e.Fingerprint && item.Sidecar == e.Sidecar:
		case e.Unsettled:
			s.report.Unsettled++
		case known:
			changed = append(changed, e)
		default:
			added = append(added, e)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.items)) {
		if _, there := s.listing.Entries[key]; !there {
			missing = append(missing, s.items[key])
		}
	}
	return added, changed, missing
}

// moves renames what the source says moved. Whether its bytes changed on the way is then seen as with any other item.
func (s *scan) moves(ctx context.Context, added, changed []Entry, missing []ingest.Item) (rest, more []Entry, gone []ingest.Item, err error) {
	for _, e := range added {
		from, known := s.items[e.From]
		if e.From == "" || !known {
			rest = append(rest, e)
			continue
		}
		to := from
		to.Key = e.Key
		if err := s.library.RenameItem(ctx, s.source, from, to); err != nil {
			return nil, nil, nil, err
		}
		delete(s.items, from.Key)
		s.items[to.Key] = to
		missing = slices.DeleteFunc(missing, func(i ingest.Item) bool { return i.Key == from.Key })
		s.report.Renamed++
		if to.Fingerprint != e.Fingerprint || to.Sidecar != e.Sidecar {
			changed = append(changed, e)
		}
	}
	return rest, changed, missing, nil
}

// renames finds new names of missing items: the same file, or another of the same bytes.
func (s *scan) renames(ctx context.Context, added []Entry, missing []ingest.Item) (rest []Entry, gone []ingest.Item, err error) {
	if len(missing) == 0 || len(s.listing.Missed) > 0 || s.listing.More {
		return added, missing, nil
	}
	taken := map[string]bool{} // keys of missing items that were found
	for _, e := range added {
		from, found, err := s.origin(ctx, e, missing, taken)
		if err != nil {
			return nil, nil, err
		}
		if !found {
			rest = append(rest, e)
			continue
		}
		to := ingest.Item{SourceID: s.source.ID, Key: e.Key, Fingerprint: e.Fingerprint, Identity: e.Identity, Sidecar: from.Sidecar}
		if err := s.library.RenameItem(ctx, s.source, from, to); err != nil {
			return nil, nil, err
		}
		taken[from.Key] = true
		s.report.Renamed++
		if e.Sidecar != from.Sidecar {
			rest = append(rest, e) // its sidecar did not come along: what is said about it changed
		}
	}
	gone = slices.DeleteFunc(missing, func(i ingest.Item) bool { return taken[i.Key] })
	return rest, gone, nil
}

// origin is the missing item that an entry was before. Only files of a missing item's size are read for it.
func (s *scan) origin(ctx context.Context, e Entry, missing []ingest.Item, taken map[string]bool) (from ingest.Item, found bool, err error) {
	var sum string
	for _, preferred := range []bool{true, false} {
		for _, item := range missing {
			same := e.Identity != "" && e.Identity == item.Identity
			if taken[item.Key] || same != preferred || sizeOf(item.Fingerprint) != sizeOf(e.Fingerprint) {
				continue
			}
			if sum == "" {
				if sum, err = s.hash(ctx, e); err != nil {
					return from, false, nil // unreadable now: it is tried as an addition, which says why
				}
			}
			if sum == item.SHA256 {
				return item, true, nil
			}
		}
	}
	return from, false, ctx.Err()
}

// sizeOf is the first part of a fingerprint.
func sizeOf(fingerprint string) string {
	size, _, _ := strings.Cut(fingerprint, ":")
	return size
}

func (s *scan) hash(ctx context.Context, e Entry) (string, error) {
	if known, ok := s.backend.(Summer); ok {
		return known.Sum(e), nil
	}
	r, verify, err := s.backend.Open(ctx, e)
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), verify()
}

// bring gives the pipeline what is new or changed. What was only touched is noted as seen.
func (s *scan) bring(ctx context.Context, added, changed []Entry) error {
	var touched []ingest.Item
	changed = slices.DeleteFunc(changed, func(e Entry) bool {
		item := s.items[e.Key]
		if item.Sidecar != e.Sidecar || sizeOf(item.Fingerprint) != sizeOf(e.Fingerprint) {
			return false
		}
		if sum, err := s.hash(ctx, e); err != nil || sum != item.SHA256 {
			return false
		}
		item.Fingerprint, item.Identity = e.Fingerprint, e.Identity
		touched = append(touched, item)
		return true
	})
	s.report.Touched = len(touched)
	if err := s.library.SeeItems(ctx, touched); err != nil {
		return err
	}
	for part := range slices.Chunk(slices.Concat(added, changed), batch) {
		if err := s.upload(ctx, part); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// awayError says that the source itself went away while it was read: what was taken until then stays.
type awayError struct{ error }

func (e awayError) Unwrap() error { return e.error }

func (s *scan) upload(ctx context.Context, part []Entry) error {
	priority := ingest.PriorityChange
	if s.source.ScannedAt.IsZero() {
		priority = ingest.PriorityBackfill
	}
	if together, ok := s.backend.(Gatherer); ok {
		if err := together.Gather(ctx, part); err != nil {
			return awayError{err}
		}
	}
	uploads := make([]ingest.Upload, 0, len(part))
	entries := make([]Entry, 0, len(part))
	for _, e := range part {
		u, err := s.prepare(ctx, e)
		if err != nil {
			s.fail(e.Key, err)
			continue
		}
		u.Priority = priority
		uploads, entries = append(uploads, u), append(entries, e)
	}
	receipts, err := s.library.UploadAll(ctx, s.source.CollectionID, uploads)
	if err != nil {
		return err
	}
	for i, r := range receipts {
		_, known := s.items[entries[i].Key]
		switch {
		case errors.Is(r.Err, ErrChanging):
			s.report.Unsettled++
		case r.Err != nil && ctx.Err() != nil:
			return ctx.Err()
		case r.Err != nil:
			s.fail(entries[i].Key, r.Err)
		case r.Change == ingest.Unchanged:
		case known:
			s.report.Changed++
		default:
			s.report.Added++
		}
	}
	return nil
}

// ErrChanging says that an item was written to while it was read: it is read again later.
var ErrChanging = errors.New("the file was changed while it was read")

// prepare makes an upload of an entry; the file is opened when its turn comes, so that few are open at once.
func (s *scan) prepare(ctx context.Context, e Entry) (ingest.Upload, error) {
	u := ingest.Upload{Name: path.Base(e.Key), MediaType: e.MediaType, Source: s.source.Name, SourceKey: e.Key,
		Item: &ingest.Item{SourceID: s.source.ID, Key: e.Key, Fingerprint: e.Fingerprint, Identity: e.Identity, Sidecar: e.Sidecar}}
	raw, err := s.backend.Sidecar(ctx, e)
	if err != nil {
		return u, err
	}
	if u.Metadata, err = ingest.ParseSidecar(raw); err != nil {
		u.Problem = fault.As(err).Text
	}
	file := &late{open: func() (io.ReadCloser, func() error, error) { return s.backend.Open(ctx, e) }}
	u.Reader, u.Verify = file, file.verified
	return u, nil
}

// late opens a file when it is first read and closes it at its end.
type late struct {
	open   func() (io.ReadCloser, func() error, error)
	from   io.ReadCloser
	verify func() error
	err    error
}

func (l *late) Read(b []byte) (int, error) {
	if l.from == nil && l.err == nil {
		if l.from, l.verify, l.err = l.open(); l.err != nil {
			l.from = nil
		}
	}
	if l.err != nil {
		return 0, l.err
	}
	n, err := l.from.Read(b)
	if err != nil {
		l.err = err
		if closing := l.from.Close(); err == io.EOF && closing != nil {
			l.err = closing
		}
	}
	return n, l.err
}

func (l *late) verified() error {
	if l.verify == nil {
		return nil
	}
	return l.verify()
}

func (s *scan) fail(key string, err error) {
	if errors.Is(err, ErrChanging) {
		s.report.Unsettled++
		return
	}
	s.report.Failed++
	if len(s.failed) < examples {
		s.failed = append(s.failed, key+": "+reason(err))
	}
}

// reason is an error in words for users.
func reason(err error) string {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f.Text
	}
	return err.Error()
}

// finish removes what is gone, unless that is in doubt, and saves how the source is.
func (s *scan) finish(ctx context.Context, missing []ingest.Item) error {
	if s.listing.More || s.listing.Owes {
		s.source.Cursor = ""
	}
	switch {
	case s.listing.More:
		return s.save(ctx, s.source.State, s.listing.Note)
	case len(s.listing.Missed) > 0:
		s.report.Missed = true
		return s.save(ctx, ingest.SourceWarning, "not everything could be read, so nothing was removed: "+strings.Join(s.listing.Missed, "; "))
	case s.doubtful(len(missing)):
		s.source.Held = ingest.Held{Missing: len(missing), Of: len(s.items)}
		for _, item := range missing[:min(len(missing), examples)] {
			s.source.Held.Examples = append(s.source.Held.Examples, item.Key)
		}
		return s.save(ctx, ingest.SourceHeld, fmt.Sprintf("%d of %d documents are gone from the source; none was removed. If that is right, say so with airfield ingest confirm %s/%s",
			len(missing), len(s.items), s.source.Collection, s.source.Name))
	}
	missing = slices.DeleteFunc(missing, s.mayReturn)
	if err := s.library.RemoveItems(ctx, s.source, missing); err != nil {
		return err
	}
	s.report.Removed = len(missing)
	if s.listing.Mark == "" { // it does not come from listings
		_, s.listing.Mark = Remembered(s.source.Cursor)
	}
	s.source.Held, s.source.Cursor = ingest.Held{}, Remember(s.listing.Root, s.listing.Mark)
	if _, ok := s.backend.(Recaller); ok && s.report.Failed > 0 {
		s.source.Cursor = "" // what failed is not among the items that the next process is told of
	}
	if s.report.Failed > 0 {
		return s.save(ctx, ingest.SourceWarning, summary(s.report.Failed, s.failed))
	}
	return s.save(ctx, ingest.SourceOK, s.listing.Note)
}

// summary says what could not be taken; "" where all was.
func summary(failed int, why []string) string {
	if failed == 0 {
		return ""
	}
	return fmt.Sprintf("%d files could not be taken: %s", failed, strings.Join(why, "; "))
}

// doubtful reports whether so much is gone that somebody has to confirm it: many documents at once, or everything
// together with the place itself, which is another than before: an empty mount point, a folder made anew.
func (s *scan) doubtful(missing int) bool {
	if held := s.source.Held; held.Confirmed && missing <= held.Missing {
		return false
	}
	root, _ := Remembered(s.source.Cursor)
	elsewhere := missing > 0 && len(s.listing.Entries) == 0 && root != "" && root != s.listing.Root
	return Many(missing, len(s.items)) || elsewhere
}

// Many reports whether so many of a source's documents are missing that somebody has to confirm it.
func Many(missing, of int) bool {
	return missing > holdAbove && missing*100 > of*holdPercent
}

// mayReturn reports whether a missing item may be one that is just being written under another name.
func (s *scan) mayReturn(item ingest.Item) bool {
	if s.report.Unsettled == 0 {
		return false
	}
	for key, e := range s.listing.Entries {
		if _, known := s.items[key]; !known && e.Unsettled && sizeOf(e.Fingerprint) == sizeOf(item.Fingerprint) {
			return true
		}
	}
	return false
}

func (s *scan) save(ctx context.Context, state, message string) error {
	s.source.State, s.source.Message = state, message
	if !s.listing.More {
		s.source.ScannedAt = time.Now()
	}
	s.report.State, s.report.Message = state, message
	return s.library.SaveSource(ctx, s.source)
}
