package cost

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"airfield/internal/db"
	"airfield/internal/llm"
)

// entry is what a batch of calls adds to one account.
type entry struct {
	place
	rule  *rule // nil: the account is of a budget that is no longer configured
	whose string
	span  span
	used  int64
	loose int64            // of it, by calls of this process that held nothing of it
	held  map[string]int64 // of it, by the leases that held it

	// the outcome
	spent int64
	lease bool // this process's was among them
	seen  seen
}

// posted is what a batch changes in memory once it is known to be committed.
type posted struct {
	first   string // call of the batch
	entries []*entry
	alerts  []alertRow
}

// Post books what calls used, in the transaction that writes them and their entries in the ledger, after both: every
// account that a call's spender falls under, in the period in which the call began, and the leases from which money was
// held for it. It is a sink of the call log's drain.
func (b *Budgets) Post(ctx context.Context, tx *db.Tx, calls []llm.Call) error {
	b.confirm(calls)
	p := b.plan.Load()
	if err := b.nameKeys(ctx, tx, p, calls); err != nil {
		return err
	}
	entries, err := b.entries(ctx, tx, p, calls)
	if err != nil || len(entries) == 0 {
		return err
	}
	done := &posted{first: calls[0].ID, entries: entries}
	for _, e := range entries {
		if err := b.postEntry(ctx, tx, e, done); err != nil {
			return err
		}
	}
	b.mu.Lock()
	b.posting = done
	b.mu.Unlock()
	tx.OnCommit(func() { b.commit(done) })
	return nil
}

// entries sums a batch by account, in the order in which accounts are locked.
func (b *Budgets) entries(ctx context.Context, tx *db.Tx, p *ruleset, calls []llm.Call) ([]*entry, error) {
	byKey, byPlace := map[key]*entry{}, map[place]*entry{}
	for i := range calls {
		c := &calls[i]
		if !costs(c) {
			continue
		}
		s := llm.Spender{Environment: c.Environment, BusinessUnit: c.BusinessUnit, Workflow: c.Workflow, KeyID: c.KeyID, KeyName: b.names[c.KeyID], User: c.User}
		own := b.lease != "" && c.Lease == b.lease
		p.match(&s, func(r *rule, whose string) {
			in := r.period(c.Start.UnixMicro())
			k := key{r.family, whose, in.start}
			e := byKey[k]
			if e == nil {
				e = &entry{place: place{r.account(whose), in.start}, rule: r, whose: whose, span: in}
				byKey[k], byPlace[e.place] = e, e
			}
			n := r.used(c)
			e.used += n
			if own && !slices.ContainsFunc(c.Holds, e.is) {
				e.loose += n
			}
		})
		for _, h := range c.Holds {
			if err := b.held(ctx, tx, p, byPlace, c, h); err != nil {
				return nil, err
			}
		}
	}
	return slices.SortedFunc(maps.Values(byPlace), func(x, y *entry) int {
		return cmp.Or(cmp.Compare(x.account, y.account), cmp.Compare(x.start, y.start))
	}), nil
}

func (e *entry) is(h llm.Hold) bool { return h.Account == e.account && h.Period.UnixMicro() == e.start }

// held adds what a call takes from the lease that it was held of. Where its budget is no longer configured, its account
// is kept nevertheless.
func (b *Budgets) held(ctx context.Context, tx *db.Tx, p *ruleset, byPlace map[place]*entry, c *llm.Call, h llm.Hold) error {
	at := place{h.Account, h.Period.UnixMicro()}
	e := byPlace[at]
	unit := ""
	if e == nil {
		err := tx.QueryRow(ctx, "SELECT unit FROM budget_accounts WHERE account = ? AND period = ?", at.account, at.start).Scan(&unit)
		if db.IsNone(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the budget's account %s: %w", at.account, err)
		}
		e = &entry{place: at}
		byPlace[at] = e
	} else if e.rule != nil {
		unit = e.rule.unit
	} else if err := tx.QueryRow(ctx, "SELECT unit FROM budget_accounts WHERE account = ? AND period = ?", at.account, at.start).Scan(&unit); err != nil {
		return fmt.Errorf("read the budget's account %s: %w", at.account, err)
	}
	n := Amount{USD: c.Cost, Tokens: c.Usage.Total()}.in(unit)
	if e.rule == nil {
		e.used += n
	}
	if c.Lease != "" && n > 0 {
		if e.held == nil {
			e.held = map[string]int64{}
		}
		e.held[c.Lease] += n
	}
	return nil
}

