package cost

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"airfield/internal/llm"
	"airfield/internal/money"
)

// BudgetConfig is one entry of the section budgets of airfield.yaml.
type BudgetConfig struct {
	Scope     string      `yaml:"scope" json:"scope" doc:"Whose calls count: environment, business_unit, workflow, key or user."`
	Of        string      `yaml:"of" json:"of" doc:"The one it is for; a key by its name or its id. Left out, each one of the scope has the amount for itself. Calls that name no user fall under no user's budget."`
	USD       money.Nanos `yaml:"usd" json:"usd" doc:"The amount in dollars. Exactly one of usd and tokens."`
	Tokens    int64       `yaml:"tokens" json:"tokens" doc:"The amount in tokens, in and out."`
	Period    string      `yaml:"period" json:"period" doc:"When it begins anew: day, week (on Monday) or month."`
	TimeZone  string      `yaml:"time_zone" json:"time_zone" doc:"Whose midnight that is, such as Europe/Berlin; by default UTC."`
	Hard      bool        `yaml:"hard" json:"hard" doc:"Never exceeded: the most a call can cost is held before it is sent. Otherwise the budget only tells, or moves calls to the economy tier."`
	AlertAt   []int       `yaml:"alert_at" json:"alert_at" doc:"Percent of the amount at which an alert is told, each once a period; by default 80 and 100."`
	EconomyAt int         `yaml:"economy_at" json:"economy_at" doc:"Not with hard: from this percent on calls move to the economy tier. 0 is never."`
}

// Scopes are whose budget one can be.
var Scopes = []string{"environment", "business_unit", "workflow", "key", "user"}

// DefaultAlertAt is at how many percent a budget tells where it does not say.
var DefaultAlertAt = []int{80, 100}

var budgetName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// CheckBudgetName reports whether a budget can be called that.
func CheckBudgetName(name string) error {
	if !budgetName.MatchString(name) {
		return fmt.Errorf("%q cannot be a budget's name: letters, digits, '.', '_' and '-', at most 64", name)
	}
	return nil
}

// Check reports what is wrong or unwise.
func (c BudgetConfig) Check() (warnings []string, err error) {
	var errs []error
	if !slices.Contains(Scopes, c.Scope) {
		errs = append(errs, fmt.Errorf("scope: %q is not environment, business_unit, workflow, key or user", c.Scope))
	}
	switch {
	case c.USD < 0 || c.Tokens < 0:
		errs = append(errs, errors.New("usd and tokens: must not be negative"))
	case (c.USD > 0) == (c.Tokens > 0):
		errs = append(errs, errors.New("usd: say either usd or tokens, and more than zero"))
	}
	if _, err := newCalendar(c.Period, c.TimeZone); err != nil {
		errs = append(errs, err)
	}
	for _, p := range c.AlertAt {
		if p < 1 || p > 1000 {
			errs = append(errs, fmt.Errorf("alert_at: between 1 and 1000 percent, not %d", p))
		}
	}
	switch {
	case c.EconomyAt < 0 || c.EconomyAt > 1000:
		errs = append(errs, fmt.Errorf("economy_at: between 0 and 1000 percent, not %d", c.EconomyAt))
	case c.EconomyAt > 0 && c.Hard:
		errs = append(errs, errors.New("economy_at: is for budgets that are not hard; add a second budget with the same amount for it"))
	}
	if c.Hard && c.Scope == "user" {
		warnings = append(warnings, "scope: a call that names no user falls under no user's budget; add one for the workflow, too")
	}
	return warnings, errors.Join(errs...)
}

// Amount is money and tokens: what a call can cost at the most, or what it used.
type Amount struct {
	USD    money.Nanos
	Tokens int64
}

// in is the amount in a budget's unit. A negative one is nothing.
func (a Amount) in(unit string) int64 {
	if unit == unitTokens {
		return max(0, a.Tokens)
	}
	return max(0, int64(a.USD))
}

const (
	unitUSD    = "usd"
	unitTokens = "tokens"
)

// amountText writes an amount for people.
func amountText(unit string, n int64) string {
	if unit == unitTokens {
		return fmt.Sprintf("%d tokens", n)
	}
	return money.Nanos(n).String()
}

// amountDecimal writes an amount for programs.
func amountDecimal(unit string, n int64) string {
	if unit == unitTokens {
		return fmt.Sprint(n)
	}
	return money.Nanos(n).Decimal()
}

// BudgetAlert is told when an account crosses a percentage of its budget, and when a hard budget begins to refuse.
type BudgetAlert struct {
	Budget   string    `json:"budget"`
	Scope    string    `json:"scope"`
	Of       string    `json:"of"`
	Period   string    `json:"period"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Unit     string    `json:"unit"`
	Percent  int       `json:"percent"`
	Refusing bool      `json:"refusing,omitempty"`
	Limit    string    `json:"limit"`
	Spent    string    `json:"spent"`
	Text     string    `json:"text"`
}

// Standing is what the budgets say of a call before it is made.
type Standing struct {
	HardUSD    bool          // a hard budget in dollars applies: the most the call can cost must be known
	HardTokens bool          // the same in tokens
	Economy    *llm.Decision // why the call is to move to the economy tier; nil where it need not
	Any        bool          // a budget applies
}
