package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/fault"
	"airfield/internal/llm"
)

// rungs is the workflow's ladder; where it names none, a call waits for a deployment to recover.
func (c *call) rungs() []RungConfig {
	if c.policy == nil || len(c.policy.Degrade) == 0 {
		if c.table.routing.Queue.Wait == 0 {
			return nil
		}
		return []RungConfig{{Queue: c.table.routing.Queue.Wait}}
	}
	return c.policy.Degrade
}

// slices is what the rungs from one on keep of the deadline, at most half of it in all.
func (c *call) slices(from int) (sum time.Duration) {
	for i, r := range c.rungs() {
		if i >= from && (r.Queue == 0 || i > 0) {
			sum += r.slice()
		}
	}
	return min(sum, c.deadline.Sub(c.row.Start)/2)
}

// waitForRecovery is how long a rung waits for a deployment that is down.
func (c *call) waitForRecovery(rung int) time.Duration {
	if all := c.rungs(); rung < len(all) {
		return all[rung].Queue
	}
	return 0
}

// serve brings the call to a deployment, and where none can serve it down the ladder.
func (c *call) serve(w http.ResponseWriter) error {
	answer, err := c.attempt()
	switch {
	case answer != nil:
		return c.relay(answer, w)
	case err != nil:
		return c.refuse(err)
	case c.refusal != nil && !elsewhere(c.refusal.upstream):
		return c.relayRefusal(w) // the request is at fault: no other rung would serve it better
	}
	return c.degrade(w)
}

