package access

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
)

// Audit is the append-only record of changes and of every reading of a prompt or an answer. Each row's hash covers
// its content and the hash before it; the newest sequence and hash are kept a second time, in settings, so that cutting
// the end off shows too. Someone who may write everything in the database can still rewrite the whole chain and that
// witness: only a head noted elsewhere (airfield audit head) convicts them, because Verify then finds another hash.
type Audit struct{ db *db.DB }

// NewAudit returns the audit log of a database.
func NewAudit(d *db.DB) *Audit { return &Audit{db: d} }

// Entry is what happened. Who did it is in the context.
type Entry struct {
	Action string // noun.verb: "key.create", "call.read"
	Target string // the id of what it was done to
	Detail any    // becomes JSON; never a secret, never what was asked or answered
}

// Head is the end of the chain: worth noting outside of the database.
type Head struct {
	Sequence int64  `json:"sequence"`
	Hash     string `json:"hash"`
}

// genesis stands for the hash before the first row.
const genesis = "airfield-audit-1"

const headSetting = "audit.head"

// Record appends an entry in the transaction of the change, so that neither is there without the other. It locks the
// head until the transaction ends, which keeps the sequence without gaps: call it last.
func (a *Audit) Record(ctx context.Context, tx *db.Tx, e Entry) error {
	detail, err := json.Marshal(e.Detail)
	if err != nil {
		return fmt.Errorf("record %s in the audit log: %w", e.Action, err)
	}
	head, err := lockHead(ctx, tx)
	if err != nil {
		return fmt.Errorf("record %s in the audit log: %w", e.Action, err)
	}
	r := Record{Sequence: head.Sequence + 1, At: time.Now().UTC().Truncate(time.Microsecond), Actor: storable(caller.From(ctx).Actor()), Action: storable(e.Action), Target: storable(e.Target), Detail: detail, Previous: head.Hash}
	r.Hash = r.sum()
	if _, err := tx.Exec(ctx, "INSERT INTO audit (sequence, at, actor, action, target, detail, previous, hash) VALUES (?,?,?,?,?,?,?,?)",
		r.Sequence, db.Micros(r.At), r.Actor, r.Action, r.Target, string(r.Detail), r.Previous, r.Hash); err != nil {
		return fmt.Errorf("record %s in the audit log: %w", e.Action, err)
	}
	text, err := json.Marshal(Head{Sequence: r.Sequence, Hash: r.Hash})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "UPDATE settings SET value = ? WHERE name = ?", string(text), headSetting); err != nil {
		return fmt.Errorf("move the head of the audit log: %w", err)
	}
	return nil
}

// Note appends an entry in a transaction of its own: for reads, which change nothing else.
func (a *Audit) Note(ctx context.Context, e Entry) error {
	return a.db.Tx(ctx, func(tx *db.Tx) error { return a.Record(ctx, tx, e) })
}

// Head returns the newest sequence and hash.
func (a *Audit) Head(ctx context.Context) (Head, error) {
	var text string
	err := a.db.QueryRow(ctx, "SELECT value FROM settings WHERE name = ?", headSetting).Scan(&text)
	if db.IsNone(err) {
		return Head{Hash: genesis}, nil
	}
	if err != nil {
		return Head{}, fmt.Errorf("read the head of the audit log: %w", err)
	}
	return parseHead(text)
}

func lockHead(ctx context.Context, tx *db.Tx) (Head, error) {
	first, err := json.Marshal(Head{Hash: genesis})
	if err != nil {
		return Head{}, err
	}
	if _, err := tx.Exec(ctx, "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", headSetting, string(first)); err != nil {
		return Head{}, err
	}
	var text string
	if err := tx.QueryRow(ctx, "SELECT value FROM settings WHERE name = ?"+tx.ForUpdate(), headSetting).Scan(&text); err != nil {
		return Head{}, err
	}
	return parseHead(text)
}

func parseHead(text string) (Head, error) {
	var h Head
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return Head{}, fmt.Errorf("the head of the audit log is damaged: %w", err)
	}
	return h, nil
}

// Record is one row of the audit log.
type Record struct {
	Sequence int64           `json:"sequence"`
	At       time.Time       `json:"at"`
	Actor    string          `json:"actor"`
	Action   string          `json:"action"`
	Target   string          `json:"target"`
	Detail   json.RawMessage `json:"detail"`
	Previous string          `json:"previous"`
	Hash     string          `json:"hash"`
}

// sum is SHA-256, in hex, over the fields in the order of the columns: numbers as eight bytes big-endian, texts as
// their length in eight bytes and then their bytes, so that no two different rows are encoded alike.
func (r Record) sum() string {
	b := make([]byte, 0, 256+len(r.Detail))
	text := func(s string) {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(r.Sequence))
	b = binary.BigEndian.AppendUint64(b, uint64(r.At.UnixMicro()))
	for _, s := range []string{r.Actor, r.Action, r.Target, string(r.Detail), r.Previous} {
		text(s)
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// storable leaves out what PostgreSQL cannot keep in a text: what is hashed must be what is read back.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}
