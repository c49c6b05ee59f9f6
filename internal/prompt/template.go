package prompt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/cbroglie/mustache"

	"airfield/internal/fault"
)

const (
	maxRendered = 4 << 20 // bytes of all messages together
	maxRounds   = 1e6     // that sections within sections may make
	maxNested   = 32      // sections within one another: looking up a name takes longer in each
)

// template is a message's text, parsed. It is safe for concurrent use.
type template struct {
	parsed *mustache.Template
	loops  int // sections over lists within one another
}

// compiled is a prompt whose templates are parsed.
type compiled struct {
	prompt    *Prompt
	templates []template
}

// compile checks a prompt, brings it into its one spelling and parses its templates.
func compile(p *Prompt) (*compiled, error) {
	if err := p.normal(); err != nil {
		return nil, err
	}
	switch n := len(p.Messages); {
	case n == 0:
		return nil, bad("messages", "the prompt has no messages")
	case n > maxMessages:
		return nil, bad("messages", "the prompt has %d messages; at most %d are allowed", n, maxMessages)
	case len(p.Variables) > maxVariables:
		return nil, bad("variables", "the prompt has %d variables; at most %d are allowed", len(p.Variables), maxVariables)
	}
	c := &compiled{prompt: p}
	for i, m := range p.Messages {
		at := fmt.Sprintf("messages[%d]", i)
		if m.Role != "system" && m.Role != "user" && m.Role != "assistant" {
			return nil, bad(at+".role", "message %d has the role %q; there are system, user and assistant", i+1, short(m.Role))
		}
		parsed, err := parse(m.Content)
		if err != nil {
			return nil, bad(at+".content", "message %d: %v", i+1, err)
		}
		w := walk{variables: p.Variables}
		if err := w.tags(parsed.Tags(), scope{}); err != nil {
			return nil, bad(at+".content", "message %d: %v", i+1, err)
		}
		c.templates = append(c.templates, template{parsed, w.deepest})
	}
	return c, nil
}

// parse reads a template. Values are put in as they are: what is made is text for a model, not a page.
func parse(text string) (t *mustache.Template, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the template cannot be read")
		}
	}()
	return mustache.ParseStringPartialsRaw(text, &mustache.StaticProvider{}, true)
}

// walk looks at what a template refers to.
type walk struct {
	variables map[string]Variable
	deepest   int
}

// scope is where in a template a tag stands.
type scope struct {
	inside bool // a section: {{.}} is its value
	open   bool // one whose names are those of an object that a call gives
	loops  int
	depth  int
}

func (w *walk) tags(tags []mustache.Tag, s scope) error {
	w.deepest = max(w.deepest, s.loops)
	if s.depth > maxNested {
		return fmt.Errorf("more than %d sections stand within one another", maxNested)
	}
	s.depth++
	for _, tag := range tags {
		name, kind := tag.Name(), tag.Type()
		if kind == mustache.Partial {
			return fmt.Errorf("{{>%s}}: a template has no parts from elsewhere", short(name))
		}
		head, _, _ := strings.Cut(name, ".")
		declared, known := w.variables[head]
		switch {
		case name == ".":
			if !s.inside {
				return fmt.Errorf("{{.}} stands outside of a section")
			}
		case !known && !s.open:
			return fmt.Errorf("{{%s}}: there is no variable %s", short(name), short(head))
		}
		switch kind {
		case mustache.InvertedSection:
			if err := w.tags(tag.Tags(), s); err != nil {
				return err
			}
		case mustache.Section:
			below := scope{inside: true, open: s.open, loops: s.loops, depth: s.depth}
			if s.open || name == "." || declared.Type == List || declared.Type == Object {
				below.open, below.loops = true, s.loops+1
			}
			if err := w.tags(tag.Tags(), below); err != nil {
				return err
			}
		}
	}
	return nil
}

// values reads the variables of a call: a JSON object, or nothing. What the prompt does not declare is refused, so that a
// mistyped name is not left out in silence.
func (c *compiled) values(raw json.RawMessage) (object, error) {
	given := map[string]json.RawMessage{}
	if !isNull(raw) {
		d := json.NewDecoder(bytes.NewReader(raw))
		if t, err := d.Token(); err != nil || t != json.Delim('{') {
			return nil, fault.New(fault.Invalid, "variables_invalid", "the prompt's variables must be a JSON object").At("prompt.variables")
		}
		for d.More() {
			key, err := d.Token()
			name, _ := key.(string)
			var value json.RawMessage
			if err == nil {
				err = d.Decode(&value)
			}
			if err != nil {
				return nil, fault.New(fault.Invalid, "variables_invalid", "the prompt's variables cannot be read").At("prompt.variables")
			}
			if _, twice := given[name]; twice {
				return nil, wrong(short(name), "duplicate_field", "the variable %s is given twice", short(name))
			}
			if _, known := c.prompt.Variables[name]; !known {
				return nil, wrong(short(name), "variable_unknown", "the prompt has no variable %s", short(name)).
					Hinted("it has %s", strings.Join(slices.Sorted(maps.Keys(c.prompt.Variables)), ", "))
			}
			given[name] = value
		}
	}
	values := make(object, len(c.prompt.Variables))
	for _, name := range slices.Sorted(maps.Keys(c.prompt.Variables)) {
		v := c.prompt.Variables[name]
		value, is := given[name]
		switch {
		case is && !(isNull(value) && !v.must()):
		case v.must():
			return nil, wrong(name, "variable_missing", "the variable %s is missing", name).Hinted("give it in prompt.variables, as %s", articles[v.Type])
		case v.Default == nil:
			values[name] = null{}
			continue
		default:
			value = v.Default
		}
		read, err := v.value(name, value)
		if err != nil {
			return nil, err
		}
		values[name] = read
	}
	return values, nil
}

// render fills the templates. A value is put in once, as text: it is never read as a template, and it stays in the message
// whose template names it.
func (c *compiled) render(raw json.RawMessage) ([]PromptMessage, error) {
	values, err := c.values(raw)
	if err != nil {
		return nil, err
	}
	n := items(values)
	room := &bounded{most: maxRendered}
	made := make([]PromptMessage, len(c.templates))
	for i, t := range c.templates {
		if t.loops > 1 && math.Pow(float64(n), float64(t.loops)) > maxRounds {
			return nil, fault.New(fault.TooLarge, "variables_too_many", "the variables have %d items in all, which are too many for sections within sections", n).At("prompt.variables")
		}
		room.Reset()
		if err := t.parsed.FRender(room, map[string]any(values)); err != nil && !room.full {
			return nil, fmt.Errorf("render message %d: %w", i+1, err)
		}
		if room.full {
			return nil, fault.New(fault.TooLarge, "prompt_too_large", "the rendered prompt has more than %d bytes", maxRendered).At("prompt.variables")
		}
		made[i] = PromptMessage{c.prompt.Messages[i].Role, room.String()}
	}
	return made, nil
}

// bounded holds what is rendered, up to a bound over all messages.
type bounded struct {
	bytes.Buffer
	most int
	full bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.most -= len(p); b.most < 0 {
		b.full = true
		return 0, fmt.Errorf("more than %d bytes", maxRendered)
	}
	return b.Buffer.Write(p)
}
