package gateway

import (
	"slices"
	"strings"

	"airfield/internal/fault"
	"airfield/internal/llm"
	"airfield/internal/redact"
)

// What of a workflow's calls is redacted.
const (
	redactLog  = "log"  // what is kept of them
	redactSend = "send" // also what is sent to providers
	redactOff  = "off"
)

func (w WorkflowConfig) checkGuards(where string, refuse func(string, ...any)) {
	if !slices.Contains([]string{"", redactLog, redactSend, redactOff}, w.Redact) {
		refuse("%s.redact: %q is not log, send or off", where, w.Redact)
	}
	if w.MaxRequestBytes < 0 || w.MaxInputTokens < 0 || w.MaxOutputTokens < 0 {
		refuse("%s: max_request_bytes, max_input_tokens and max_output_tokens are not negative", where)
	}
	for i, pattern := range w.Models {
		if strings.TrimSpace(pattern) == "" {
			refuse("%s.models[%d] is empty: name a model, or leave out models to allow all", where, i)
		}
	}
}

// checkModelList warns of names that no model has.
func (c Config) checkModelList(name string, warn func(string, ...any)) {
	for i, pattern := range c.Workflows[name].Models {
		known := strings.HasPrefix(pattern, PromptPrefix) || pattern == "*"
		for model, m := range c.Models {
			known = known || match(pattern, model) || m.Tier != "" && match(pattern, TierPrefix+m.Tier)
		}
		if !known {
			warn("workflows.%s.models[%d]: %q is the name of no model", name, i, pattern)
		}
	}
}

// match reports whether a name fits a pattern, in which * stands for any characters.
func match(pattern, name string) bool {
	head, rest, more := strings.Cut(pattern, "*")
	if !more {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, head)
	for ok {
		if head, rest, more = strings.Cut(rest, "*"); !more {
			return strings.HasSuffix(name, head)
		}
		_, name, ok = strings.Cut(name, head)
	}
	return false
}

// names reports whether the workflow's list has a name, as a caller may ask for it.
func (w *workflow) names(name string) bool {
	return slices.ContainsFunc(w.Models, func(pattern string) bool { return match(pattern, name) })
}

// allowedModels are those of the table that a workflow may use: the ones it names, and all of a tier that it names. nil
// stands for all of them.
func (t *table) allowedModels(w *workflow) map[*model]bool {
	if len(w.Models) == 0 {
		return nil
	}
	allowed := map[*model]bool{}
	for _, m := range t.models {
		allowed[m] = w.names(m.name) || m.Tier != "" && w.names(TierPrefix+m.Tier)
	}
	return allowed
}

// allowed is what the caller may use; nil for everything. What a part of Airfield embeds, and the sentences that it takes from
// documents by itself, are asked of the model that the configuration names, not of the caller's.
func (c *call) allowed() map[*model]bool {
	if c.policy == nil || c.own && (!c.asked.shape.generates || c.asked.model == BuiltinAnswer) {
		return nil
	}
	return c.policy.allowed
}

// mayUse reports whether a model may serve the call: what was not asked for by its name must be on the list as well. A
// prompt that is on it brings its own model, or all of its own tier.
func (c *call) mayUse(m *model) bool {
	allowed := c.allowed()
	return allowed == nil || allowed[m] || (m.name == c.asked.model || m.Tier != "" && TierPrefix+m.Tier == c.asked.model) && c.promptNamed()
}

// promptNamed reports whether the model is that of a prompt which is on the workflow's list: under the label or version that
// is asked for, or under all of them. Which version is replayed is not the caller's to say: there any label will do.
func (c *call) promptNamed() bool {
	if c.byPrompt == "" {
		return false
	}
	name, label, _ := strings.Cut(c.byPrompt, "@")
	if label == "" {
		label = liveLabel
	}
	return c.policy.names(name) || c.policy.names(name+"@"+label) || c.req.Allowance != nil && slices.ContainsFunc(c.policy.Models, func(pattern string) bool {
		head, _, _ := strings.Cut(pattern, "@")
		return match(head, name)
	})
}

// liveLabel is the label of a prompt that is asked for without one.
const liveLabel = "live"

// permit refuses a model that is not on the workflow's list.
func (c *call) permit() error {
	allowed := c.allowed()
	if allowed == nil || allowed[c.table.models[c.asked.model]] || c.policy.names(c.asked.model) || c.promptNamed() {
		return nil
	}
	name := clip(c.asked.model, maxModelName)
	f := fault.New(fault.Denied, "model_not_allowed", "the workflow %s may not use the model %q", c.row.Workflow, name).At("model").
		Hinted("it may use %s", strings.Join(c.policy.Models, ", "))
	return decided(f, llm.Decision{Rule: "models", Name: name, Scope: "workflow", Of: c.row.Workflow})
}

// measure refuses a body that is larger than the workflow may send. A part of Airfield bounds what it asks by itself.
func (c *call) measure() error {
	if c.policy == nil || c.own || c.req.Further {
		return nil
	}
	size := c.req.Sent
	if size == 0 {
		size = int64(len(c.req.Body))
	}
	if most := c.policy.MaxRequestBytes; most > 0 && size > most {
		return c.tooLarge(fault.TooLarge, "max_request_bytes", "bytes", "the request has %d bytes; the workflow %s may send %d", size, most)
	}
	return nil
}

