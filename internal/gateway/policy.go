package gateway

import (
	"fmt"
	"slices"
	"time"

	"airfield/internal/caller"
	"airfield/internal/gateway/queue"
	"airfield/internal/limit"
)

// Routing says how calls are brought to deployments.
type Routing struct {
	Deadline   time.Duration `yaml:"deadline" json:"deadline" doc:"The longest a call may take over queues, attempts and everything; a caller may ask for less with x-airfield-timeout."`
	Attempts   int           `yaml:"attempts" json:"attempts" doc:"How often a call is sent for one model before its fallbacks are tried: over its deployments, each of which is asked once in any case."`
	Backoff    time.Duration `yaml:"backoff" json:"backoff" doc:"The longest pause before a deployment is asked again for the first time; it doubles from then on, and the real pause is a random part of it. Retry-After of a provider is honoured."`
	MaxBackoff time.Duration `yaml:"max_backoff" json:"max_backoff" doc:"The longest such pause."`
	Breaker    Breaker       `yaml:"breaker" json:"breaker" doc:"When a deployment is left alone because it fails."`
	Queue      Queue         `yaml:"queue" json:"queue" doc:"Where calls wait for rates, slots, budgets and deployments."`
	Unpriced   string        `yaml:"unpriced" json:"unpriced" doc:"What happens to a call whose price is not known: allow serves and flags it, deny refuses it. Under a hard budget in dollars it is always refused."`
}

// Breaker is a deployment's circuit breaker.
type Breaker struct {
	Failures int           `yaml:"failures" json:"failures" doc:"Failures in a row after which it opens and calls pass the deployment by."`
	Open     time.Duration `yaml:"open" json:"open" doc:"How long it stays open; then one call is sent as a probe, which closes it or opens it again."`
}

// Queue bounds waiting.
type Queue struct {
	Length int           `yaml:"length" json:"length" doc:"How many calls may wait at once; further ones are refused at once."`
	Wait   time.Duration `yaml:"wait" json:"wait" doc:"The longest a call waits in one queue: for its limits, for its budget, for a deployment."`
}

// Whether calls without a known price are served.
const (
	allow = "allow"
	deny  = "deny"
)

// DefaultRouting tries a model three times and lets calls wait for half a minute.
func DefaultRouting() Routing {
	return Routing{
		Deadline: 10 * time.Minute, Attempts: 3, Backoff: 500 * time.Millisecond, MaxBackoff: 10 * time.Second,
		Breaker: Breaker{Failures: 5, Open: 15 * time.Second}, Queue: Queue{Length: 1000, Wait: 30 * time.Second}, Unpriced: allow,
	}
}

func (r Routing) check(refuse func(string, ...any), warn func(string, ...any)) {
	switch {
	case r.Deadline < time.Second:
		refuse("routing.deadline: at least 1s, not %s", r.Deadline)
	case r.Attempts < 1 || r.Attempts > 20:
		refuse("routing.attempts: between 1 and 20, not %d", r.Attempts)
	case r.Backoff < 0 || r.MaxBackoff < r.Backoff:
		refuse("routing.max_backoff: not less than backoff, %s", r.Backoff)
	case r.Breaker.Failures < 1:
		refuse("routing.breaker.failures: at least 1, not %d", r.Breaker.Failures)
	case r.Breaker.Open < 100*time.Millisecond:
		refuse("routing.breaker.open: at least 100ms, not %s", r.Breaker.Open)
	case r.Queue.Length < 0 || r.Queue.Length > 100_000:
		refuse("routing.queue.length: between 0 and 100000, not %d", r.Queue.Length)
	case r.Queue.Wait < 0:
		refuse("routing.queue.wait: not negative")
	case r.Unpriced != allow && r.Unpriced != deny:
		refuse("routing.unpriced: allow or deny, not %q", r.Unpriced)
	}
	if r.Queue.Wait > r.Deadline {
		warn("routing.queue.wait is longer than routing.deadline, which ends it")
	}
}

// WorkflowConfig is what the gateway knows of a workflow.
type WorkflowConfig struct {
	Priority  string       `yaml:"priority" json:"priority" doc:"Whose calls go first where calls wait: high, normal or low. Who waits for long rises."`
	Limits    limit.Rate   `yaml:"limits" json:"limits" doc:"What all of its calls together may use."`
	KeyLimits limit.Rate   `yaml:"key_limits" json:"key_limits" doc:"What the calls of each of its keys may use."`
	Cache     CacheConfig  `yaml:"cache" json:"cache" doc:"Whether answers are kept and given again to the same question."`
	Degrade   []RungConfig `yaml:"degrade" json:"degrade" doc:"What to do, in this order, when no deployment can serve a call. Left out: wait for one to recover, for routing.queue.wait, then refuse."`

	Models          []string      `yaml:"models" json:"models" doc:"The models it may use: names, with * for any characters. tier/NAME allows a tier and every model of it, prompt/NAME@LABEL a prompt. Left out: all."`
	Redact          string        `yaml:"redact" json:"redact" doc:"What is redacted by the rules of redaction: log (what is kept of its calls; the default), send (also what is sent to providers) or off."`
	MaxRequestBytes int64         `yaml:"max_request_bytes" json:"max_request_bytes" doc:"The largest body of a request, within server.max_request_bytes. 0: no bound of its own."`
	MaxInputTokens  int64         `yaml:"max_input_tokens" json:"max_input_tokens" doc:"The longest request, in estimated tokens. 0: no bound."`
	MaxOutputTokens int64         `yaml:"max_output_tokens" json:"max_output_tokens" doc:"The longest answer: a request for a longer one is refused, one without a bound gets this one, or its model's where that is less. 0: no bound."`
	Bodies          string        `yaml:"bodies" json:"bodies" doc:"Whether requests and answers are kept, apart from the calls' metadata: keep or none. Left out: as observe.bodies.mode says."`
	KeepBodies      time.Duration `yaml:"keep_bodies" json:"keep_bodies" doc:"How long they are kept. 0: as observe.bodies.keep says."`

	BusinessUnit string      `yaml:"-" json:"-"` // of the workflow's own keys in the section that it shares
	Clearance    caller.Tier `yaml:"-" json:"-"`
}

