package body

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/db"
	"airfield/internal/fault"
)

// prefix is where blocks are in the bucket.
const prefix = "bodies/"

// object is a block's key. All blocks of one end share a folder.
func object(until time.Time, blockID string) string {
	folder := "ever"
	if !until.IsZero() {
		folder = "until-" + until.UTC().Format("2006-01-02t1504")
	}
	return prefix + folder + "/" + blockID
}

const (
	putTime   = 2 * time.Minute
	mostPause = 30 * time.Second
)

// upload brings sealed blocks to the bucket and their rows into the database, the oldest first, until ctx ends.
func (s *Store) upload(ctx context.Context) {
	pause := time.Duration(0)
	for {
		if pause > 0 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
		b := s.spool.oldest()
		if b == nil {
			pause = 0
			select {
			case <-ctx.Done():
				return
			case <-s.spool.more:
			}
			continue
		}
		err := s.put(ctx, b)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			pause = min(max(2*pause, time.Second), mostPause)
			s.Log.Warn("a block of bodies waits in the data folder: it cannot be put where it belongs", "block", b.id, "again_in", pause.String(), "waiting_bytes", s.spool.bytes(), "error", err)
		default:
			pause = 0
		}
	}
}

// put brings one block to the bucket, then its rows into the database, and then removes it here. Any of it may have been
// done before, by a process that died.
func (s *Store) put(ctx context.Context, b *block) error {
	ctx, cancel := context.WithTimeoutCause(ctx, putTime, errors.New("the bucket or the database took too long"))
	defer cancel()
	key := object(b.until, b.id)
	if o, err := s.Bucket.Stat(ctx, key, ""); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	} else if err != nil || o.Size != b.size {
		file, err := os.Open(b.path)
		if err != nil {
			return err
		}
		_, err = s.Bucket.Put(ctx, key, file, bucket.PutOptions{MediaType: "application/octet-stream"})
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	if err := s.DB.Tx(ctx, func(tx *db.Tx) error { return index(ctx, tx, b, key) }); err != nil {
		return fmt.Errorf("write the rows of a block: %w", err)
	}
	return s.spool.drop(b)
}

func index(ctx context.Context, tx *db.Tx, b *block, key string) error {
	rows := slices.Clone(b.rows)
	slices.SortFunc(rows, func(a, b row) int { return compare(a, b) })
	first, last := rows[0].callID, rows[len(rows)-1].callID
	if _, err := tx.Exec(ctx, "INSERT INTO body_blocks (id, object, bytes, calls, first_call, last_call, sealed_at, expires_at) VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING",
		b.id, key, b.size, len(rows), first, last, db.Micros(time.Now()), db.Micros(b.until)); err != nil {
		return err
	}
	return tx.Insert(ctx, "bodies", []string{"call_id", "what", "block_id", "frame", "place"}, "ON CONFLICT (call_id, what) DO NOTHING", len(rows), func(i int, args []any) []any {
		return append(args, rows[i].callID, rows[i].what, b.id, rows[i].frame, rows[i].at)
	})
}

func compare(a, b row) int {
	if a.callID != b.callID {
		if a.callID < b.callID {
			return -1
		}
		return 1
	}
	return a.what - b.what
}
