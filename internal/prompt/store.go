package prompt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
)

const (
	maxNote   = 2000
	maxReason = 2000
)

// Push is a version to be made.
type Push struct {
	Prompt   Prompt `json:"prompt"`
	Note     string `json:"note,omitempty" maxLength:"2000" doc:"What changed, and why."`
	Label    string `json:"label,omitempty" doc:"Move this label to it, in the same step."`
	Reason   string `json:"reason,omitempty" maxLength:"2000" doc:"Why the label is moved."`
	IfLatest *int   `json:"if_latest,omitempty" minimum:"0" doc:"Only if this is still the newest version; 0 where there is to be none."`
	DryRun   bool   `json:"dry_run,omitempty" doc:"Say what it would do, and do nothing."`
}

// Pushed says what became of a push.
type Pushed struct {
	PromptVersion
	Created bool  `json:"created" doc:"False: a version with this content was there already."`
	Moved   *Move `json:"moved,omitempty" doc:"The label that was moved to it."`
	DryRun  bool  `json:"dry_run,omitempty"`
}

// errDry ends a dry run's transaction.
var errDry = errors.New("a dry run")

// Push makes a version of a prompt, unless one with its content is there. The prompt is made with its first version.
func (r *Registry) Push(ctx context.Context, name string, p Push) (out Pushed, err error) {
	if err := CheckName(name); err != nil {
		return out, err
	}
	if p.Label != "" {
		if err := CheckLabel(p.Label); err != nil {
			return out, err
		}
	}
	if len(p.Note) > maxNote || len(p.Reason) > maxReason {
		return out, fault.New(fault.TooLarge, "note_too_long", "a note and a reason have at most %d bytes", maxNote).At("note")
	}
	if err := p.Prompt.Check(); err != nil {
		return out, err
	}
	content, hash, err := p.Prompt.encode()
	if err != nil {
		return out, err
	}
	who := caller.From(ctx)
	err = r.change(ctx, func(tx *db.Tx) (changed bool, err error) {
		out = Pushed{PromptVersion: PromptVersion{Name: name, Hash: hash, Author: nameOf(who), AuthorID: who.Actor(), Note: storable(p.Note), CreatedAt: now(), Prompt: &p.Prompt}, DryRun: p.DryRun}
		latest, err := latestOf(ctx, tx, name)
		if err != nil {
			return false, err
		}
		if p.IfLatest != nil && *p.IfLatest != latest {
			return false, fault.New(fault.Conflict, "prompt_changed", "the newest version of %s is %d, not %d: somebody else has pushed", name, latest, *p.IfLatest).At("if_latest").
				Hinted("look at what is new: airfield prompts diff %s@%d %s@%d", name, max(1, *p.IfLatest), name, latest)
		}
		err = tx.QueryRow(ctx, "SELECT version FROM prompt_versions WHERE name = ? AND hash = ?", name, hash).Scan(&out.PromptVersion.Version)
		switch {
		case err == nil:
			if out.PromptVersion, err = readVersion(ctx, tx, name, out.PromptVersion.Version); err != nil {
				return false, err
			}
		case db.IsNone(err):
			out.Created, out.PromptVersion.Version = true, latest+1
			if err := insert(ctx, tx, &out.PromptVersion, content); err != nil {
				return false, err
			}
		default:
			return false, err
		}
		if p.Label != "" {
			if out.Moved, err = r.move(ctx, tx, name, p.Label, KindLabel, Target{Version: out.PromptVersion.Version}, p.Reason); err != nil {
				return false, err
			}
		}
		if p.DryRun {
			return false, errDry
		}
		if out.Created {
			if err := r.audit.Record(ctx, tx, access.Entry{Action: "prompt.push", Target: name, Detail: map[string]any{"version": out.PromptVersion.Version, "hash": hash}}); err != nil {
				return false, err
			}
		}
		if err := r.recordMove(ctx, tx, out.Moved); err != nil {
			return false, err
		}
		return out.Created || out.Moved != nil, nil
	})
	if errors.Is(err, errDry) {
		err = nil
	}
	return out, err
}

func insert(ctx context.Context, tx *db.Tx, v *PromptVersion, content []byte) error {
	if _, err := tx.Exec(ctx, "INSERT INTO prompts (name, latest, moves, created_at) VALUES (?, ?, 0, ?) ON CONFLICT (name) DO UPDATE SET latest = excluded.latest",
		v.Name, v.Version, db.Micros(v.CreatedAt)); err != nil {
		return fmt.Errorf("write a prompt: %w", err)
	}
	if _, err := tx.Exec(ctx, "INSERT INTO prompt_versions (name, version, content, hash, author, author_id, note, created_at) VALUES (?,?,?,?,?,?,?,?)",
		v.Name, v.Version, string(content), v.Hash, v.Author, v.AuthorID, v.Note, db.Micros(v.CreatedAt)); err != nil {
		return fmt.Errorf("write a version of a prompt: %w", err)
	}
	return nil
}

