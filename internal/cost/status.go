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

// accountStates reads the accounts of a budget in a period, and who holds money of them, as of one moment: between two
// queries money could go from what is held to what is spent, and be missed.
func (b *Budgets) accountStates(ctx context.Context, r *rule, in span, s *BudgetState) error {
	rows, err := b.db.Query(ctx, `SELECT a.account, a.spent, COALESCE(l.lease, ''), COALESCE(l.amount, 0), COALESCE(l.seen_at, 0)
		FROM (SELECT account, period, spent FROM budget_accounts WHERE ends_at = ? AND period = ? AND substr(account, 1, ?) = ? AND substr(account, length(account) - ?) = ?
			ORDER BY spent DESC, account LIMIT ?) a LEFT JOIN budget_leases l ON l.account = a.account AND l.period = a.period AND l.amount > 0
		ORDER BY a.spent DESC, a.account, l.lease`, in.end, in.start, len(r.name)+1, r.name+"/", len(r.tag), "/"+r.tag, statesAtOnce+1)
	if err != nil {
		return err
	}
	defer rows.Close()
	var list []position
	for rows.Next() {
		var account, lease string
		var spent, amount, seenAt int64
		if err := rows.Scan(&account, &spent, &lease, &amount, &seenAt); err != nil {
			return err
		}
		if n := len(list); n == 0 || list[n-1].account != account {
			list = append(list, position{account, spent, 0, []Holder{}})
		}
		if one := &list[len(list)-1]; lease != "" {
			one.held += amount
			one.holders = append(one.holders, b.holder(r, lease, amount, time.UnixMicro(seenAt).UTC()))
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if r.of != "" && len(list) == 0 {
		list = append(list, position{r.account(r.of), 0, 0, []Holder{}})
	}
	if len(list) > statesAtOnce {
		list, s.More = list[:statesAtOnce], true
	}
	for _, one := range list {
		s.Accounts = append(s.Accounts, one.state(r))
	}
	return nil
}

// position is an account as it is read.
type position struct {
	account     string
	spent, held int64
	holders     []Holder
}

func (a position) state(r *rule) AccountState {
	_, whose, _ := splitAccount(a.account)
	return AccountState{Account: a.account, Of: whose, Spent: amountDecimal(r.unit, a.spent), Held: amountDecimal(r.unit, a.held),
		Left: amountDecimal(r.unit, max(0, r.limit-a.spent-a.held)), Percent: r.percent(a.spent), Over: a.spent > r.limit, Holders: a.holders}
}

// holder is a process that has leased money, as it is shown.
func (b *Budgets) holder(r *rule, lease string, amount int64, seenAt time.Time) Holder {
	h := Holder{Lease: lease, Amount: amountDecimal(r.unit, amount), SeenAt: seenAt}
	if h.Dead = lease != b.lease && time.Since(seenAt) > deadAfter; h.Dead {
		h.Hint = "its process was not heard of: start it again, or bring its calls in with airfield journal drain DIR; if its disk is gone, airfield budgets write-off " + lease
	}
	return h
}

// WrittenOff is what WriteOff turned into estimated spend.
type WrittenOff struct {
	Lease    string      `json:"lease"`
	Accounts int         `json:"accounts"`
	USD      money.Nanos `json:"usd" doc:"The most of any account: the same money is held in each budget that a call falls under."`
	Tokens   int64       `json:"tokens"`
}
