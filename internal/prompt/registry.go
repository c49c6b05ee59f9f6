package prompt

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/access"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
)

const (
	epochSetting = "prompts.epoch"        // changes in each transaction that changes a prompt or a label
	pollEvery    = 250 * time.Millisecond // so that a label has moved everywhere within a second
	askFor       = 2 * time.Second
	trusted      = 10 * time.Minute // how long labels stand while the database cannot be asked
)

// Registry has all prompts of a database in memory. It is safe for concurrent use.
type Registry struct {
	db    *db.DB
	audit *access.Audit
	log   *slog.Logger

	mu        sync.Mutex // held while prompts are loaded
	epoch     string     // of what is loaded
	now       atomic.Pointer[snapshot]
	confirmed atomic.Int64 // when the database last said that this is what is in force
}

// snapshot is what is in force at one moment. It never changes: a call that looks at one sees one state of every label.
type snapshot struct{ prompts map[string]*known }

// known is a prompt of a snapshot.
type known struct {
	versions []*compiled // of the version i+1; nil for one that cannot be read
	labels   map[string]Target
}

// New returns the prompts of a database, which are not yet loaded.
func New(d *db.DB, audit *access.Audit, log *slog.Logger) *Registry {
	r := &Registry{db: d, audit: audit, log: log.With("part", "prompts")}
	r.now.Store(&snapshot{})
	return r
}

// Run takes over what other processes changed, until ctx ends. While the database is away the prompts stay as they are; the
// labels are believed for a while.
func (r *Registry) Run(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := r.ask(ctx)
		switch {
		case err != nil && !failing && ctx.Err() == nil:
			r.log.Warn("prompts cannot be refreshed; the labels that are known stay in force for a while", "for", trusted.String(), "error", err)
		case err == nil && failing:
			r.log.Info("prompts are refreshed again")
		}
		failing = err != nil
	}
}

func (r *Registry) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	return r.Load(ctx)
}

// Load takes over what is in the database, if it changed since the last time: all of it, in one step.
func (r *Registry) Load(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := time.Now()
	var epoch string
	if err := r.db.QueryRow(ctx, "SELECT value FROM settings WHERE name = ?", epochSetting).Scan(&epoch); err != nil && !db.IsNone(err) {
		return fmt.Errorf("load the prompts: %w", err)
	}
	if epoch != r.epoch {
		next, err := r.read(ctx)
		if err != nil {
			return fmt.Errorf("load the prompts: %w", err)
		}
		r.now.Store(next)
		r.epoch = epoch
	}
	r.confirmed.Store(asked.UnixNano())
	return nil
}

// read makes the next snapshot. The labels are read first and in one statement: they are as of one moment, and every version
// that one of them names is there when the versions are read.
func (r *Registry) read(ctx context.Context) (*snapshot, error) {
	next := &snapshot{prompts: map[string]*known{}}
	labels, err := readLabels(ctx, r.db, "")
	if err != nil {
		return nil, err
	}
	latest, err := readLatest(ctx, r.db)
	if err != nil {
		return nil, err
	}
	for name, n := range latest {
		k := &known{labels: labels[name]}
		if before := r.now.Load().prompts[name]; before != nil {
			k.versions = slices.Clone(before.versions)
		}
		if len(k.versions) < n {
			if err := r.readVersions(ctx, name, k); err != nil {
				return nil, err
			}
		}
		next.prompts[name] = k
	}
	return next, nil
}

// readVersions adds those that are new.
func (r *Registry) readVersions(ctx context.Context, name string, k *known) error {
	rows, err := r.db.Query(ctx, "SELECT version, content FROM prompt_versions WHERE name = ? AND version > ? ORDER BY version", name, len(k.versions))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var version int
		var content string
		if err := rows.Scan(&version, &content); err != nil {
			return err
		}
		c, err := compileStored(content)
		if err != nil {
			r.log.Error("a version of a prompt cannot be used and is passed over", "prompt", name, "version", version, "error", err)
		}
		for len(k.versions) < version {
			k.versions = append(k.versions, nil)
		}
		k.versions[version-1] = c
	}
	return rows.Err()
}

func compileStored(content string) (*compiled, error) {
	var p Prompt
	if err := json.Unmarshal([]byte(content), &p); err != nil {
		return nil, err
	}
	return compile(&p)
}

