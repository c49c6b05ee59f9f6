package access

import (
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/caller"
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
	loaded  int64 // by the keys' clock
	used    atomic.Int64
	written atomic.Int64 // the last use that is in the database
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