// guard redacts the request where the workflow wants that before it is sent, and refuses one that is too long or asks for
// too long an answer.
func (c *call) guard() error {
	if c.row.User == "" && c.asked.user != "" {
		c.row.User = c.named(clip(c.asked.user, maxUser))
	}
	if c.policy == nil {
		return nil
	}
	if c.policy.Redact == redactSend {
		if err := c.redactRequest(); err != nil {
			return err
		}
	}
	if c.own {
		return nil
	}
	if most := c.policy.MaxInputTokens; most > 0 && !c.req.Further {
		if about := c.expected().Input; about > most {
			return c.tooLarge(fault.TooLarge, "max_input_tokens", "tokens", "the request has about %d tokens; the workflow %s may send %d", about, most)
		}
	}
	if most := c.policy.MaxOutputTokens; most > 0 && c.asked.shape.generates && c.asked.maxTokens > most {
		return c.tooLarge(fault.Invalid, "max_output_tokens", "tokens", "the request asks for an answer of up to %d tokens; the workflow %s may ask for %d", c.asked.maxTokens, most)
	}
	return nil
}

func (c *call) tooLarge(kind fault.Kind, name, unit, text string, asked, most int64) error {
	f := fault.New(kind, name, text, asked, c.row.Workflow, most).Hinted("workflows.%s.%s in airfield.yaml says so", c.row.Workflow, name)
	return decided(f, llm.Decision{Rule: "size", Name: name, Scope: "workflow", Of: c.row.Workflow, Unit: unit, Limit: number(most), Asked: number(asked)})
}

// outputLimit is the workflow's bound of an answer; 0 for none.
func (c *call) outputLimit() int64 {
	if c.policy == nil || c.own {
		return 0
	}
	return c.policy.MaxOutputTokens
}

// outputCap is the bound of an answer at a deployment for a request that has none.
func (c *call) outputCap(d *deployment) int64 {
	if most := c.outputLimit(); most > 0 {
		return min(most, d.maxOutput)
	}
	return d.maxOutput
}

// redactRequest puts placeholders into the request, which from then on is the call's.
func (c *call) redactRequest() error {
	pass := c.rules.Numbered()
	body := make([]byte, 0, len(c.req.Body)+256)
	var err error
	if c.asked.shape.form {
		if body, err = redactForm(pass, body, c.req); err != nil {
			return err
		}
	} else {
		body = pass.JSON(body, c.req.Body)
	}
	if len(pass.Found) == 0 {
		return nil
	}
	c.count(pass.Found)
	own := *c.req
	own.Body = body
	c.req = &own
	model := c.asked.model // whatever it looks like
	c.asked, err = c.req.read()
	c.asked.model = model
	return err
}

// redactForm appends a form with placeholders in its fields and in the names of its files. What is in the files stays.
func redactForm(pass *redact.Pass, dst []byte, r *Request) ([]byte, error) {
	f, err := newForm(r.ContentType, r.Body)
	if err != nil {
		return nil, err
	}
	at := 0
	for {
		p, err := f.next()
		if err != nil {
			return nil, err
		}
		if p == nil {
			return append(dst, r.Body[at:]...), nil
		}
		dst = pass.JSON(dst, r.Body[at:p.at.from])
		if value := p.at.of(r.Body); p.file {
			dst = append(dst, value...)
		} else {
			dst = pass.Text(dst, value)
		}
		at = p.at.to
	}
}

// rulesFor is what a workflow's calls are redacted by; nil where they are not.
func (t *table) rulesFor(w *workflow) *redact.Rules {
	if w != nil && w.Redact == redactOff {
		return nil
	}
	return t.rules
}

// Rules is what a workflow's requests and answers are redacted by before they are kept; nil where they are not.
func (g *Gateway) Rules(workflow string) *redact.Rules {
	t := g.table.Load()
	return t.rulesFor(t.workflows[workflow])
}

func (c *call) count(found redact.Found) { c.row.Redacted = redact.Found(c.row.Redacted).Add(found) }

// hidden is a text as it may stand in the row.
func (c *call) hidden(s string) string {
	if c.rules == nil || s == "" {
		return s
	}
	s, found := c.rules.String(s)
	c.count(found)
	return s
}

// named is a name that a caller gave, as it may stand in the row: the same one always comes to the same.
func (c *call) named(s string) string {
	if c.rules == nil || s == "" {
		return s
	}
	return c.rules.Name(s)
}

// tagged are the caller's tags as they may stand in the row.
func (c *call) tagged(tags map[string]string) map[string]string {
	same := true
	for name, value := range tags {
		same = same && c.named(name) == name && c.named(value) == value
	}
	if same {
		return tags
	}
	own := make(map[string]string, len(tags))
	for name, value := range tags {
		own[c.named(name)] = c.named(value)
	}
	return own
}

// modelled is the model that a caller asks for, as it may stand in the row: what is the name of none may be anything.
func (c *call) modelled(name string) string {
	if c.table.models[name] != nil {
		return name
	}
	return c.named(clip(name, maxModelName))
}
