package retrieve

import (
	"context"
	"errors"
	"log/slog"

	"airfield/internal/db"
	"airfield/internal/index"
)

// Feed keeps the index in line with the database.
type Feed struct {
	config Config
	db     *db.DB
	index  index.Index
	log    *slog.Logger
}

// NewFeed makes a feed; Close ends what it has under way.
func NewFeed(config Config, database *db.DB, idx index.Index, log *slog.Logger) *Feed {
	return &Feed{config: config, db: database, index: idx, log: log}
}

// CatchUp brings the collection's index to where the database is now. A rebuild goes on when ctx ends.
func (f *Feed) CatchUp(ctx context.Context, collectionID string) error { return errors.ErrUnsupported }

// Count says how many entries of a document are left in the collection's indexes.
func (f *Feed) Count(ctx context.Context, collectionID, documentID string) (int, error) {
	return 0, errors.ErrUnsupported
}

// Run keeps every collection's index current until ctx ends.
func (f *Feed) Run(ctx context.Context) error { return errors.ErrUnsupported }

// Notify says that a collection changed, so that Run does not wait for its next round. It never blocks.
func (f *Feed) Notify(collectionID string) {}

// Close stops rebuilds under way and waits for them.
func (f *Feed) Close() {}
