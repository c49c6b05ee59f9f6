package cost

import (
	"fmt"
	"time"

	"airfield/internal/llm"
)

// judgeEvery is how often the words of a decision are written anew while it stands.
const judgeEvery = time.Second

// Standing says what applies to a spender's calls. It is asked before each call and takes no memory.
func (b *Budgets) Standing(s llm.Spender, at time.Time) (out Standing) {
	p := b.plan.Load()
	if len(p.rules) == 0 {
		return out
	}
	now, moment := b.micros(), at.UnixMicro()
	b.mu.Lock()
	defer b.mu.Unlock()
	p.match(&s, func(r *rule, whose string) {
		out.Any = true
		switch {
		case r.hard && r.unit == unitUSD:
			out.HardUSD = true
		case r.hard:
			out.HardTokens = true
		case r.economyAt > 0 && out.Economy == nil:
			out.Economy = b.account(r, whose, r.period(moment)).judge(now)
		}
	})
	return out
}

// judge decides whether a soft budget moves calls to the economy tier. It needs mu.
func (a *account) judge(now int64) *llm.Decision {
	a.used = now
	expected := a.expected()
	if expected < a.rule.atPercent(a.rule.economyAt) {
		a.economy = nil
		return nil
	}
	if a.economy == nil || now-a.judged > judgeEvery.Microseconds() {
		r := a.rule
		a.judged = now
		a.economy = a.decision(0, 0, fmt.Sprintf("budget %s of %s %s is at %.0f %% of %s a %s: from %d %% on calls move to the economy tier",
			r.name, scopeText(r.scope), a.whose, r.percent(expected), amountText(r.unit, r.limit), r.calendar.period, r.economyAt))
		a.economy.Held = amountDecimal(r.unit, expected-a.spentKnown())
	}
	return a.economy
}
