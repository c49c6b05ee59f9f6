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
	"airfield/internal/money"
)

// Repriced brings the accounts in dollars in line with what calls cost by a later price, in the transaction that changes
// their entries in the ledger: what an account has spent is what the ledger says. An account that is not there yet is
// summed from the ledger when it is made.
func (b *Budgets) Repriced(ctx context.Context, tx *db.Tx, changes []llm.Change) error {
	p := b.plan.Load()
	calls := make([]llm.Call, len(changes))
	for i := range changes {
		calls[i] = changes[i].Call
	}
	names := map[string]string{}
	if err := p.nameKeys(ctx, tx, names, calls); err != nil {
		return err
	}
	more := map[place]money.Nanos{}
	for i := range changes {
		c := &changes[i].Call
		s := llm.Spender{Environment: c.Environment, BusinessUnit: c.BusinessUnit, Workflow: c.Workflow, KeyID: c.KeyID, KeyName: names[c.KeyID], User: c.User}
		p.match(&s, func(r *rule, whose string) {
			if r.unit == unitUSD {
				at := place{r.account(whose), r.period(c.Start.UnixMicro()).start}
				more[at] = more[at].Add(changes[i].New - changes[i].Old)
			}
		})
	}
	now := time.Now().UnixMicro()
	order := func(x, y place) int {
		return cmp.Or(cmp.Compare(x.account, y.account), cmp.Compare(x.start, y.start))
	}
	for _, at := range slices.SortedFunc(maps.Keys(more), order) {
		if _, err := tx.Exec(ctx, "UPDATE budget_accounts SET spent = spent + ?, updated_at = ? WHERE account = ? AND period = ?", int64(more[at]), now, at.account, at.start); err != nil {
			return fmt.Errorf("reprice the budget's account %s: %w", at.account, err)
		}
	}
	return nil
}
