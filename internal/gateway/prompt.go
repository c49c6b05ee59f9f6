package gateway

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"airfield/internal/fault"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/scan"
	"airfield/internal/llm"
)

// Prompts renders registered prompts. With an error the version is told all the same, once it is known.
type Prompts interface {
	Render(PromptRef) (RenderedPrompt, error)
}

// PromptPrefix begins the model of a call that asks for a prompt: prompt/NAME, prompt/NAME@LABEL, prompt/NAME@3.
const PromptPrefix = "prompt/"

// PromptRef is which version of a prompt a call asks for, and what it is filled with. Without a label and a version it is
// the label that is in force by default.
type PromptRef struct {
	Name      string
	Label     string
	Version   int
	Variables json.RawMessage // an object; nil for none
	By        string          // who gets the same version of a label that is shared between two; empty for nobody
}

// RenderedPrompt is a version of a prompt, filled.
type RenderedPrompt struct {
	Name       string
	Version    int
	Model      string // empty where the call has to name one
	Locked     bool   // the call may not set what the prompt sets
	Messages   []Message
	Parameters map[string]json.RawMessage // as chat completions name them
}

const headerPromptVersion = "X-Airfield-Prompt-Version"

// render writes the prompt that a request asks for into its body, before anything else looks at it: what the cache, limits,
// budgets and bounds see is what a provider is sent. A request without a prompt is left as it is.
func (c *call) render(h http.Header) error {
	body := c.req.Body
	if c.req.Model == "" && (c.g.prompts == nil || !bytes.Contains(body, []byte(`"prompt`)) && !bytes.Contains(body, []byte(`\u00`))) {
		return nil
	}
	f, ok := fieldsOf(body)
	if !ok {
		return nil // what is wrong with it is for decode to say
	}
	var ref *PromptRef
	var err error
	if c.g.prompts != nil {
		ref, err = f.ref()
	}
	speaks := c.req.Surface == llm.ChatCompletions || c.req.Surface == llm.Responses || c.req.Surface == llm.Messages || c.req.Surface == llm.CountTokens
	switch {
	case !speaks && strings.HasPrefix(f.model, PromptPrefix):
		return fault.New(fault.Invalid, "prompt_surface", "%s takes no prompt", c.req.Surface).At("model")
	case !speaks || ref == nil && err == nil && c.req.Model == "":
		return nil
	}
	own := *c.req
	c.req = &own
	w := writer{fields: f, surface: own.Surface}
	if c.row.Model = c.modelled(f.model); ref != nil {
		c.byPrompt = ref.named(f.model, own.Model)
		if err == nil {
			ref.By = firstOf(own.Session, own.User, f.user)
			w.prompt, err = c.g.prompts.Render(*ref)
		}
		if c.row.Prompt = clip(ref.Name, maxModelName); w.prompt.Version == 0 { // it is the name of none, and may be anything
			c.row.Prompt = c.named(c.row.Prompt)
		}
		if c.row.Version = w.prompt.Version; c.row.Version > 0 {
			h[headerPromptVersion] = []string{c.promptVersion()}
		}
	}
	if err != nil {
		return err
	}
	if own.Body, err = w.write(own.Model); err == nil {
		c.req.Body = own.Body
	}
	return err
}

// named is the prompt as a list of models has it, where the call's model is the prompt's own; empty where the call names one.
func (ref *PromptRef) named(model, instead string) string {
	switch {
	case instead != "":
		return ""
	case strings.HasPrefix(model, PromptPrefix):
		return model
	case model != "" || ref.Name == "":
		return ""
	case ref.Label != "":
		return PromptPrefix + ref.Name + "@" + ref.Label
	case ref.Version > 0:
		return PromptPrefix + ref.Name + "@" + strconv.Itoa(ref.Version)
	}
	return PromptPrefix + ref.Name
}

