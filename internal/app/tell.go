package app

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"airfield/internal/cost"
	"airfield/internal/gateway"
	"airfield/internal/notify"
)

// tell brings what the gateway has noticed to people.
func (p *parts) tell(a gateway.Alert) {
	severity := notify.Warning
	if a.Resolved {
		severity = notify.Info
	}
	p.notify.Send(notify.Event{Kind: a.Kind, Key: a.Key, Severity: severity, Title: a.Title, Text: a.Text, Resolved: a.Resolved, Fields: a.Fields})
}

// tellBudget tells that a budget has passed one of its marks, or refuses calls.
func (p *parts) tellBudget(a cost.BudgetAlert) {
	e := notify.Event{
		Kind: "budget.threshold", Key: fmt.Sprintf("%s/%s/%s/%d", a.Budget, a.Of, a.Start.Format(time.DateOnly), a.Percent), Severity: notify.Warning, Text: a.Text,
		Title:  fmt.Sprintf("budget %s of %s: %d %% is used", a.Budget, cmp.Or(a.Of, a.Scope), a.Percent),
		Fields: map[string]string{"budget": a.Budget, "scope": a.Scope, "of": a.Of, "period": a.Period, "ends": a.End.Format(time.RFC3339), "unit": a.Unit, "limit": a.Limit, "spent": a.Spent, "percent": strconv.Itoa(a.Percent)},
	}
	if a.Refusing {
		e.Kind, e.Severity, e.Title = "budget.refusing", notify.Critical, fmt.Sprintf("budget %s refuses calls", a.Budget)
	}
	p.log.Warn("budget", "alert", a.Text, "budget", a.Budget, "of", a.Of, "percent", a.Percent)
	p.notify.Send(e)
}

// redisChanged tells that the processes count and cache for themselves, or share again.
func (p *parts) redisChanged(away bool, reason string) {
	e := notify.Event{Kind: "redis.away", Key: "redis", Severity: notify.Warning, Title: "Redis is away", Resolved: !away,
		Text: "Every process keeps the limits for itself, at their full rate, and caches nothing. " + reason}
	if !away {
		e.Severity, e.Title, e.Text = notify.Info, "Redis is back", "Limits and cached answers are shared again."
	}
	p.notify.Send(e)
}
