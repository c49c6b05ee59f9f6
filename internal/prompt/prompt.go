// Package prompt keeps prompts as numbered versions that never change, and the labels that say which of them is in force.
// The gateway asks it to render one, the admin API pushes versions and moves labels. Every process has all of them in memory
// and takes over a change of any process within a moment, as a whole.
package prompt

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"airfield/internal/fault"
)

// Prompt is what one version says: all that makes a difference to a call.
type Prompt struct {
	Description string                     `json:"description,omitempty" doc:"What it is for."`
	Model       string                     `json:"model,omitempty" doc:"The model that is asked where a call names none, or tier/economy."`
	Locked      bool                       `json:"locked,omitempty" doc:"Calls may not set the model or a parameter that the prompt sets."`
	Messages    []PromptMessage            `json:"messages" minItems:"1" maxItems:"100" doc:"The templates, in order. They come before the messages of the call."`
	Parameters  map[string]json.RawMessage `json:"parameters,omitempty" doc:"Fields of the request, such as temperature, as chat completions name them."`
	Variables   map[string]Variable        `json:"variables,omitempty" doc:"What a call fills the templates with, by name."`
}

// PromptMessage is a template with the role that its text has.
type PromptMessage struct {
	Role    string `json:"role" yaml:"role" enum:"system,user,assistant"`
	Content string `json:"content" yaml:"content" doc:"Mustache: {{name}}, {{#name}}…{{/name}}, {{^name}}…{{/name}}."`
}

// Live is the label of a call that names none.
const Live = "live"

const (
	maxContent   = 512 << 10 // bytes of a version as JSON
	maxMessages  = 100
	maxVariables = 200
)

var (
	nameRE     = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	labelRE    = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,31}$`)
	variableRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)
)

// CheckName refuses what cannot be a prompt's name.
func CheckName(name string) error {
	if !nameRE.MatchString(name) {
		return fault.New(fault.Invalid, "prompt_name", "%q cannot be a prompt's name: small letters, digits, . _ and -, at most 64", short(name)).At("name")
	}
	return nil
}

// CheckLabel refuses what cannot be a label. A label does not begin with a digit, so that none is taken for a version.
func CheckLabel(label string) error {
	if !labelRE.MatchString(label) {
		return fault.New(fault.Invalid, "prompt_label", "%q cannot be a label: a small letter, then small letters, digits, . _ and -, at most 32", short(label)).At("label")
	}
	return nil
}

// reserved are the fields of a request that are the caller's or have a place of their own.
var reserved = map[string]string{
	"model": "it has a place of its own, beside messages", "messages": "they have a place of their own", "input": "it is what a call says", "instructions": "write a message of the role system",
	"system": "write a message of the role system", "prompt": "a prompt has no prompt", "stream": "whether an answer is streamed is the caller's to say", "stream_options": "they are the caller's", "user": "it is the caller's",
	"previous_response_id": "it is the caller's", "conversation": "it is the caller's",
}

// Check refuses a prompt that could not be rendered.
func (p *Prompt) Check() error {
	_, err := compile(p)
	return err
}

// normal brings what has several spellings into one, so that the same content is the same version.
func (p *Prompt) normal() (err error) {
	parameters := map[string]json.RawMessage{}
	for name, value := range p.Parameters {
		if reason, is := reserved[name]; is {
			return bad("parameters."+name, "%s cannot be a parameter: %s", name, reason)
		}
		if name == "" || len(name) > 64 {
			return bad("parameters", "%q is not the name of a parameter", short(name))
		}
		if parameters[name], err = normalJSON(value); err != nil {
			return bad("parameters."+name, "the parameter %s is not JSON: %v", name, err)
		}
	}
	p.Parameters = nil
	if len(parameters) > 0 {
		p.Parameters = parameters
	}
	variables := map[string]Variable{}
	for _, name := range slices.Sorted(maps.Keys(p.Variables)) {
		v := p.Variables[name]
		if !variableRE.MatchString(name) {
			return bad("variables", "%q cannot be a variable's name: a letter, then letters, digits and _, at most 64", short(name))
		}
		if err := v.normal(name); err != nil {
			return err
		}
		variables[name] = v
	}
	p.Variables = nil
	if len(variables) > 0 {
		p.Variables = variables
	}
	return nil
}

// encode writes a normal prompt as it is kept, with the hash by which equal ones are known.
func (p *Prompt) encode() (text []byte, hash string, err error) {
	if text, err = plainJSON(p); err != nil {
		return nil, "", fmt.Errorf("write a prompt: %w", err)
	}
	if len(text) > maxContent {
		return nil, "", fault.New(fault.TooLarge, "prompt_too_large", "the prompt has %d bytes; at most %d are kept", len(text), maxContent)
	}
	sum := sha256.Sum256(text)
	return text, hex.EncodeToString(sum[:]), nil
}

// normalJSON sorts keys, takes spaces away and writes fractions in their one spelling: 0.2, not 0.20. Whole numbers stay as they are.
func normalJSON(raw json.RawMessage) (json.RawMessage, error) {
	v, err := decode(raw)
	if err != nil {
		return nil, err
	}
	return plainJSON(spelled(v))
}

// plainJSON writes JSON without the escapes that are for HTML.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// spelled writes the fractions in a value in their one spelling.
func spelled(v any) any {
	switch v := v.(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(string(v), ".eE") {
			return f
		}
	case []any:
		for i := range v {
			v[i] = spelled(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = spelled(v[k])
		}
	}
	return v
}

// decode reads one JSON value; its numbers are json.Number.
func decode(raw []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err = d.Decode(&v); err == nil && d.More() {
		err = fmt.Errorf("something follows the value")
	}
	return v, err
}

// PromptVersion is one state of a prompt.
type PromptVersion struct {
	Name      string    `json:"name"`
	Version   int       `json:"version"`
	Hash      string    `json:"hash" doc:"SHA-256 of its content: the same content is the same version."`
	Author    string    `json:"author" doc:"The name of the key that pushed it."`
	AuthorID  string    `json:"author_id"`
	Note      string    `json:"note,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	Prompt    *Prompt   `json:"prompt,omitempty"`
}

// Target is what a label stands for: a version, or two of which one gets a share of the calls.
type Target struct {
	Version int `json:"version"`
	Other   int `json:"other,omitempty" doc:"The version that gets a share of the calls."`
	Percent int `json:"percent,omitempty" doc:"That share."`
}

func (t Target) String() string {
	switch {
	case t.Version == 0:
		return "nothing"
	case t.Other == 0:
		return fmt.Sprintf("version %d", t.Version)
	}
	return fmt.Sprintf("version %d for %d %%, version %d for %d %%", t.Version, 100-t.Percent, t.Other, t.Percent)
}

func bad(field, format string, args ...any) *fault.Fault {
	return fault.New(fault.Invalid, "prompt_invalid", format, args...).At(field)
}

// short cuts what came from outside to what fits into an error.
func short(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return strings.ToValidUTF8(s, "�")
}
