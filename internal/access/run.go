package access

import (
	"context"
	"time"

	"airfield/internal/db"
)

// Run notices what other processes changed and writes when keys were last used, until ctx ends.
func (k *Keys) Run(ctx context.Context) error {
	poll, write := time.NewTicker(k.config.KeyPoll), time.NewTicker(writeUsed)
	defer poll.Stop()
	defer write.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), askFor)
			defer cancel()
			if err := k.writeUsed(last); err != nil {
				k.log.Warn("the last uses of keys were not written", "error", err)
			}
			return nil
		case <-poll.C:
			err := k.poll(ctx)
			if err != nil && !failing && ctx.Err() == nil {
				k.log.Warn("keys cannot be refreshed; known ones stay valid for a while", "for", k.config.KeyCache.String(), "error", err)
			}
			failing = err != nil
		case <-write.C:
			if err := k.writeUsed(ctx); err != nil && ctx.Err() == nil {
				k.log.Warn("the last uses of keys were not written; they are kept for the next time", "error", err)
			}
		}
	}
}

// poll asks whether any key changed. An answer also confirms, for all of them, what is remembered.
func (k *Keys) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askFor, errDeaf)
	defer cancel()
	asked := k.clock()
	var epoch string
	err := k.db.QueryRow(ctx, "SELECT value FROM settings WHERE name = ?", epochSetting).Scan(&epoch)
	if err != nil && !db.IsNone(err) {
		return err
	}
	if epoch != k.epoch {
		k.epoch = epoch
		k.flush()
	}
	k.confirmed.Store(asked)
	k.awayUntil.Store(0)
	return nil
}

// writeUsed brings the last uses to the database in one transaction.
func (k *Keys) writeUsed(ctx context.Context) error {
	k.usedLock.Lock()
	used := k.used
	k.used = map[string]time.Time{}
	k.usedLock.Unlock()
	for i := range k.shards {
		s := &k.shards[i]
		s.RLock()
		for _, e := range s.known {
			if at := e.used.Load(); at > e.written.Swap(at) { // a write that fails is tried again from k.used
				used[e.key.ID] = time.Unix(0, at)
			}
		}
		s.RUnlock()
	}
	if len(used) == 0 {
		return nil
	}
	err := k.db.Tx(ctx, func(tx *db.Tx) error {
		for keyID, at := range used {
			if _, err := tx.Exec(ctx, "UPDATE keys SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)", at.UnixMicro(), keyID, at.UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		k.usedLock.Lock()
		for keyID, at := range used {
			if at.After(k.used[keyID]) {
				k.used[keyID] = at
			}
		}
		k.usedLock.Unlock()
	}
	return err
}
