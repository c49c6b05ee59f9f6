package prompt

import (
	"context"
	"fmt"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
)

// The kinds of moves.
const (
	KindLabel    = "label"
	KindRollout  = "rollout"
	KindRollback = "rollback"
)

// Move is one change of what a label stands for.
type Move struct {
	Name    string    `json:"name"`
	Label   string    `json:"label"`
	Kind    string    `json:"kind" enum:"label,rollout,rollback"`
	From    Target    `json:"from" doc:"Version 0: the label was new."`
	To      Target    `json:"to"`
	Reason  string    `json:"reason,omitempty"`
	Actor   string    `json:"actor" doc:"The name of the key."`
	ActorID string    `json:"actor_id"`
	At      time.Time `json:"at"`

	number int64
}

// SetLabel has a label stand for one version, or for two with a share for the other. Where it does so already nothing is
// changed, and there is no move.
func (r *Registry) SetLabel(ctx context.Context, name, label string, to Target, reason string) (*Move, error) {
	if err := CheckLabel(label); err != nil {
		return nil, err
	}
	if to.Percent == 0 {
		to.Other = 0
	}
	if to.Percent == 100 {
		to = Target{Version: to.Other}
	}
	kind := KindLabel
	if to.Other != 0 {
		kind = KindRollout
	}
	switch {
	case to.Version < 1 || to.Other < 0:
		return nil, fault.New(fault.Invalid, "prompt_version", "a version is a number from 1 on").At("version")
	case to.Percent < 0 || to.Percent > 100 || to.Percent > 0 && to.Other == 0:
		return nil, fault.New(fault.Invalid, "prompt_share", "the share of the other version is between 0 and 100 percent").At("percent")
	case to.Other == to.Version:
		return nil, fault.New(fault.Invalid, "prompt_share", "the two versions are the same").At("other")
	}
	return r.relabel(ctx, reason, func(tx *db.Tx) (*Move, error) {
		from, err := target(ctx, tx, name, label)
		if err != nil {
			return nil, err
		}
		if to.Other != 0 && to.Other == from.Version { // what the label has now is what a rollback goes back to
			to = Target{Version: to.Other, Other: to.Version, Percent: 100 - to.Percent}
		}
		return r.move(ctx, tx, name, label, kind, to, reason)
	})
}

// Rollback has a label stand for the version that it had before: the one that a rollout has been adding to, or that which it
// had before the version that it has now. Going back twice goes back two versions.
func (r *Registry) Rollback(ctx context.Context, name, label, reason string) (*Move, error) {
	return r.relabel(ctx, reason, func(tx *db.Tx) (*Move, error) {
		from, err := target(ctx, tx, name, label)
		if err != nil {
			return nil, err
		}
		if from.Version == 0 {
			return nil, fault.New(fault.NotFound, "prompt_label_not_found", "the prompt %s has no label %q", short(name), short(label)).Hinted("airfield prompts list shows them")
		}
		to := Target{Version: from.Version}
		if from.Other == 0 {
			if to.Version, err = before(ctx, tx, name, label); err != nil {
				return nil, err
			}
		}
		if to.Version == 0 {
			return nil, fault.New(fault.Conflict, "prompt_no_version_before", "the label %s of %s has had no version before %d", label, name, from.Version).
				Hinted("move it to another: airfield prompts label %s %s VERSION", name, label)
		}
		return r.move(ctx, tx, name, label, KindRollback, to, reason)
	})
}

// relabel moves a label in a transaction of its own and writes the move down.
func (r *Registry) relabel(ctx context.Context, reason string, fn func(tx *db.Tx) (*Move, error)) (m *Move, err error) {
	if len(reason) > maxReason {
		return nil, fault.New(fault.TooLarge, "reason_too_long", "a reason has at most %d bytes", maxReason).At("reason")
	}
	err = r.change(ctx, func(tx *db.Tx) (bool, error) {
		if m, err = fn(tx); err != nil {
			return false, err
		}
		return m != nil, r.recordMove(ctx, tx, m)
	})
	return m, err
}

// before finds the version that a label had before the one that it has, in the moves: going forward adds to the pile, going
// back takes from it.
func before(ctx context.Context, q db.Querier, name, label string) (int, error) {
	moves, err := readMoves(ctx, q, "WHERE name = ? AND label = ? ORDER BY move", name, label)
	if err != nil {
		return 0, err
	}
	var pile []int
	for _, m := range moves {
		top := len(pile) - 1
		switch {
		case m.Kind == KindRollback && m.From.Other != 0: // back to the version on top
		case m.Kind == KindRollback && top > 0:
			pile = pile[:top]
		case top < 0 || pile[top] != m.To.Version:
			pile = append(pile, m.To.Version)
		}
	}
	if len(pile) < 2 {
		return 0, nil
	}
	return pile[len(pile)-2], nil
}

func target(ctx context.Context, q db.Querier, name, label string) (t Target, err error) {
	err = q.QueryRow(ctx, "SELECT version, other, percent FROM prompt_labels WHERE name = ? AND label = ?", name, label).Scan(&t.Version, &t.Other, &t.Percent)
	if db.IsNone(err) {
		err = nil
	}
	return t, err
}

