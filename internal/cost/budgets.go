package cost

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/db"
)

// Budgets holds money for calls before they are made and books what they used. A process leases money from the database
// in portions, so that a call does not wait for it; what a call used is booked there by Post, in the transaction of the
// call's row. Nothing of it ever gives out more than a hard budget has.
type Budgets struct {
	db    *db.DB
	lease string
	tell  func(BudgetAlert)
	log   *slog.Logger
	born  time.Time
	inTx  func(context.Context, func(*db.Tx) error) error // of db; tests break it

	plan atomic.Pointer[ruleset]

	mu           sync.Mutex
	families     map[string]*family
	accounts     map[key]*account
	byName       map[place]*account
	sequence     uint64
	asks         []*account
	leasing      bool
	wake         chan struct{}
	failing      error
	failingSince int64 // in micros; 0: the database answers
	posting      *posted
	told         map[toldKey]bool
	pollNow      chan struct{}     // a soft budget has a new account
	names        map[string]string // of keys, by id; Post alone uses it

	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup
}

// key finds an account by what a call says.
type key struct {
	family *family
	whose  string
	start  int64
}

// place finds an account by what the database says.
type place struct {
	account string
	start   int64
}

// LeaseID names one incarnation of one process: its journal, and how often that was opened.
func LeaseID(journalID string, start int64) string {
	return journalID + "#" + strconv.FormatInt(start, 10)
}

// journalOf is the journal that a lease's calls are in.
func journalOf(lease string) string {
	id, _, _ := strings.Cut(lease, "#")
	return id
}

// NewBudgets returns the budgets of a configuration that was checked. lease is of this process alone, from LeaseID, or
// empty where nothing is reserved; alert is told of thresholds that are crossed, once each, and must not block for long. Where
// it is nil, other processes tell.
func NewBudgets(config map[string]BudgetConfig, database *db.DB, lease string, alert func(BudgetAlert), log *slog.Logger) *Budgets {
	b := &Budgets{
		db: database, lease: lease, tell: alert, log: log.With("part", "budgets"), born: time.Now(), inTx: database.Tx,
		families: map[string]*family{}, accounts: map[key]*account{}, byName: map[place]*account{}, wake: make(chan struct{}, 1), names: map[string]string{}, told: map[toldKey]bool{}, pollNow: make(chan struct{}, 1),
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.plan.Store(newPlan(config, b.families))
	return b
}

// micros is a clock that never steps back.
func (b *Budgets) micros() int64 { return time.Since(b.born).Microseconds() + 1 }

// account needs mu. It finds an account, or makes one.
func (b *Budgets) account(r *rule, whose string, in span) *account {
	k := key{r.family, whose, in.start}
	a := b.accounts[k]
	if a == nil {
		k.whose = strings.Clone(whose)
		a = &account{rule: r, name: r.account(whose), whose: k.whose, span: in}
		b.accounts[k] = a
		b.byName[place{a.name, in.start}] = a
		if !r.hard {
			select {
			case b.pollNow <- struct{}{}:
			default:
			}
		}
	}
	return a
}

// forget needs mu.
func (b *Budgets) forget(a *account) {
	delete(b.accounts, key{a.rule.family, a.whose, a.span.start})
	delete(b.byName, place{a.name, a.span.start})
}

// Reload takes over another configuration, which was checked. Calls in flight keep what they hold.
func (b *Budgets) Reload(config map[string]BudgetConfig) {
	now := b.micros()
	b.mu.Lock()
	defer b.mu.Unlock()
	next := newPlan(config, b.families)
	for _, r := range next.rules {
		if old := b.plan.Load().byName[r.name]; old == nil || old.family != r.family {
			b.meet(r, true)
		}
	}
	b.plan.Store(next)
	for _, a := range b.accounts {
		r := next.byName[a.rule.name]
		if r == nil || r.family != a.rule.family {
			r = gone(a.rule)
		}
		a.rule, a.economy, a.judged = r, nil, 0
		if !r.hard {
			for _, w := range a.queue {
				w.release(a)
			}
		}
		if a.granted > 0 {
			a.ask.pool, a.ask.give = true, len(a.queue) == 0
			b.askFor(a, now)
		}
		b.after(a, now)
	}
}

// gone is a budget that is no longer configured: it holds nothing against anybody.
func gone(r *rule) *rule {
	return &rule{family: r.family, scope: r.scope, of: r.of, limit: r.limit, calendar: r.calendar, zoneName: r.zoneName}
}

// release frees a waiter from a budget that is no longer hard.
func (w *waiter) release(a *account) {
	for i := range w.hold.parts {
		if p := &w.hold.parts[i]; p.account == a {
			p.hard, p.bound = false, 0
		}
	}
}
