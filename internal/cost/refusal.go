package cost

import (
	"errors"
	"fmt"
	"time"

	"airfield/internal/fault"
	"airfield/internal/llm"
)

// scopeText is a scope as people say it.
func scopeText(scope string) string {
	if scope == "business_unit" {
		return "business unit"
	}
	return scope
}

// decision is the record of what a budget decided about a call that asks for an amount.
func (a *account) decision(asked, waited int64, reason string) *llm.Decision {
	r := a.rule
	d := &llm.Decision{
		Rule: "budget", Name: r.name, Scope: r.scope, Of: a.whose, Unit: r.unit, Limit: amountDecimal(r.unit, r.limit), Spent: amountDecimal(r.unit, a.spentKnown()),
		Held: amountDecimal(r.unit, a.heldNow()), FreesAt: a.end(), Waited: waited / 1000, Reason: reason,
	}
	if asked > 0 {
		d.Asked = amountDecimal(r.unit, asked)
	}
	return d
}

// refusal needs mu. It is the error of a call that a hard budget has no room for.
func (b *Budgets) refusal(a *account, asked, waited int64, why string) error {
	r, text := a.rule, func(n int64) string { return amountText(a.rule.unit, n) }
	head := fmt.Sprintf("budget %s of %s %s: %s a %s", r.name, scopeText(r.scope), a.whose, text(r.limit), r.calendar.period)
	frees := "it frees on " + a.end().Format("2006-01-02 15:04") + " " + r.zoneName
	body, hint := "", "raise the budget in airfield.yaml, or wait until it frees"
	switch {
	case asked > r.limit:
		body = fmt.Sprintf("this call may cost up to %s, which is more than the whole budget", text(asked))
		hint = "lower the call's cap on output tokens, or raise the budget in airfield.yaml"
	default:
		body = fmt.Sprintf("%s spent, %s held by calls in flight, this call may cost up to %s; %s", text(a.spentKnown()), text(a.heldNow()), text(asked), frees)
		if asked <= r.limit-a.spentKnown() {
			hint = "a lower cap on output tokens holds less; money that is held and not used frees when those calls end"
		}
	}
	if why != "" {
		body += "; " + why
	}
	reason := head + ", " + body
	f := fault.New(fault.Limited, "budget_exceeded", "%s", reason).Hinted("%s", hint)
	f.Detail = a.decision(asked, waited, reason)
	if asked <= r.limit {
		f.RetryAfter = max(time.Second, time.Until(a.end()))
	}
	if !a.refusing && asked <= r.limit {
		a.refusing = true
		b.tellRefusing(a)
	}
	return f
}

// unavailable needs mu. It is the error of a call for which money would have to be leased from a database that is away.
func (b *Budgets) unavailable(a *account, cause error) error {
	if cause == nil {
		cause = b.failing
	}
	if cause == nil {
		cause = errors.New("it did not answer in time")
	}
	f := fault.New(fault.Unavailable, "budget_unavailable", "budget %s of %s %s: what this process has leased of it is used up, and the database gave no more: %w", a.rule.name, scopeText(a.rule.scope), a.whose, cause).
		Hinted("calls go on when the database is back; airfield status says how it is")
	f.RetryAfter = awayAfter
	f.Detail = a.decision(0, 0, f.Text)
	return f
}
