package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
)

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
	s, now := &k.shards[sum[0]%shards], k.clock()
	s.RLock()
	e := s.known[sum]
	s.RUnlock()
	if e == nil || now-max(e.loaded, k.confirmed.Load()) > int64(k.config.KeyCache) {
		return k.ask(ctx, sum, now)
	}
	return e.open()
}

// Caller says who a key is, now, for work that goes on after its request: by its id, because the key itself is kept nowhere.
func (k *Keys) Caller(ctx context.Context, keyID string) (*caller.Caller, error) {
	key, err := k.Get(ctx, keyID)
	if err != nil {
		return nil, err
	}
	return k.resolve(key, k.clock()).open()
}

// sum copies the key to the stack first: a conversion to []byte would allocate.
func sum(plaintext string) digest {
	var b [keyLength]byte
	return sha256.Sum256(b[:copy(b[:], plaintext)])
}

func (e *entry) open() (*caller.Caller, error) {
	if e.refuse != nil {
		return nil, e.refuse
	}
	now := time.Now().UnixNano()
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
	bounded, cancel := context.WithTimeoutCause(ctx, askFor, errDeaf)
	defer cancel()
	key, err := scanKey(k.db.QueryRow(bounded, selectKeys+" WHERE hash = ?", hex.EncodeToString(sum[:])))
	if err != nil && !db.IsNone(err) {
		if ctx.Err() != nil { // the caller left, which says nothing of the database
			return nil, ctx.Err()
		}
		k.awayUntil.Store(k.clock() + int64(notAgainFor))
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
	return e.open()
}

var errDeaf = errors.New("the database did not answer in time")

func wrongKey() error {
	return fault.New(fault.Unauthenticated, "key_unknown", "this key is not known here").Hinted("it may belong to another environment; airfield keys list shows those of this one by their last characters")
}

func away(err error) error {
	f := fault.New(fault.Unavailable, "keys_unavailable", "keys cannot be checked: the database does not answer").Hinted("try again shortly")
	f.Err, f.RetryAfter = err, notAgainFor
	return f
}