// degrade goes down the ladder, rung by rung, each within its slice of the time.
func (c *call) degrade(w http.ResponseWriter) error {
	original, hurdle := c.routes, c.hurdle
	for i, rung := range c.rungs() {
		if c.ctx.Err() != nil {
			return c.refuse(c.gone())
		}
		c.until = earlier(c.deadline.Add(-c.slices(i+1)), time.Now().Add(rung.slice()))
		var served bool
		var err error
		switch {
		case rung.Queue > 0 && i == 0: // was done
		case rung.Queue > 0:
			c.routes, c.patience = original, rung.Queue
			for r := range c.routes {
				for t := range c.routes[r].list {
					c.routes[r].list[t].sent = 0 // who recovers is asked anew
				}
			}
			served, err = c.again(w, "")
		case rung.Tier != "":
			served, err = c.tier(w, rung.Tier)
		case rung.Stale:
			served, err = c.stale(w)
		default:
			served, err = c.extract(w, rung.Extractive)
		}
		if served {
			return err
		}
	}
	c.routes, c.hurdle = original, hurdle
	return c.allDown(w)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// tier asks the models of another cost tier, as far as they are not those that could not serve the call.
func (c *call) tier(w http.ResponseWriter, name string) (bool, error) {
	m := c.table.tiers[name]
	if m == nil || !c.asked.shape.generates {
		return false, nil
	}
	asked := c.routes
	c.routes = c.laid(nil, nil, m.chain) // those of the ladder's other rungs stay
	for r := range c.routes {
		for i := range c.routes[r].list {
			t := &c.routes[r].list[i]
			for a := range asked {
				for _, before := range asked[a].list {
					if before.d.health == t.d.health {
						t.unfit = "it could not serve the call before"
					}
				}
			}
		}
	}
	c.patience = 0
	return c.again(w, name)
}

// again makes another round of attempts for a rung.
func (c *call) again(w http.ResponseWriter, rung string) (bool, error) {
	if c.firstFit() == nil {
		return false, nil
	}
	answer, err := c.attempt()
	switch {
	case answer != nil:
		if rung != "" {
			c.row.Degraded = rung
		}
		c.g.degraded(c)
		return true, c.relay(answer, w)
	case err != nil:
		return true, c.refuse(err)
	}
	return false, nil
}

// stale gives what was answered before, if that is still kept for the purpose. The key holds the epochs of the
// collections behind the answer, so one whose documents have changed since is not found.
func (c *call) stale(w http.ResponseWriter) (bool, error) {
	if c.g.cache == nil || c.req.Cache == CacheOff {
		return false, nil
	}
	key, ok := c.cacheKey()
	if !ok {
		return false, nil
	}
	k := c.lookUp(key, c.policy.Cache.TTL+c.policy.Cache.Stale)
	if k == nil {
		return false, nil
	}
	c.row.Degraded = RungStale
	c.g.degraded(c)
	return true, c.replay(w, k, cacheStale)
}

// allDown refuses a call that nothing could serve, with the last that a provider said, or with what keeps each
// deployment.
func (c *call) allDown(w http.ResponseWriter) error {
	if c.refusal != nil {
		return c.relayRefusal(w)
	}
	if c.failure != nil {
		return c.refuse(c.failure)
	}
	h := c.hurdle
	if c.broke != nil && !h.hopes {
		return c.refuse(c.broke)
	}
	model := clip(c.asked.model, maxModelName)
	reasons := h.reason
	for r := range c.routes {
		for i := range c.routes[r].list {
			if t := &c.routes[r].list[i]; t.unfit != "" && len(reasons) < 20 {
				reasons = append(reasons, t.d.name+": "+t.unfit)
			}
		}
	}
	kind, code := fault.Unavailable, "all_down"
	if h.full && !h.down {
		kind, code = fault.Limited, "limit_reached"
	}
	f := fault.New(kind, code, "no deployment of %s can be asked now: %s", model, strings.Join(reasons, "; ")).
		Hinted("airfield route status shows each of them")
	if !h.until.IsZero() {
		f.RetryAfter = max(0, time.Until(h.until))
	}
	return c.refuse(decided(f, llm.Decision{Rule: "deployment", Name: model, FreesAt: h.until, Waited: c.row.Waited.Milliseconds()}))
}

// Alert is told of what people should know.
type Alert struct {
	Kind     string // gateway.degraded, gateway.breaker
	Key      string // the same for the same matter
	Title    string
	Text     string
	Resolved bool
	Fields   map[string]string
}

// lowered are the models whose calls of one workflow were served by a lower rung, and not as usual since.
type lowered struct {
	some   atomic.Int32
	models sync.Map
}

// add reports whether the model was not among them.
func (l *lowered) add(model string) bool {
	_, known := l.models.LoadOrStore(model, nil)
	if !known {
		l.some.Add(1)
	}
	return !known
}

// remove reports whether the model was among them.
func (l *lowered) remove(model string) bool {
	if l.some.Load() == 0 {
		return false
	}
	_, known := l.models.LoadAndDelete(model)
	if known {
		l.some.Add(-1)
	}
	return known
}

// degraded tells that a workflow's calls of a model are served by a lower rung.
func (g *Gateway) degraded(c *call) {
	rung := c.row.Degraded
	if rung == "" || c.policy == nil || !c.policy.low.add(c.asked.model) {
		return
	}
	g.alert(Alert{
		Kind: "gateway.degraded", Key: c.row.Workflow + "/" + c.row.Model,
		Title:  fmt.Sprintf("workflow %s is served by the rung %s in place of %s", c.row.Workflow, rung, c.row.Model),
		Text:   fmt.Sprintf("No deployment of %s could serve a call. %s", c.row.Model, c.obstacles()),
		Fields: map[string]string{"workflow": c.row.Workflow, "rung": rung, "model": c.row.Model, "call": c.row.ID},
	})
}

// obstacles is what kept the call from the model that it asked for.
func (c *call) obstacles() string {
	var reasons []string
	for _, a := range c.row.Attempts {
		reason := a.Error
		if !strings.HasPrefix(reason, a.Deployment) {
			reason = a.Deployment + ": " + reason
		}
		if a.Outcome != llm.OK && a.Error != "" && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	return strings.Join(append(reasons, c.hurdle.reason...), "; ")
}

// note sees that a call of a workflow was served as it should be.
func (g *Gateway) note(c *call) {
	if c.policy == nil || c.row.Degraded != "" || c.row.Cache == cacheHit || c.row.Cache == cacheAlike || !c.policy.low.remove(c.asked.model) {
		return
	}
	g.log.Info("a workflow is served as usual again", "workflow", c.row.Workflow, "call", c.row.ID)
	g.alert(Alert{
		Kind: "gateway.degraded", Key: c.row.Workflow + "/" + c.row.Model, Resolved: true, Title: fmt.Sprintf("workflow %s is served by %s again", c.row.Workflow, c.row.Model),
		Fields: map[string]string{"workflow": c.row.Workflow, "model": c.row.Model, "call": c.row.ID},
	})
}

// breakerChanged tells that a deployment is left alone, or asked again.
func (g *Gateway) breakerChanged(name string, open bool) {
	a := Alert{Kind: "gateway.breaker", Key: name, Resolved: !open, Fields: map[string]string{"deployment": name}}
	if open {
		a.Title, a.Text = "deployment "+name+" fails and is left alone", "Its breaker opened after failures in a row. Calls pass it by until a probe succeeds."
		g.log.Warn("a breaker opened", "deployment", name)
	} else {
		a.Title = "deployment " + name + " answers again"
		g.log.Info("a breaker closed", "deployment", name)
	}
	g.alert(a)
}

// Extractor answers a question with sentences of documents, without a language model. Found is false where the documents
// do not hold an answer.
type Extractor interface {
	Extract(ctx context.Context, collections []string, question string) (Extract, error)
}

// Extract is such an answer.
type Extract struct {
	Found     bool
	Text      string
	Citations any // as they are written in JSON
}
