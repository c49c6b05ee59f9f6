package access

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
)

// Prefix begins every key, so that secret scanners and our own log redaction recognise one.
const Prefix = "afk_"

// New is what a key is made from.
type New struct {
	Name      string
	Role      caller.Role
	Workflow  string      // for the role workflow only
	Clearance caller.Tier // None: the workflow's own; for other roles restricted (admin, auditor) or internal
	ExpiresAt time.Time   // zero: never
}

// Key is a key as it is kept: everything but the key itself.
type Key struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	Role       caller.Role `json:"role"`
	Workflow   string      `json:"workflow,omitempty"`
	Clearance  caller.Tier `json:"clearance"`
	Hint       string      `json:"hint"` // the last characters, to recognise it by
	CreatedBy  string      `json:"created_by"`
	CreatedAt  time.Time   `json:"created_at"`
	ExpiresAt  time.Time   `json:"expires_at,omitzero"`
	RevokedAt  time.Time   `json:"revoked_at,omitzero"`
	LastUsedAt time.Time   `json:"last_used_at,omitzero"` // written about every half minute
}

// Keys creates, checks and revokes API keys.
type Keys struct {
	db          *db.DB
	audit       *Audit
	config      Config
	environment string
	log         *slog.Logger

	workflows atomic.Pointer[map[string]Workflow]
	shards    [shards]shard
	changes   atomic.Uint64 // counts flushes, so that a row read before one is not remembered after it
	clock     func() int64  // nanoseconds on a clock that nobody sets
	confirmed atomic.Int64  // when by that clock the database last said that no key had changed
	awayUntil atomic.Int64  // the database did not answer just now: do not ask again before
	epoch     string        // of the last poll; only Run touches it

	usedLock sync.Mutex
	used     map[string]time.Time // last uses of keys that left the cache before they were written
}

// NewKeys returns the keys of one environment. SetWorkflows must follow before a workflow key can be used.
func NewKeys(d *db.DB, audit *Audit, environment string, c Config, log *slog.Logger) *Keys {
	born := time.Now()
	k := &Keys{clock: func() int64 { return int64(time.Since(born)) }, db: d, audit: audit, config: c, environment: environment, log: log.With("part", "access"), used: map[string]time.Time{}}
	k.confirmed.Store(math.MinInt64 / 2) // never
	k.workflows.Store(&map[string]Workflow{})
	for i := range k.shards {
		k.shards[i].known = map[digest]*entry{}
		k.shards[i].unknown = map[digest]int64{}
	}
	return k
}

// SetWorkflows replaces what is configured about workflows; keys that are already known follow at once.
func (k *Keys) SetWorkflows(workflows map[string]Workflow) {
	k.workflows.Store(&workflows)
	k.resolveAll()
}

// Create makes a key and returns it once in plain text: only its SHA-256 is kept. A slow hash would buy nothing,
// because a key is 215 random bits and cannot be guessed from its digest, and would cost every request dearly.
func (k *Keys) Create(ctx context.Context, n New) (Key, string, error) {
	key, plaintext, err := k.make(ctx, n)
	if err != nil {
		return Key{}, "", err
	}
	if err := k.db.Tx(ctx, func(tx *db.Tx) error {
		if err := k.touch(ctx, tx); err != nil {
			return err
		}
		return k.insert(ctx, tx, key, plaintext)
	}); err != nil {
		return Key{}, "", fmt.Errorf("create a key: %w", err)
	}
	k.flush()
	return key, plaintext, nil
}

// Bootstrap creates the first admin key. Where any key exists already it creates none and returns made false.
func (k *Keys) Bootstrap(ctx context.Context, name string) (key Key, plaintext string, made bool, err error) {
	key, plaintext, err = k.make(ctx, New{Name: name, Role: caller.Admin})
	if err != nil {
		return Key{}, "", false, err
	}
	err = k.db.Tx(ctx, func(tx *db.Tx) error {
		if err := k.touch(ctx, tx); err != nil { // locks: of two processes that start, one makes the key
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM keys").Scan(&n); err != nil {
			return err
		}
		if made = n == 0; !made {
			return nil
		}
		return k.insert(ctx, tx, key, plaintext)
	})
	if err != nil {
		return Key{}, "", false, fmt.Errorf("create the first key: %w", err)
	}
	if !made {
		return Key{}, "", false, nil
	}
	k.flush()
	return key, plaintext, true, nil
}

