package llm

import "time"

// Spender is who a call's cost falls on: budgets and limits are looked up by it.
type Spender struct {
	Environment  string
	BusinessUnit string
	Workflow     string
	KeyID        string
	KeyName      string
	User         string
}

// Hold names a budget's account that money was held from for a call: an account is one budget of one spender, and a
// period of it begins at a time.
type Hold struct {
	Account string
	Period  time.Time
}

// Decision says why a call was refused, had to wait or was moved: which rule, how large it is, how much of it is used
// and held, what the call asked of it, and when it frees. Amounts are written for their unit: dollars with all their
// decimals, or whole numbers.
type Decision struct {
	Rule    string    `json:"rule"`            // budget, limit, queue, price, deadline, deployment
	Name    string    `json:"name"`            // of the rule, as the configuration or the log calls it
	Scope   string    `json:"scope,omitempty"` // environment, business_unit, workflow, key, user, model, deployment
	Of      string    `json:"of,omitempty"`    // whose it is within the scope
	Unit    string    `json:"unit,omitempty"`  // usd, tokens, requests_per_minute, tokens_per_minute, parallel
	Limit   string    `json:"limit,omitempty"`
	Spent   string    `json:"spent,omitempty"`
	Held    string    `json:"held,omitempty"`
	Asked   string    `json:"asked,omitempty"`
	FreesAt time.Time `json:"frees_at,omitzero"` // when there may be room again, where that is known
	Waited  int64     `json:"waited_ms,omitempty"`
	Reason  string    `json:"reason"`
}
