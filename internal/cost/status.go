package cost

import (
	"context"
	"fmt"
	"time"

	"airfield/internal/money"
)

// BudgetState is a budget with its accounts in the period that runs now.
type BudgetState struct {
	Name      string         `json:"name"`
	Scope     string         `json:"scope"`
	Of        string         `json:"of,omitempty" doc:"Empty: each one of the scope has the amount for itself."`
	Unit      string         `json:"unit" enum:"usd,tokens"`
	Limit     string         `json:"limit" doc:"In the unit: dollars with all their decimals, or tokens."`
	Period    string         `json:"period"`
	TimeZone  string         `json:"time_zone"`
	Hard      bool           `json:"hard"`
	AlertAt   []int          `json:"alert_at"`
	EconomyAt int            `json:"economy_at,omitempty"`
	Start     time.Time      `json:"start"`
	End       time.Time      `json:"end"`
	More      bool           `json:"more,omitempty" doc:"There are more accounts than are listed."`
	Accounts  []AccountState `json:"accounts" doc:"The fullest first."`
}

// AccountState is what is spent and held of one spender's budget.
type AccountState struct {
	Account string   `json:"account"`
	Of      string   `json:"of"`
	Spent   string   `json:"spent"`
	Held    string   `json:"held" doc:"Leased by processes, for calls in flight and those to come."`
	Left    string   `json:"left"`
	Percent float64  `json:"percent"`
	Over    bool     `json:"over,omitempty" doc:"More was spent than the budget: a provider reported more than was held, or the budget was lowered, or it is not hard."`
	Holders []Holder `json:"holders"`
}

// Holder is a process that has leased money.
type Holder struct {
	Lease  string    `json:"lease"`
	Amount string    `json:"amount"`
	SeenAt time.Time `json:"seen_at"`
	Dead   bool      `json:"dead,omitempty"`
	Hint   string    `json:"hint,omitempty"`
}

const statesAtOnce = 500 // accounts of one budget that are listed

// Status says how every budget stands in the database.
func (b *Budgets) Status(ctx context.Context) ([]BudgetState, error) {
	states := []BudgetState{}
	for _, r := range b.plan.Load().rules {
		start, end := r.calendar.around(time.Now())
		s := BudgetState{Name: r.name, Scope: r.scope, Of: r.of, Unit: r.unit, Limit: amountDecimal(r.unit, r.limit), Period: r.calendar.period, TimeZone: r.zoneName,
			Hard: r.hard, AlertAt: r.alertAt, EconomyAt: r.economyAt, Start: start, End: end, Accounts: []AccountState{}}
		if err := b.accountStates(ctx, r, span{start.UnixMicro(), end.UnixMicro()}, &s); err != nil {
			return nil, fmt.Errorf("read how the budget %s stands: %w", r.name, err)
		}
		states = append(states, s)
	}
	return states, nil
}

func (b *Budgets) accountStates(ctx context.Context, r *rule, in span, s *BudgetState) error {
	rows, err := b.db.Query(ctx, `SELECT account, spent FROM budget_accounts WHERE ends_at = ? AND period = ? AND substr(account, 1, ?) = ? AND substr(account, length(account) - ?) = ?
		ORDER BY spent DESC, account LIMIT ?`, in.end, in.start, len(r.name)+1, r.name+"/", len(r.tag), "/"+r.tag, statesAtOnce+1)
	if err != nil {
		return err
	}
	defer rows.Close()
	type spent struct {
		account string
		n       int64
	}
	var list []spent
	for rows.Next() {
		var one spent
		if err := rows.Scan(&one.account, &one.n); err != nil {
			return err
		}
		list = append(list, one)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	if len(list) > statesAtOnce {
		list, s.More = list[:statesAtOnce], true
	}
	if r.of != "" && len(list) == 0 {
		list = []spent{{r.account(r.of), 0}}
	}
	holders, held, err := b.holders(ctx, r, in)
	if err != nil {
		return err
	}
	for _, one := range list {
		_, whose, _ := splitAccount(one.account)
		a := AccountState{Account: one.account, Of: whose, Spent: amountDecimal(r.unit, one.n), Held: amountDecimal(r.unit, held[one.account]),
			Left: amountDecimal(r.unit, max(0, r.limit-one.n-held[one.account])), Percent: r.percent(one.n), Over: one.n > r.limit, Holders: holders[one.account]}
		if a.Holders == nil {
			a.Holders = []Holder{}
		}
		s.Accounts = append(s.Accounts, a)
	}
	return nil
}

// holders reads who has leased money of a budget in a period.
func (b *Budgets) holders(ctx context.Context, r *rule, in span) (map[string][]Holder, map[string]int64, error) {
	rows, err := b.db.Query(ctx, `SELECT account, lease, amount, seen_at FROM budget_leases WHERE amount > 0 AND period = ? AND substr(account, 1, ?) = ? AND substr(account, length(account) - ?) = ?
		ORDER BY account, lease`, in.start, len(r.name)+1, r.name+"/", len(r.tag), "/"+r.tag)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	holders, held := map[string][]Holder{}, map[string]int64{}
	for rows.Next() {
		var account string
		var h Holder
		var amount, at int64
		if err := rows.Scan(&account, &h.Lease, &amount, &at); err != nil {
			return nil, nil, err
		}
		h.Amount, h.SeenAt = amountDecimal(r.unit, amount), time.UnixMicro(at).UTC()
		if h.Dead = h.Lease != b.lease && time.Since(h.SeenAt) > deadAfter; h.Dead {
			h.Hint = "its process was not heard of: start it again, or bring its calls in with airfield journal drain DIR; if its disk is gone, airfield budgets write-off " + h.Lease
		}
		holders[account] = append(holders[account], h)
		held[account] += amount
	}
	return holders, held, rows.Err()
}

// WrittenOff is what WriteOff turned into estimated spend.
type WrittenOff struct {
	Lease    string      `json:"lease"`
	Accounts int         `json:"accounts"`
	USD      money.Nanos `json:"usd" doc:"The most of any account: the same money is held in each budget that a call falls under."`
	Tokens   int64       `json:"tokens"`
}