func (k *Keys) make(ctx context.Context, n New) (Key, string, error) {
	n.Name = strings.TrimSpace(n.Name)
	now := time.Now().UTC().Truncate(time.Microsecond)
	workflow, configured := (*k.workflows.Load())[n.Workflow]
	switch {
	case n.Name == "" || utf8.RuneCountInString(n.Name) > 100 || !clean(n.Name):
		return Key{}, "", fault.New(fault.Invalid, "key_name", "a key needs a name of at most 100 printable characters").At("name")
	case !slices.Contains(caller.Roles, n.Role):
		return Key{}, "", fault.New(fault.Invalid, "key_role", "%q is not a role", n.Role).Hinted("admin, operator, auditor, viewer or workflow").At("role")
	case n.Role == caller.Workflow && !configured:
		return Key{}, "", fault.New(fault.Invalid, "workflow_unknown", "no workflow named %q is configured", n.Workflow).Hinted("add it under workflows in airfield.yaml, or name one that is there").At("workflow")
	case n.Role != caller.Workflow && n.Workflow != "":
		return Key{}, "", fault.New(fault.Invalid, "key_workflow", "a key of the role %s belongs to no workflow", n.Role).At("workflow")
	case n.Role == caller.Workflow && n.Clearance > workflow.Clearance:
		return Key{}, "", fault.New(fault.Invalid, "key_clearance", "the workflow %s is cleared up to %s, not %s", n.Workflow, workflow.Clearance, n.Clearance).At("clearance")
	case n.Clearance < caller.None || n.Clearance > caller.Restricted:
		return Key{}, "", fault.New(fault.Invalid, "key_clearance", "%s is not a clearance", n.Clearance).At("clearance")
	case !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(now):
		return Key{}, "", fault.New(fault.Invalid, "key_expiry", "the key would have expired already").At("expires_at")
	}
	if n.Clearance == caller.None {
		switch n.Role {
		case caller.Workflow:
			n.Clearance = workflow.Clearance
		case caller.Admin, caller.Auditor:
			n.Clearance = caller.Restricted
		default:
			n.Clearance = caller.Internal
		}
	}
	plaintext := id.Secret(Prefix)
	return Key{ID: id.At("key", now), Name: n.Name, Role: n.Role, Workflow: n.Workflow, Clearance: n.Clearance, Hint: plaintext[len(plaintext)-4:],
		CreatedBy: caller.From(ctx).Actor(), CreatedAt: now, ExpiresAt: n.ExpiresAt.UTC()}, plaintext, nil
}

func (k *Keys) insert(ctx context.Context, tx *db.Tx, key Key, plaintext string) error {
	sum := sha256.Sum256([]byte(plaintext))
	if _, err := tx.Exec(ctx, "INSERT INTO keys (id, name, role, workflow, clearance, hash, hint, created_by, created_at, expires_at) VALUES (?,?,?,?,?,?,?,?,?,?)",
		key.ID, key.Name, string(key.Role), key.Workflow, int64(key.Clearance), hex.EncodeToString(sum[:]), key.Hint, key.CreatedBy, db.Micros(key.CreatedAt),
		sql.NullInt64{Int64: db.Micros(key.ExpiresAt), Valid: !key.ExpiresAt.IsZero()}); err != nil {
		return err
	}
	return k.audit.Record(ctx, tx, Entry{Action: "key.create", Target: key.ID, Detail: map[string]any{
		"name": key.Name, "role": key.Role, "workflow": key.Workflow, "clearance": key.Clearance, "hint": key.Hint, "expires_at": db.Micros(key.ExpiresAt)}})
}

// Revoke ends a key: in this process at once, in others when they next poll. A key that is revoked stays so.
func (k *Keys) Revoke(ctx context.Context, keyID string) (Key, error) {
	err := k.db.Tx(ctx, func(tx *db.Tx) error {
		if err := k.touch(ctx, tx); err != nil {
			return err
		}
		key, err := scanKey(tx.QueryRow(ctx, selectKeys+" WHERE id = ?", keyID))
		switch {
		case db.IsNone(err):
			return fault.New(fault.NotFound, "key_not_found", "there is no key %s", keyID)
		case err != nil || !key.RevokedAt.IsZero():
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE keys SET revoked_at = ? WHERE id = ?", time.Now().UnixMicro(), keyID); err != nil {
			return err
		}
		return k.audit.Record(ctx, tx, Entry{Action: "key.revoke", Target: keyID, Detail: map[string]any{"name": key.Name, "hint": key.Hint}})
	})
	if err != nil {
		return Key{}, fmt.Errorf("revoke a key: %w", err)
	}
	k.flush()
	return k.Get(ctx, keyID)
}

// Get returns one key.
func (k *Keys) Get(ctx context.Context, keyID string) (Key, error) {
	key, err := scanKey(k.db.QueryRow(ctx, selectKeys+" WHERE id = ?", keyID))
	if db.IsNone(err) {
		return Key{}, fault.New(fault.NotFound, "key_not_found", "there is no key %s", keyID)
	}
	if err != nil {
		return Key{}, fmt.Errorf("read a key: %w", err)
	}
	return key, nil
}

// List returns every key, the newest first; revoked ones stay in it.
func (k *Keys) List(ctx context.Context) ([]Key, error) {
	rows, err := k.db.Query(ctx, selectKeys+" ORDER BY created_at DESC, id DESC")
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	defer rows.Close()
	list := []Key{}
	for rows.Next() {
		key, err := scanKey(rows)
		if err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
		list = append(list, key)
	}
	return list, rows.Err()
}

const selectKeys = "SELECT id, name, role, workflow, clearance, hint, created_by, created_at, expires_at, revoked_at, last_used_at FROM keys"

func scanKey(row interface{ Scan(...any) error }) (Key, error) {
	var key Key
	var created int64
	var expires, revoked, used sql.NullInt64
	err := row.Scan(&key.ID, &key.Name, &key.Role, &key.Workflow, &key.Clearance, &key.Hint, &key.CreatedBy, &created, &expires, &revoked, &used)
	key.CreatedAt, key.ExpiresAt, key.RevokedAt, key.LastUsedAt = db.Time(created), db.Time(expires.Int64), db.Time(revoked.Int64), db.Time(used.Int64)
	return key, err
}

const epochSetting = "keys.epoch"

// touch marks in the transaction that keys changed, which other processes poll for, and serialises such changes.
func (k *Keys) touch(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", epochSetting, id.New("epoch"))
	return err
}

// clean reports whether a text is printable on one line.
func clean(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd })
}
