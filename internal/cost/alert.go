package cost

import (
	"context"
	"fmt"
	"time"

	"airfield/internal/db"
)

// alertRow is an alert in the database. percent 0: the budget began to refuse.
type alertRow struct {
	place
	percent int
	alert   BudgetAlert
}

// alertCrossed writes down which thresholds an account is beyond, each once a period. The accounts whose thresholds are
// known to be told are not asked about again.
func (b *Budgets) alertCrossed(ctx context.Context, tx *db.Tx, e *entry, done *posted) error {
	for _, percent := range e.rule.alertAt {
		if e.spent < e.rule.atPercent(percent) || b.wasTold(alertRow{place: e.place, percent: percent}) {
			continue
		}
		row := alertRow{e.place, percent, e.rule.alert(e.whose, e.span, percent, e.spent)}
		n, err := tx.Exec(ctx, "INSERT INTO budget_alerts (account, period, percent, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", e.account, e.start, percent, time.Now().UnixMicro())
		if err != nil {
			return fmt.Errorf("write down a budget's alert: %w", err)
		}
		if n == 1 {
			done.alerts = append(done.alerts, row)
		}
		tx.OnCommit(func() { b.setTold(row) })
	}
	return nil
}

type toldKey struct {
	place
	percent int
}

const toldKept = 20_000

func (b *Budgets) wasTold(r alertRow) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.told[toldKey{r.place, r.percent}]
}

func (b *Budgets) setTold(r alertRow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.told) > toldKept {
		clear(b.told)
	}
	b.told[toldKey{r.place, r.percent}] = true
}

// alert says that a threshold is crossed.
func (r *rule) alert(whose string, in span, percent int, spent int64) BudgetAlert {
	start, end := time.UnixMicro(in.start).In(r.calendar.zone), time.UnixMicro(in.end).In(r.calendar.zone)
	a := BudgetAlert{
		Budget: r.name, Scope: r.scope, Of: whose, Period: r.calendar.period, Start: start, End: end, Unit: r.unit, Percent: percent, Refusing: percent == 0,
		Limit: amountDecimal(r.unit, r.limit), Spent: amountDecimal(r.unit, spent),
	}
	what := fmt.Sprintf("has used %.0f %% of", r.percent(spent))
	if a.Refusing {
		what = "has no room for more calls in"
	}
	a.Text = fmt.Sprintf("%s %s %s its budget %s of %s a %s: %s spent; it begins anew on %s %s", scopeText(r.scope), whose, what, r.name, amountText(r.unit, r.limit), r.calendar.period,
		amountText(r.unit, spent), end.Format("2006-01-02 15:04"), r.zoneName)
	return a
}

// deliver tells of alerts that this process wrote down, beside the work.
func (b *Budgets) deliver(rows []alertRow) {
	if len(rows) == 0 || b.tell == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.background(func() {
		for _, r := range rows {
			b.tell(r.alert)
			ctx, cancel := context.WithTimeout(b.ctx, askTime)
			_, err := b.db.Exec(ctx, "UPDATE budget_alerts SET delivered = 1 WHERE account = ? AND period = ? AND percent = ?", r.account, r.start, r.percent)
			cancel()
			if err != nil && b.ctx.Err() == nil {
				b.log.Warn("it was not noted that a budget's alert was told; it may be told again", "account", r.account, "percent", r.percent, "error", err)
			}
		}
	})
}

// tellRefusing needs mu. It tells, once a period, that a hard budget began to refuse.
func (b *Budgets) tellRefusing(a *account) {
	row := alertRow{place{a.name, a.span.start}, 0, a.rule.alert(a.whose, a.span, 0, a.spentKnown())}
	b.background(func() {
		ctx, cancel := context.WithTimeout(b.ctx, askTime)
		defer cancel()
		n, err := b.db.Exec(ctx, "INSERT INTO budget_alerts (account, period, percent, at) VALUES (?, ?, 0, ?) ON CONFLICT DO NOTHING", row.account, row.start, time.Now().UnixMicro())
		switch {
		case err != nil:
			b.mu.Lock()
			a.refusing = false // the next refusal tries again
			b.mu.Unlock()
		case n == 1:
			b.deliver([]alertRow{row})
		}
	})
}

const (
	tellAgain  = time.Minute // after which an alert that was not told is told by anybody
	alertsOnce = 100
)

// tellWaiting tells the alerts whose writer did not live to tell them.
func (b *Budgets) tellWaiting(ctx context.Context) error {
	before := time.Now().Add(-tellAgain).UnixMicro()
	rows, err := b.db.Query(ctx, "SELECT b.account, b.period, b.percent, b.at, a.spent FROM budget_alerts b JOIN budget_accounts a ON a.account = b.account AND a.period = b.period WHERE b.delivered = 0 AND b.at < ? ORDER BY b.at LIMIT ?", before, alertsOnce)
	if err != nil {
		return fmt.Errorf("read the budgets' alerts: %w", err)
	}
	defer rows.Close()
	type waiting struct {
		alertRow
		at, spent int64
	}
	var list []waiting
	for rows.Next() {
		var w waiting
		if err := rows.Scan(&w.account, &w.start, &w.percent, &w.at, &w.spent); err != nil {
			return fmt.Errorf("read the budgets' alerts: %w", err)
		}
		list = append(list, w)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the budgets' alerts: %w", err)
	}
	rows.Close()
	for _, w := range list {
		r, whose := b.ruleOf(w.account)
		// Who moves the time tells it; a budget that is gone is not told of.
		n, err := b.db.Exec(ctx, "UPDATE budget_alerts SET at = ?, delivered = ? WHERE account = ? AND period = ? AND percent = ? AND at = ? AND delivered = 0",
			time.Now().UnixMicro(), flag(r == nil), w.account, w.start, w.percent, w.at)
		if err != nil {
			return fmt.Errorf("take a budget's alert: %w", err)
		}
		if n == 1 && r != nil {
			w.alert = r.alert(whose, r.period(w.start), w.percent, w.spent)
			b.deliver([]alertRow{w.alertRow})
		}
	}
	return nil
}

// ruleOf finds the budget of an account; nil where that is no longer configured.
func (b *Budgets) ruleOf(account string) (r *rule, whose string) {
	name, whose, tag := splitAccount(account)
	if r = b.plan.Load().byName[name]; r == nil || r.tag != tag {
		return nil, whose
	}
	return r, whose
}

// background runs something that ends with the budgets. It needs mu.
func (b *Budgets) background(fn func()) {
	if b.ctx.Err() == nil {
		b.work.Go(fn)
	}
}