// move changes a label; nil where it stands so already.
func (r *Registry) move(ctx context.Context, tx *db.Tx, name, label, kind string, to Target, reason string) (*Move, error) {
	latest, err := latestOf(ctx, tx, name)
	if err == nil && latest == 0 {
		err = fault.New(fault.NotFound, "prompt_not_found", "there is no prompt %q", short(name)).Hinted("airfield prompts list shows them")
	}
	if err == nil && max(to.Version, to.Other) > latest {
		err = fault.New(fault.NotFound, "prompt_version_not_found", "the prompt %s has no version %d; the newest is %d", name, max(to.Version, to.Other), latest)
	}
	if err != nil {
		return nil, err
	}
	who := caller.From(ctx)
	m := &Move{Name: name, Label: label, Kind: kind, To: to, Reason: storable(reason), Actor: nameOf(who), ActorID: who.Actor(), At: now()}
	if m.From, err = target(ctx, tx, name, label); err != nil || m.From == to {
		return nil, err
	}
	if _, err := tx.Exec(ctx, "UPDATE prompts SET moves = moves + 1 WHERE name = ?", name); err != nil {
		return nil, fmt.Errorf("move a label: %w", err)
	}
	if err := tx.QueryRow(ctx, "SELECT moves FROM prompts WHERE name = ?", name).Scan(&m.number); err != nil {
		return nil, fmt.Errorf("move a label: %w", err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO prompt_labels (name, label, version, other, percent, moved_at) VALUES (?,?,?,?,?,?)
		ON CONFLICT (name, label) DO UPDATE SET version = excluded.version, other = excluded.other, percent = excluded.percent, moved_at = excluded.moved_at`,
		name, label, to.Version, to.Other, to.Percent, db.Micros(m.At)); err != nil {
		return nil, fmt.Errorf("move a label: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO prompt_moves (name, move, label, kind, from_version, from_other, from_percent, to_version, to_other, to_percent, reason, actor, actor_id, moved_at)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		name, m.number, label, kind, m.From.Version, m.From.Other, m.From.Percent, to.Version, to.Other, to.Percent, m.Reason, m.Actor, m.ActorID, db.Micros(m.At))
	if err != nil {
		return nil, fmt.Errorf("write the move of a label down: %w", err)
	}
	return m, nil
}

// recordMove writes a move into the audit log; nil is none.
func (r *Registry) recordMove(ctx context.Context, tx *db.Tx, m *Move) error {
	if m == nil {
		return nil
	}
	detail := map[string]any{"label": m.Label, "from": m.From, "to": m.To}
	if m.Reason != "" {
		detail["reason"] = m.Reason
	}
	return r.audit.Record(ctx, tx, access.Entry{Action: "prompt." + m.Kind, Target: m.Name, Detail: detail})
}

// PromptHistory is what became of a prompt, the newest first.
type PromptHistory struct {
	Name     string            `json:"name"`
	Labels   map[string]Target `json:"labels"`
	Versions []PromptVersion   `json:"versions" doc:"Without their content."`
	Moves    []Move            `json:"moves"`
}

const longHistory = 200 // of each kind

// History returns the versions of a prompt and the moves of its labels.
func (r *Registry) History(ctx context.Context, name string) (PromptHistory, error) {
	h := PromptHistory{Name: name, Labels: map[string]Target{}, Versions: []PromptVersion{}}
	rows, err := r.db.Query(ctx, selectVersions+" WHERE name = ? ORDER BY version DESC LIMIT ?", name, longHistory)
	if err != nil {
		return h, fmt.Errorf("read the history of a prompt: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scanVersion(rows, false)
		if err != nil {
			return h, fmt.Errorf("read the history of a prompt: %w", err)
		}
		h.Versions = append(h.Versions, v)
	}
	if err := rows.Err(); err != nil {
		return h, err
	}
	if len(h.Versions) == 0 {
		return h, fault.New(fault.NotFound, "prompt_not_found", "there is no prompt %q", short(name)).Hinted("airfield prompts list shows them")
	}
	labels, err := readLabels(ctx, r.db, name)
	if err != nil {
		return h, err
	}
	if of := labels[name]; of != nil {
		h.Labels = of
	}
	h.Moves, err = readMoves(ctx, r.db, "WHERE name = ? ORDER BY move DESC LIMIT ?", name, longHistory)
	return h, err
}

func readMoves(ctx context.Context, q db.Querier, where string, args ...any) ([]Move, error) {
	rows, err := q.Query(ctx, "SELECT name, move, label, kind, from_version, from_other, from_percent, to_version, to_other, to_percent, reason, actor, actor_id, moved_at FROM prompt_moves "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read the moves of a prompt's labels: %w", err)
	}
	defer rows.Close()
	list := []Move{}
	for rows.Next() {
		var m Move
		var at int64
		if err := rows.Scan(&m.Name, &m.number, &m.Label, &m.Kind, &m.From.Version, &m.From.Other, &m.From.Percent, &m.To.Version, &m.To.Other, &m.To.Percent, &m.Reason, &m.Actor, &m.ActorID, &at); err != nil {
			return nil, fmt.Errorf("read the moves of a prompt's labels: %w", err)
		}
		m.At = db.Time(at)
		list = append(list, m)
	}
	return list, rows.Err()
}