// CacheConfig is how long answers are kept.
type CacheConfig struct {
	TTL   time.Duration `yaml:"ttl" json:"ttl" doc:"How long an answer is given again to exactly the same request of this workflow. 0: not at all."`
	Stale time.Duration `yaml:"stale" json:"stale" doc:"How long it is kept beyond that, for the rung stale of degrade."`

	Semantic *SemanticConfig `yaml:"semantic" json:"semantic" doc:"Whether it is also given to a request whose last message means the same and that is equal otherwise. Left out: no."`
}

// RungConfig is one rung of the ladder: exactly one of queue, tier, stale and extractive is set.
type RungConfig struct {
	Queue      time.Duration `yaml:"queue" json:"queue" doc:"Wait this long at the most for a deployment to recover."`
	Tier       string        `yaml:"tier" json:"tier" doc:"Ask the models of this cost tier: economy, standard or premium."`
	Stale      bool          `yaml:"stale" json:"stale" doc:"Give the answer that was given before, if it is still kept (cache.stale) and the documents behind it have not changed."`
	Extractive []string      `yaml:"extractive" json:"extractive" doc:"Answer with sentences of these collections, found by searching for the last message; only for plain text answers, without tools or a JSON schema."`
	Within     time.Duration `yaml:"within" json:"within" doc:"The rung's slice of the call's deadline, kept free for it: by default 15s for a tier, 5s for stale and extractive."`
}

// Rung names, in the order from the best to the last.
const (
	RungQueue      = "queue"
	RungStale      = "stale"
	RungExtractive = "extractive"
)

// name is how the rung shows in headers, rows and metrics.
func (r RungConfig) name() string {
	switch {
	case r.Queue > 0:
		return RungQueue
	case r.Tier != "":
		return r.Tier
	case r.Stale:
		return RungStale
	}
	return RungExtractive
}

// slice is what of the deadline is kept for the rung.
func (r RungConfig) slice() time.Duration {
	switch {
	case r.Within > 0:
		return r.Within
	case r.Queue > 0:
		return r.Queue
	case r.Tier != "":
		return 15 * time.Second
	}
	return 5 * time.Second
}

var priorities = map[string]int{"": queue.Normal, "normal": queue.Normal, "high": queue.High, "low": queue.Low}

// Tiers are the cost tiers, from the cheapest.
var Tiers = []string{economy, "standard", "premium"}

func (w WorkflowConfig) check(where string, deadline time.Duration, refuse func(string, ...any), warn func(string, ...any)) {
	if _, ok := priorities[w.Priority]; !ok {
		refuse("%s.priority: %q is not high, normal or low", where, w.Priority)
	}
	w.checkGuards(where, refuse)
	for key, rate := range map[string]limit.Rate{"limits": w.Limits, "key_limits": w.KeyLimits} {
		if err := rate.Check(); err != nil {
			refuse("%s.%s.%w", where, key, err)
		}
	}
	checkBodies(where, w.Bodies, w.KeepBodies, refuse)
	if w.Cache.TTL < 0 || w.Cache.Stale < 0 {
		refuse("%s.cache: ttl and stale are not negative", where)
	}
	if w.Cache.Stale > 0 && w.Cache.TTL == 0 {
		refuse("%s.cache.stale: needs a ttl: without one nothing is kept", where)
	}
	var kept time.Duration
	for i, r := range w.Degrade {
		at := fmt.Sprintf("%s.degrade.%d", where, i)
		set := 0
		for _, is := range []bool{r.Queue != 0, r.Tier != "", r.Stale, len(r.Extractive) > 0} {
			if is {
				set++
			}
		}
		switch {
		case set != 1:
			refuse("%s: is exactly one of queue, tier, stale and extractive", at)
		case r.Queue < 0 || r.Within < 0:
			refuse("%s: durations are not negative", at)
		case r.Tier != "" && !slices.Contains(Tiers, r.Tier):
			refuse("%s.tier: %q is not economy, standard or premium", at, r.Tier)
		case r.Stale && w.Cache.Stale == 0:
			refuse("%s.stale: nothing is kept for it: set %s.cache.ttl and cache.stale", at, where)
		}
		kept += r.slice()
	}
	if kept > deadline/2 {
		warn("%s.degrade: its rungs take %s of the deadline of %s, which leaves the models little", where, kept, deadline)
	}
}
