package cost

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"airfield/internal/llm"
	"airfield/internal/money"
)

// family is what stays of a budget when its amount changes: accounts belong to it. A budget whose scope, unit, period or
// time zone changes is another family, with accounts of its own.
type family struct {
	name string
	tag  string // of the definition
	unit string
}

// rule is a budget as configured; it does not change.
type rule struct {
	*family
	scope, of string
	limit     int64
	calendar  calendar
	zoneName  string
	hard      bool
	alertAt   []int
	economyAt int

	now atomic.Pointer[span] // the period that was asked for last
}

// span is a period in microseconds.
type span struct{ start, end int64 }

// plan is a configuration, indexed by what a call is looked up with. It does not change.
type ruleset struct {
	rules  []*rule // by name
	each   [scopes][]*rule
	of     [scopes]map[string][]*rule
	named  bool // some budget is of a key's name, which calls in the log do not carry
	byName map[string]*rule
}

const scopes = 5 // in the order of Scopes

// newPlan compiles a configuration that was checked; families are reused by their definition.
func newPlan(config map[string]BudgetConfig, families map[string]*family) *ruleset {
	p := &ruleset{byName: map[string]*rule{}}
	for _, name := range slices.Sorted(maps.Keys(config)) {
		c := config[name]
		cal, err := newCalendar(c.Period, c.TimeZone)
		scope := slices.Index(Scopes, c.Scope)
		if err != nil || scope < 0 {
			continue // Check has refused it
		}
		r := &rule{scope: c.Scope, of: c.Of, limit: int64(c.USD), calendar: cal, zoneName: cal.zone.String(), hard: c.Hard, alertAt: c.AlertAt, economyAt: c.EconomyAt}
		unit := unitUSD
		if c.Tokens > 0 {
			unit, r.limit = unitTokens, c.Tokens
		}
		if c.AlertAt == nil {
			r.alertAt = DefaultAlertAt
		}
		r.family = familyOf(name, unit, r, families)
		p.rules = append(p.rules, r)
		p.byName[name] = r
		if c.Of == "" {
			p.each[scope] = append(p.each[scope], r)
			continue
		}
		if p.of[scope] == nil {
			p.of[scope] = map[string][]*rule{}
		}
		p.of[scope][spenderText(c.Of)] = append(p.of[scope][spenderText(c.Of)], r)
		p.named = p.named || c.Scope == "key"
	}
	return p
}

func familyOf(name, unit string, r *rule, families map[string]*family) *family {
	sum := sha256.Sum256([]byte(strings.Join([]string{r.scope, r.of, unit, r.calendar.period, r.zoneName}, "\x00")))
	tag := hex.EncodeToString(sum[:4])
	f := families[name+"/"+tag]
	if f == nil {
		f = &family{name, tag, unit}
		families[name+"/"+tag] = f
	}
	return f
}

// match calls fn with every budget that a spender falls under, and whose it is.
func (p *ruleset) match(s *llm.Spender, fn func(r *rule, whose string)) {
	for i := range scopes {
		whose, other := "", ""
		switch i {
		case 0:
			whose = s.Environment
		case 1:
			whose = s.BusinessUnit
		case 2:
			whose = s.Workflow
		case 3:
			whose, other = s.KeyID, s.KeyName
		case 4:
			if len(p.each[i]) > 0 || len(p.of[i]) > 0 {
				whose = spenderText(s.User)
			}
		}
		if whose != "" {
			for _, r := range p.each[i] {
				fn(r, whose)
			}
		}
		if len(p.of[i]) == 0 {
			continue
		}
		for _, r := range p.of[i][whose] {
			fn(r, whose)
		}
		if other != "" && other != whose {
			for _, r := range p.of[i][other] {
				fn(r, other)
			}
		}
	}
}

// period is the span that a moment belongs to.
func (r *rule) period(at int64) span {
	if s := r.now.Load(); s != nil && at >= s.start && at < s.end {
		return *s
	}
	start, end := r.calendar.around(time.UnixMicro(at))
	s := span{start.UnixMicro(), end.UnixMicro()}
	r.now.Store(&s)
	return s
}

// account is the name of an account in the database.
func (f *family) account(whose string) string { return f.name + "/" + whose + "/" + f.tag }

// splitAccount takes an account's name apart.
func splitAccount(account string) (budget, whose, tag string) {
	first, last := strings.IndexByte(account, '/'), strings.LastIndexByte(account, '/')
	if first < 0 || last <= first {
		return account, "", ""
	}
	return account[:first], account[first+1 : last], account[last+1:]
}

const longSpender = 160 // bytes of a spender's name that are kept as they are

// spenderText is a caller's name for itself as it is kept: as text that every database takes, and not longer than a key
// may be. What is longer ends in its own hash.
func spenderText(s string) string {
	if len(s) <= longSpender && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
	if len(s) <= longSpender {
		return s
	}
	sum := sha256.Sum256([]byte(s[:min(len(s), 1024)]))
	return strings.ToValidUTF8(s[:longSpender-20], "") + "~" + hex.EncodeToString(sum[:8])
}

// used is what a row of the log used, in the budget's unit.
func (r *rule) used(c *llm.Call) int64 {
	return Amount{USD: c.Cost, Tokens: c.Usage.Total()}.in(r.unit)
}

// percent is how much of the budget an amount is.
func (r *rule) percent(n int64) float64 { return float64(n) / float64(r.limit) * 100 }

// atPercent is the amount at a percentage, rounded up.
func (r *rule) atPercent(p int) int64 {
	return int64(money.PerMillion(r.limit).Cost(int64(p) * 10_000))
}
