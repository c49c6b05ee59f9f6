package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
)

const (
	shards       = 64
	maxKnown     = 1 << 10 // a shard: 65,536 keys in all
	maxUnknown   = 64      // a shard: 4,096 wrong keys in all
	unknownFor   = 5 * time.Second
	askFor       = 2 * time.Second // how long a request waits for the database
	notAgainFor  = time.Second     // after it did not answer
	writeUsed    = 30 * time.Second
	keyLength    = len(Prefix) + 43
	keyAlphabet  = "0123456789abcdefghjkmnpqrstvwxyz"
	usedGranular = int64(time.Second)
)

type digest [sha256.Size]byte

// shard is a part of the cache, so that cores seldom meet at one lock.
type shard struct {
	sync.RWMutex
	known   map[digest]*entry
	unknown map[digest]int64 // wrong keys, until when
}

// entry is a known key. Only its last use changes after it was stored; a refresh stores a new one.
type entry struct {
	key     Key
	who     *caller.Caller
	refuse  error // why the key opens nothing though it is right
	loaded  int64
	used    atomic.Int64
	written atomic.Int64 // the last use that is in the database
}

// Authenticate returns whose key this is. The usual call asks no database, takes no wait and allocates nothing.
// Comparison is by lookup of the digest, which gives an attacker's clock nothing to measure.
func (k *Keys) Authenticate(ctx context.Context, plaintext string) (*caller.Caller, error) {
	if plaintext == "" {
		return nil, fault.New(fault.Unauthenticated, "key_missing", "this needs a key").Hinted("send the header Authorization: Bearer %s…; airfield keys create makes one", Prefix)
	}
	if len(plaintext) != keyLength || plaintext[:len(Prefix)] != Prefix {
		return nil, fault.New(fault.Unauthenticated, "key_malformed", "this is not a key of Airfield").Hinted("keys begin with %s and have %d characters; check that it was copied whole", Prefix, keyLength)
	}
	sum := sum(plaintext)
	s, now := &k.shards[sum[0]%shards], time.Now().UnixNano()
	s.RLock()
	e := s.known[sum]
	s.RUnlock()
	if e == nil || now-max(e.loaded, k.confirmed.Load()) > int64(k.config.KeyCache) {
		return k.ask(ctx, sum, now)
	}
	return e.open(now)
}

// sum copies the key to the stack first: a conversion to []byte would allocate.
func sum(plaintext string) digest {
	var b [keyLength]byte
	return sha256.Sum256(b[:copy(b[:], plaintext)])
}

func (e *entry) open(now int64) (*caller.Caller, error) {
	if e.refuse != nil {
		return nil, e.refuse
	}
	if !e.key.ExpiresAt.IsZero() && now >= e.key.ExpiresAt.UnixNano() {
		return nil, fault.New(fault.Unauthenticated, "key_expired", "the key …%s (%s) expired on %s", e.key.Hint, e.key.Name, e.key.ExpiresAt.Format(time.RFC3339)).Hinted("ask for a new one: airfield keys create")
	}
	if now-e.used.Load() > usedGranular {
		e.used.Store(now)
	}
	return e.who, nil
}

// ask looks a key up in the database and remembers the answer.
func (k *Keys) ask(ctx context.Context, sum digest, now int64) (*caller.Caller, error) {
	s := &k.shards[sum[0]%shards]
	s.RLock()
	until := s.unknown[sum]
	s.RUnlock()
	if now < until {
		return nil, wrongKey()
	}
	if now < k.awayUntil.Load() {
		return nil, away(nil)
	}
	changes := k.changes.Load()
	ctx, cancel := context.WithTimeoutCause(ctx, askFor, errDeaf)
	defer cancel()
	key, err := scanKey(k.db.QueryRow(ctx, selectKeys+" WHERE hash = ?", hex.EncodeToString(sum[:])))
	if err != nil && !db.IsNone(err) {
		if errors.Is(err, context.Canceled) && !errors.Is(context.Cause(ctx), errDeaf) {
			return nil, err
		}
		k.awayUntil.Store(time.Now().Add(notAgainFor).UnixNano())
		return nil, away(err)
	}
	s.Lock()
	defer s.Unlock()
	fresh := changes == k.changes.Load() // else a change overtook the query: answer, but do not remember
	if err != nil {
		if len(s.unknown) >= maxUnknown {
			clear(s.unknown)
		}
		if fresh {
			s.unknown[sum] = now + int64(unknownFor)
		}
		return nil, wrongKey()
	}
	e := k.resolve(key, now)
	if fresh {
		if len(s.known) >= maxKnown {
			k.forget(s)
		}
		s.known[sum] = e
	}
	return e.open(now)
}

var errDeaf = errors.New("the database did not answer in time")

func wrongKey() error {
	return fault.New(fault.Unauthenticated, "key_unknown", "this key is not known here").Hinted("it may belong to another environment; airfield keys list shows those of this one by their last characters")
}

func away(err error) error {
	f := fault.New(fault.Unavailable, "keys_unavailable", "keys cannot be checked: the database does not answer").Hinted("try again shortly")
	f.Err = err
	return f
}

// resolve joins a key with what is configured about its workflow.
func (k *Keys) resolve(key Key, loaded int64) *entry {
	e := &entry{key: key, loaded: loaded}
	if !key.RevokedAt.IsZero() {
		e.refuse = fault.New(fault.Unauthenticated, "key_revoked", "the key …%s (%s) was revoked on %s", key.Hint, key.Name, key.RevokedAt.Format(time.RFC3339)).Hinted("ask for a new one: airfield keys create")
		return e
	}
	who := &caller.Caller{KeyID: key.ID, KeyName: key.Name, Role: key.Role, Environment: k.environment, Clearance: key.Clearance}
	if key.Role == caller.Workflow {
		w, ok := (*k.workflows.Load())[key.Workflow]
		if !ok {
			e.refuse = fault.New(fault.Denied, "workflow_gone", "the key …%s belongs to the workflow %q, which is no longer configured", key.Hint, key.Workflow).Hinted("put it back under workflows in airfield.yaml, or use a key of another workflow")
			return e
		}
		who.Workflow, who.BusinessUnit, who.Collections = key.Workflow, w.BusinessUnit, slices.Clone(w.Collections)
		who.Clearance = min(key.Clearance, w.Clearance)
	}
	e.who = who
	return e
}

// resolveAll joins the known keys anew after a change of the configuration.
func (k *Keys) resolveAll() {
	for i := range k.shards {
		s := &k.shards[i]
		s.Lock()
		for sum, old := range s.known {
			e := k.resolve(old.key, old.loaded)
			e.used.Store(old.used.Load())
			e.written.Store(old.written.Load())
			s.known[sum] = e
		}
		s.Unlock()
	}
}

// flush forgets every answer, after a key changed.
func (k *Keys) flush() {
	k.changes.Add(1)
	for i := range k.shards {
		s := &k.shards[i]
		s.Lock()
		k.forget(s)
		clear(s.unknown)
		s.Unlock()
	}
}

// forget empties a locked shard but keeps when its keys were last used.
func (k *Keys) forget(s *shard) {
	k.usedLock.Lock()
	defer k.usedLock.Unlock()
	for _, e := range s.known {
		if at := e.used.Load(); at > e.written.Load() {
			k.used[e.key.ID] = time.Unix(0, at)
		}
	}
	clear(s.known)
}

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
	asked := time.Now().UnixNano()
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

// clean reports whether a text is printable on one line.
func clean(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd })
}
