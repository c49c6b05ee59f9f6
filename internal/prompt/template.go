package prompt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"airfield/internal/fault"
	"airfield/internal/template"
)

const maxRendered = 4 << 20 // bytes of all messages together

// compiled is a prompt whose templates are parsed.
type compiled struct {
	prompt    *Prompt
	templates []template.Template
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
		parsed, err := template.Parse(m.Content, p.declared)
		if err != nil {
			return nil, bad(at+".content", "message %d: %v", i+1, err)
		}
		c.templates = append(c.templates, parsed)
	}
	return c, nil
}

// declared tells a template which variables there are.
func (p *Prompt) declared(name string) (known, nests bool) {
	v, known := p.Variables[name]
	return known, v.Type == List || v.Type == Object
}

// values reads the variables of a call: a JSON object, or nothing. What the prompt does not declare is refused, so that a
// mistyped name is not left out in silence.
func (c *compiled) values(raw json.RawMessage) (template.Object, error) {
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
	values := make(template.Object, len(c.prompt.Variables))
	for _, name := range slices.Sorted(maps.Keys(c.prompt.Variables)) {
		v := c.prompt.Variables[name]
		value, is := given[name]
		switch {
		case is && !(isNull(value) && !v.must()):
		case v.must():
			return nil, wrong(name, "variable_missing", "the variable %s is missing", name).Hinted("give it in prompt.variables, as %s", articles[v.Type])
		case v.Default == nil:
			values[name] = template.Null{}
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
	room := template.NewRoom(maxRendered)
	made := make([]PromptMessage, len(c.templates))
	for i, t := range c.templates {
		room.Reset()
		switch err := t.Render(room, values); {
		case errors.Is(err, template.ErrRounds):
			return nil, fault.New(fault.TooLarge, "variables_too_many", "the variables have %d items in all, which are too many for sections within sections", template.Items(values)).At("prompt.variables")
		case errors.Is(err, template.ErrFull):
			return nil, fault.New(fault.TooLarge, "prompt_too_large", "the rendered prompt has more than %d bytes", maxRendered).At("prompt.variables")
		case err != nil:
			return nil, fmt.Errorf("render message %d: %w", i+1, err)
		}
		made[i] = PromptMessage{c.prompt.Messages[i].Role, room.String()}
	}
	return made, nil
}