// promptVersion is the version that the call got, as it is told.
func (c *call) promptVersion() string {
	if c.row.Version == 0 {
		return ""
	}
	return c.row.Prompt + "@" + strconv.Itoa(c.row.Version)
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// field is a member of a request, as it stands in the body.
type field struct{ key, value span }

// fields are the members of a request by name; of one that is there twice, the first: decode refuses those that matter.
type fields struct {
	body  []byte
	all   map[string]field
	model string
	user  string
	twice bool // the member prompt
}

func fieldsOf(body []byte) (fields, bool) {
	f := fields{body: body, all: map[string]field{}}
	m := scan.Object(body)
	for m.Next() {
		name := string(m.Key)
		if _, twice := f.all[name]; twice {
			f.twice = f.twice || name == "prompt"
			continue
		}
		f.all[name] = field{span{m.KeyAt, m.KeyEnd}, span{m.Offset, m.Offset + len(m.Value)}}
		switch name {
		case "model":
			f.model, _ = scan.Text(m.Value)
		case "user":
			f.user, _ = scan.Text(m.Value)
		case "metadata": // where messages have it
			var read struct {
				User string `json:"user_id"`
			}
			if json.Unmarshal(m.Value, &read) == nil {
				f.user = firstOf(f.user, read.User)
			}
		}
	}
	return f, m.Err() == nil
}

// value is a member's value; nil where there is none, or null.
func (f *fields) value(name string) []byte {
	at, is := f.all[name]
	if !is || scan.Kind(at.value.of(f.body)) == 'n' {
		return nil
	}
	return at.value.of(f.body)
}

func promptField(name, format string, args ...any) *fault.Fault {
	return fault.New(fault.Invalid, "prompt_field", format, args...).At(name)
}

// ref reads which prompt is asked for; nil where none is.
func (f *fields) ref() (*PromptRef, error) {
	rest, byModel := strings.CutPrefix(f.model, PromptPrefix)
	given := f.value("prompt")
	if !byModel && given == nil {
		return nil, nil
	}
	ref := &PromptRef{}
	if byModel {
		name, which, at := strings.Cut(rest, "@")
		ref.Name = name
		if n, err := strconv.Atoi(which); err == nil {
			ref.Version = n
		} else {
			ref.Label = which
		}
		if name == "" || at && (which == "" || ref.Label == "" && ref.Version < 1) {
			return ref, promptField("model", "a prompt is asked for as prompt/NAME, prompt/NAME@LABEL or prompt/NAME@VERSION, not as %q", clip(f.model, maxModelName))
		}
	}
	if f.twice {
		return ref, fault.New(fault.Invalid, "duplicate_field", "the request has %q twice", "prompt").At("prompt")
	}
	if given == nil {
		return ref, nil
	}
	return ref, ref.read(given, byModel)
}

// read reads the field prompt. Where the model names the prompt already, the field may only have its variables.
func (ref *PromptRef) read(given []byte, byModel bool) error {
	if scan.Kind(given) != '{' {
		return promptField("prompt", "prompt must be an object with name, and with label or version and variables")
	}
	seen := map[string]bool{}
	for m := scan.Object(given); m.Next(); {
		key := string(m.Key)
		at := "prompt." + clip(key, maxModelName)
		if seen[key] {
			return fault.New(fault.Invalid, "duplicate_field", "the request has %q twice", at).At(at)
		}
		seen[key] = true
		if scan.Kind(m.Value) == 'n' {
			continue
		}
		if byModel && key != "variables" {
			return promptField(at, "the model names the prompt already: %s has no place here", key)
		}
		text, isText := scan.Text(m.Value)
		switch key {
		case "variables":
			ref.Variables = json.RawMessage(m.Value)
		case "name", "id":
			if !isText || ref.Name != "" {
				return promptField(at, "a prompt has one name, as name or as id, and it is a string")
			}
			ref.Name = text
		case "label":
			if !isText || text == "" {
				return promptField(at, "a label is a string")
			}
			ref.Label = text
		case "version":
			n, whole := scan.Int(m.Value)
			if isText { // as OpenAI's clients write it
				var err error
				n, err = strconv.ParseInt(text, 10, 32)
				whole = err == nil
			}
			if !whole || n < 1 || n > 1<<31-1 {
				return promptField(at, "a version is a number from 1 on")
			}
			ref.Version = int(n)
		default:
			return promptField(at, "prompt has no field %s; it has name, label or version, and variables", clip(key, maxModelName))
		}
	}
	switch {
	case ref.Name == "":
		return promptField("prompt.name", "the request does not name its prompt").Hinted("say it as prompt.name, or as the model: prompt/NAME")
	case ref.Label != "" && ref.Version > 0 && !byModel:
		return promptField("prompt.version", "a version is asked for by its label or by its number, not by both")
	}
	return nil
}

// writer writes a rendered prompt into a request. The caller's bytes are spliced, never written anew.
type writer struct {
	fields
	surface llm.Surface
	prompt  RenderedPrompt
	edits   []edit
	members []string // that the request does not have
}

// write returns the request as a provider would have been sent it without a prompt. instead goes before every other model.
func (w *writer) write(instead string) ([]byte, error) {
	if err := w.model(instead); err != nil {
		return nil, err
	}
	if len(w.prompt.Messages) > 0 {
		if err := w.messages(); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.prompt.Parameters)) {
		if err := w.parameter(name, w.prompt.Parameters[name]); err != nil {
			return nil, err
		}
	}
	open := bytes.IndexByte(w.body, '{') + 1
	left := len(w.all)
	if at, is := w.all["prompt"]; is && w.prompt.Name != "" {
		left--
		w.edits = append(w.edits, edit{w.without(at), ""})
	}
	if len(w.members) > 0 {
		text := strings.Join(w.members, ",")
		if left > 0 {
			text += ","
		}
		w.edits = append([]edit{{span{open, open}, text}}, w.edits...)
	}
	return splice(w.body, w.edits), nil
}

