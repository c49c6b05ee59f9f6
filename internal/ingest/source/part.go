package source

import (
	"context"

	"airfield/internal/ingest"
)

// Part is what a source said about some of its items, between two listings of the whole.
type Part struct {
	Entries []Entry  // that are there
	Gone    []string // keys of those that are not
}

// Apply brings the documents of some items in line, and leaves all others alone. Where gone items are held back it says
// so with held: whether they may be removed is left to a listing of the whole. removed counts what parts took away since
// the last one, so that a removal that comes in many parts is held as well.
func Apply(ctx context.Context, library Library, backend Backend, src ingest.Source, p Part, removed int) (report Report, held bool, err error) {
	keys := make([]string, 0, len(p.Entries)+len(p.Gone))
	s := &scan{library: library, backend: backend, source: src, listing: Listing{Entries: map[string]Entry{}}}
	for _, e := range p.Entries {
		keys = append(keys, e.Key)
		s.listing.Entries[e.Key] = e
	}
	if s.items, err = library.ItemsOf(ctx, src.ID, append(keys, p.Gone...)); err != nil {
		return s.report, false, err
	}
	added, changed, missing := s.compare()
	if err := s.bring(ctx, added, changed); err != nil {
		return s.report, false, err
	}
	s.report.Message = summary(s.report.Failed, s.failed)
	if len(missing) == 0 {
		return s.report, false, nil
	}
	if src.State == ingest.SourceHeld {
		return s.report, true, nil
	}
	if len(missing)+removed > holdAbove {
		of, err := library.CountItems(ctx, src.ID)
		if err != nil {
			return s.report, false, err
		}
		if Many(len(missing)+removed, of+removed) {
			return s.report, true, nil
		}
	}
	if err := library.RemoveItems(ctx, src, missing); err != nil {
		return s.report, false, err
	}
	s.report.Removed = len(missing)
	return s.report, false, nil
}