// change runs fn alone among those who change prompts, and has every process take over what it changed, if it says so.
func (r *Registry) change(ctx context.Context, fn func(tx *db.Tx) (changed bool, err error)) error {
	var changed bool
	err := r.db.Tx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO settings (name, value) VALUES (?, '') ON CONFLICT (name) DO NOTHING", epochSetting); err != nil {
			return err
		}
		var epoch string
		err := tx.QueryRow(ctx, "SELECT value FROM settings WHERE name = ?"+tx.ForUpdate(), epochSetting).Scan(&epoch)
		if err != nil {
			return err
		}
		if changed, err = fn(tx); err != nil || !changed {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE settings SET value = ? WHERE name = ?", id.New("prompts"), epochSetting)
		return err
	})
	if err != nil || !changed {
		return err
	}
	if err := r.Load(ctx); err != nil {
		r.log.Warn("a prompt was changed and will be loaded a moment later", "error", err)
	}
	return nil
}

// Ref names a version of a prompt: by its number, or by a label, which is live where it is empty.
type Ref struct {
	Name    string
	Label   string
	Version int
}

func (f Ref) String() string {
	switch {
	case f.Version > 0:
		return fmt.Sprintf("%s@%d", f.Name, f.Version)
	case f.Label != "":
		return f.Name + "@" + f.Label
	}
	return f.Name + "@" + Live
}

// Rendered is a version filled with a call's variables.
type Rendered struct {
	Name       string                     `json:"name"`
	Version    int                        `json:"version"`
	Model      string                     `json:"model,omitempty"`
	Locked     bool                       `json:"locked,omitempty"`
	Messages   []PromptMessage            `json:"messages"`
	Parameters map[string]json.RawMessage `json:"parameters,omitempty"`
}

// Render finds the version once and fills it. Who is the same for by gets the same version of a label that is shared between
// two, as long as the shares stay; without it chance decides. With an error the version is told all the same, once it is known.
func (r *Registry) Render(f Ref, variables json.RawMessage, by string) (Rendered, error) {
	made := Rendered{Name: f.Name}
	k := r.now.Load().prompts[f.Name]
	if k == nil {
		return made, fault.New(fault.NotFound, "prompt_not_found", "there is no prompt %q", short(f.Name)).At("prompt").Hinted("airfield prompts list shows them")
	}
	if made.Version = f.Version; made.Version == 0 {
		label := f.Label
		if label == "" {
			label = Live
		}
		t, is := k.labels[label]
		if !is {
			return made, fault.New(fault.NotFound, "prompt_label_not_found", "the prompt %s has no label %q", f.Name, short(label)).At("prompt").
				Hinted("set it: airfield prompts label %s %s VERSION", f.Name, label)
		}
		if age := time.Since(time.Unix(0, r.confirmed.Load())); age > trusted {
			return made, fault.New(fault.Unavailable, "prompt_labels_stale", "which version of the prompt %s is in force has not been known for %s: the database is away", f.Name, age.Round(time.Second)).
				Hinted("calls that name a version by its number go on")
		}
		made.Version = t.choose(f.Name, by)
	}
	if made.Version > len(k.versions) {
		return made, fault.New(fault.NotFound, "prompt_version_not_found", "the prompt %s has no version %d; the newest is %d", f.Name, made.Version, len(k.versions)).At("prompt")
	}
	c := k.versions[made.Version-1]
	if c == nil {
		return made, fault.New(fault.Unavailable, "prompt_unreadable", "version %d of the prompt %s cannot be used by this process", made.Version, f.Name).Hinted("the server's log says why")
	}
	made.Model, made.Locked, made.Parameters = c.prompt.Model, c.prompt.Locked, maps.Clone(c.prompt.Parameters)
	var err error
	made.Messages, err = c.render(variables)
	return made, err
}

// choose picks one of a label's versions. The other one has the lowest places, so that who got it keeps it as its share grows.
func (t Target) choose(name, by string) int {
	if t.Other == 0 {
		return t.Version
	}
	place := rand.IntN(100)
	if by != "" {
		h := fnv.New64a()
		h.Write([]byte(name + "\x00" + by))
		place = int(mix(h.Sum64()) % 100)
	}
	if place < t.Percent {
		return t.Other
	}
	return t.Version
}

// mix is the end of MurmurHash3: FNV alone leaves texts that differ in their last letter close together.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Draft fills a prompt that was not pushed.
func Draft(name string, p *Prompt, variables json.RawMessage) (Rendered, error) {
	c, err := compile(p)
	if err != nil {
		return Rendered{Name: name}, err
	}
	made := Rendered{Name: name, Model: p.Model, Locked: p.Locked, Parameters: p.Parameters}
	made.Messages, err = c.render(variables)
	return made, err
}