func latestOf(ctx context.Context, q db.Querier, name string) (n int, err error) {
	err = q.QueryRow(ctx, "SELECT latest FROM prompts WHERE name = ?", name).Scan(&n)
	if db.IsNone(err) {
		return 0, nil
	}
	return n, err
}

const selectVersions = "SELECT name, version, hash, author, author_id, note, created_at, content FROM prompt_versions"

type scanner interface{ Scan(...any) error }

func scanVersion(row scanner, withContent bool) (v PromptVersion, err error) {
	var at int64
	var content string
	if err = row.Scan(&v.Name, &v.Version, &v.Hash, &v.Author, &v.AuthorID, &v.Note, &at, &content); err != nil {
		return v, err
	}
	v.CreatedAt = db.Time(at)
	if withContent {
		v.Prompt = &Prompt{}
		err = json.Unmarshal([]byte(content), v.Prompt)
	}
	return v, err
}

func readVersion(ctx context.Context, q db.Querier, name string, version int) (PromptVersion, error) {
	v, err := scanVersion(q.QueryRow(ctx, selectVersions+" WHERE name = ? AND version = ?", name, version), true)
	if db.IsNone(err) {
		return v, fault.New(fault.NotFound, "prompt_version_not_found", "the prompt %s has no version %d", short(name), version)
	}
	return v, err
}

// Find returns a version by its number, by a label (that which has most of its calls, as long as none has a share), or the
// newest one by the word latest.
func (r *Registry) Find(ctx context.Context, name, which string) (PromptVersion, error) {
	latest, err := latestOf(ctx, r.db, name)
	if err == nil && latest == 0 {
		err = fault.New(fault.NotFound, "prompt_not_found", "there is no prompt %q", short(name)).Hinted("airfield prompts list shows them")
	}
	if err != nil {
		return PromptVersion{}, err
	}
	n := latest
	if which != "latest" {
		if n, err = strconv.Atoi(which); err != nil {
			labels, err := readLabels(ctx, r.db, name)
			if err != nil {
				return PromptVersion{}, err
			}
			t, is := labels[name][which]
			if !is {
				return PromptVersion{}, fault.New(fault.NotFound, "prompt_label_not_found", "the prompt %s has no label %q", name, short(which))
			}
			n = t.Version
		}
	}
	return readVersion(ctx, r.db, name, n)
}

// PromptSummary is a prompt in a list.
type PromptSummary struct {
	Name      string            `json:"name"`
	Latest    int               `json:"latest" doc:"The number of the newest version."`
	Author    string            `json:"author" doc:"Of the newest version."`
	Note      string            `json:"note,omitempty"`
	UpdatedAt time.Time         `json:"updated_at" doc:"When the newest version was pushed."`
	Labels    map[string]Target `json:"labels"`
}

// List returns all prompts by name.
func (r *Registry) List(ctx context.Context) ([]PromptSummary, error) {
	labels, err := readLabels(ctx, r.db, "")
	if err != nil {
		return nil, err
	}
	rows, err := r.db.Query(ctx, "SELECT p.name, p.latest, v.author, v.note, v.created_at FROM prompts p JOIN prompt_versions v ON v.name = p.name AND v.version = p.latest ORDER BY p.name")
	if err != nil {
		return nil, fmt.Errorf("list prompts: %w", err)
	}
	defer rows.Close()
	list := []PromptSummary{}
	for rows.Next() {
		var s PromptSummary
		var at int64
		if err := rows.Scan(&s.Name, &s.Latest, &s.Author, &s.Note, &at); err != nil {
			return nil, fmt.Errorf("list prompts: %w", err)
		}
		if s.UpdatedAt, s.Labels = db.Time(at), labels[s.Name]; s.Labels == nil {
			s.Labels = map[string]Target{}
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// readLabels returns the labels of a prompt, or of all where name is empty, by prompt and label.
func readLabels(ctx context.Context, q db.Querier, name string) (map[string]map[string]Target, error) {
	rows, err := q.Query(ctx, "SELECT name, label, version, other, percent FROM prompt_labels WHERE name = ? OR ? = ''", name, name)
	if err != nil {
		return nil, fmt.Errorf("read the labels of prompts: %w", err)
	}
	defer rows.Close()
	all := map[string]map[string]Target{}
	for rows.Next() {
		var name, label string
		var t Target
		if err := rows.Scan(&name, &label, &t.Version, &t.Other, &t.Percent); err != nil {
			return nil, fmt.Errorf("read the labels of prompts: %w", err)
		}
		if all[name] == nil {
			all[name] = map[string]Target{}
		}
		all[name][label] = t
	}
	return all, rows.Err()
}

func readLatest(ctx context.Context, q db.Querier) (map[string]int, error) {
	rows, err := q.Query(ctx, "SELECT name, latest FROM prompts")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]int{}
	for rows.Next() {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			return nil, err
		}
		all[name] = n
	}
	return all, rows.Err()
}

func nameOf(who *caller.Caller) string {
	if who == nil || who.KeyName == "" {
		return who.Actor()
	}
	return storable(who.KeyName)
}

// now is as exact as what is read back.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// storable leaves out what PostgreSQL cannot keep in a text.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "�")
}