// without is a member's place with the comma that goes with it.
func (w *writer) without(at field) span {
	s := span{at.key.from, at.value.to}
	for i := s.to; i < len(w.body); i++ {
		switch w.body[i] {
		case ' ', '\t', '\r', '\n':
			continue
		case ',':
			return span{s.from, i + 1}
		}
		break
	}
	for i := s.from - 1; i >= 0; i-- {
		switch w.body[i] {
		case ' ', '\t', '\r', '\n':
			continue
		case ',':
			return span{i, s.to}
		}
		break
	}
	return s
}

// put has a member be value: in the place of the one that is there, or as a new one.
func (w *writer) put(name, value string) {
	if at, is := w.all[name]; is {
		w.edits = append(w.edits, edit{at.value, value})
		return
	}
	w.members = append(w.members, quote(name)+":"+value)
}

func (w *writer) model(instead string) error {
	name := firstOf(instead, w.prompt.Model)
	switch asks := strings.HasPrefix(w.fields.model, PromptPrefix); {
	case instead != "":
	case w.fields.model != "" && !asks:
		if w.prompt.Locked && w.prompt.Model != "" && w.prompt.Model != w.fields.model {
			return w.locked("model")
		}
		return nil
	case name == "" && w.prompt.Name == "":
		return nil
	case name == "":
		return fault.New(fault.Invalid, "model_missing", "neither the request nor version %d of the prompt %s names a model", w.prompt.Version, w.prompt.Name).At("model").
			Hinted("name one as model, and the prompt in the field prompt")
	}
	w.put("model", quote(name))
	return nil
}

func (w *writer) locked(name string) error {
	return fault.New(fault.Invalid, "prompt_locked", "the prompt %s is locked: a call may not set %s", w.prompt.Name, name).At(name)
}

// messages puts the prompt's messages before the caller's own.
func (w *writer) messages() error {
	var system, turns []string
	for _, m := range w.prompt.Messages {
		if m.Role == "system" && w.surface != llm.ChatCompletions {
			system = append(system, m.Content)
			continue
		}
		turns = append(turns, `{"role":`+quote(m.Role)+`,"content":`+jsonText(m.Content)+`}`)
	}
	if w.surface == llm.Responses {
		if err := w.instructions(system); err != nil {
			return err
		}
		return w.before("input", turns, func(own []byte) string { return `{"role":"user","content":` + string(own) + `}` })
	}
	blocks := make([]string, len(system))
	for i, s := range system {
		blocks[i] = `{"type":"text","text":` + jsonText(s) + `}`
	}
	if err := w.before("system", blocks, func(own []byte) string { return `{"type":"text","text":` + string(own) + `}` }); err != nil {
		return err
	}
	return w.before("messages", turns, nil)
}

// before puts items before those of a list. wrap makes an item of a string that stands in place of the list; nil where none may.
func (w *writer) before(name string, items []string, wrap func(own []byte) string) error {
	if len(items) == 0 {
		return nil
	}
	text := strings.Join(items, ",")
	own := w.value(name)
	switch kind := scan.Kind(own); {
	case own == nil:
		w.put(name, "["+text+"]")
	case kind == '"' && wrap != nil:
		w.put(name, "["+text+","+wrap(own)+"]")
	case kind == '[':
		if some := scan.Array(own); some.Next() {
			text += ","
		}
		from := w.all[name].value.from + 1
		w.edits = append(w.edits, edit{span{from, from}, text})
	default:
		return promptField(name, "%s must be a list", name)
	}
	return nil
}

// instructions puts the prompt's before the caller's own: they are not kept with a conversation, as its messages are.
func (w *writer) instructions(system []string) error {
	if len(system) == 0 {
		return nil
	}
	text := jsonText(strings.Join(system, "\n\n"))
	own := w.value("instructions")
	switch {
	case own == nil:
		w.put("instructions", text)
	case scan.Kind(own) == '"':
		w.put("instructions", text[:len(text)-1]+`\n\n`+string(own[1:]))
	default:
		return promptField("instructions", "instructions must be a string")
	}
	return nil
}

// parameter sets a parameter of the prompt, unless the caller sets it.
func (w *writer) parameter(name string, value json.RawMessage) error {
	said, ok := sayParameter(w.surface, name, value)
	if !ok {
		return fault.New(fault.Invalid, "prompt_parameter", "the prompt %s sets %s, which %s cannot say in this form", w.prompt.Name, name, w.surface).At("prompt").
			Hinted("call it over chat completions, or take the parameter out of the prompt")
	}
	if said.name == "" {
		return nil
	}
	for _, other := range append(said.others, said.name) {
		if w.value(other) != nil {
			if w.prompt.Locked {
				return w.locked(other)
			}
			return nil
		}
	}
	w.put(said.name, string(said.value))
	return nil
}

// jsonText writes a string as JSON, with no more escapes than it needs: it is counted by its bytes.
func jsonText(s string) string {
	b, _ := neutral.Encode(s) // a string is always JSON
	return string(b)
}