// postEntry writes one account's part of the batch.
func (b *Budgets) postEntry(ctx context.Context, tx *db.Tx, e *entry, done *posted) error {
	now, due := time.Now().UnixMicro(), int64(0)
	err := tx.QueryRow(ctx, "UPDATE budget_accounts SET spent = spent + ?, updated_at = ? WHERE account = ? AND period = ? RETURNING spent, verify_at", e.used, now, e.account, e.start).Scan(&e.spent, &due)
	switch {
	case db.IsNone(err) && e.rule == nil:
		return nil
	case err != nil && !db.IsNone(err):
		return fmt.Errorf("book on the budget's account %s: %w", e.account, err)
	case e.rule != nil && (err != nil || due > 0 && due <= now):
		if err := e.sum(ctx, tx, err != nil); err != nil {
			return err
		}
	}
	for _, lease := range slices.Sorted(maps.Keys(e.held)) {
		n := e.held[lease]
		s := seen{lease: true, spent: e.spent}
		err := tx.QueryRow(ctx, `UPDATE budget_leases SET amount = CASE WHEN amount > ? THEN amount - ? ELSE 0 END, posted = posted + ?, version = version + 1
			WHERE account = ? AND period = ? AND lease = ? RETURNING amount, posted, version`, n, n, n, e.account, e.start, lease).Scan(&s.amount, &s.posted, &s.version)
		if db.IsNone(err) {
			continue // written off
		}
		if err != nil {
			return fmt.Errorf("book on the lease of %s: %w", e.account, err)
		}
		if lease == b.lease {
			e.lease, e.seen = true, s
		}
	}
	if e.rule == nil {
		return nil
	}
	return b.alertCrossed(ctx, tx, e, done)
}

// sum makes the account, or sums it anew: then this batch is in it already, from the ledger.
func (e *entry) sum(ctx context.Context, tx *db.Tx, missing bool) error {
	got, summed, err := lockAccount(ctx, tx, e.rule, e.whose, e.span)
	if err != nil {
		return err
	}
	e.spent = got.spent
	if summed || !missing {
		return nil
	}
	err = tx.QueryRow(ctx, "UPDATE budget_accounts SET spent = spent + ? WHERE account = ? AND period = ? RETURNING spent", e.used, e.account, e.start).Scan(&e.spent)
	if err != nil {
		return fmt.Errorf("book on the budget's account %s: %w", e.account, err)
	}
	return nil
}

// commit takes over a batch that was committed.
func (b *Budgets) commit(done *posted) {
	now := b.micros()
	b.mu.Lock()
	if b.posting == done {
		b.posting = nil
	}
	for _, e := range done.entries {
		a := b.byName[e.place]
		if a == nil {
			continue
		}
		a.loose += e.loose
		if e.lease && e.seen.version > a.version {
			a.granted, a.posted, a.version = e.seen.amount, e.seen.posted, e.seen.version
		}
		a.spent = max(a.spent, e.spent)
		a.epoch++
		b.after(a, now)
	}
	b.mu.Unlock()
	b.deliver(done.alerts)
}

// confirm looks whether the batch before, of whose commit nothing was heard, was committed: then other calls follow, else
// the same. What it took from leases is in the next answer of the database anyway.
func (b *Budgets) confirm(calls []llm.Call) {
	b.mu.Lock()
	before := b.posting
	b.posting = nil
	b.mu.Unlock()
	if before == nil || slices.ContainsFunc(calls, func(c llm.Call) bool { return c.ID == before.first }) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range before.entries {
		if a := b.byName[e.place]; a != nil {
			a.loose += e.loose
		}
	}
}

const namesKept = 10_000

// nameKeys looks up the names of keys, where a budget goes by them.
func (b *Budgets) nameKeys(ctx context.Context, tx *db.Tx, p *ruleset, calls []llm.Call) error {
	if len(b.names) > namesKept {
		clear(b.names)
	}
	return p.nameKeys(ctx, tx, b.names, calls)
}

// nameKeys adds the names of calls' keys, where a budget goes by them: rows of calls have the ids only. A key's name
// never changes.
func (p *ruleset) nameKeys(ctx context.Context, tx *db.Tx, names map[string]string, calls []llm.Call) error {
	if !p.named {
		return nil
	}
	missing := map[string]bool{}
	for i := range calls {
		if _, known := names[calls[i].KeyID]; !known && calls[i].KeyID != "" {
			missing[calls[i].KeyID] = true
		}
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(missing)), 500) {
		rows, err := tx.Query(ctx, "SELECT id, name FROM keys WHERE id IN ("+db.Marks(len(chunk))+")", db.Args(chunk)...)
		if err != nil {
			return fmt.Errorf("read the names of keys: %w", err)
		}
		for rows.Next() {
			var keyID, name string
			if err := rows.Scan(&keyID, &name); err != nil {
				rows.Close()
				return fmt.Errorf("read the names of keys: %w", err)
			}
			names[keyID] = name
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("read the names of keys: %w", err)
		}
		rows.Close()
	}
	return nil
}
