package prompt

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"

	"airfield/internal/fault"
)

// Suffix ends the name of a prompt's file: NAME.prompt.yaml.
const Suffix = ".prompt.yaml"

// maxFile is more than any prompt may have.
const maxFile = 4 * maxContent

// File is a prompt as it is kept in a repository.
type File struct {
	Path string `json:"-"`
	Name string `json:"-"`
	Note string `json:"note,omitempty"`
	Prompt
}

// ReadFile reads a prompt's file and checks it.
func ReadFile(path string) (File, error) {
	name, is := strings.CutSuffix(filepath.Base(path), Suffix)
	if !is {
		return File{}, fault.New(fault.Invalid, "prompt_file", "%s is not named NAME%s", path, Suffix)
	}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return File{}, fault.New(fault.NotFound, "prompt_file", "there is no file %s", path)
	case err != nil:
		return File{}, fault.New(fault.Invalid, "prompt_file", "%s cannot be read: %w", path, err)
	case len(text) > maxFile:
		return File{}, fault.New(fault.TooLarge, "prompt_file", "%s has more than %d bytes", path, maxFile)
	}
	f, err := parseFile(text)
	if f.Path, f.Name = path, name; err == nil {
		if err = CheckName(name); err == nil {
			err = f.Check()
		}
	}
	if err != nil {
		told := *fault.As(err)
		if told.Kind == fault.Internal {
			told = fault.Fault{Kind: fault.Invalid, Code: "prompt_file", Text: err.Error()}
		}
		told.Text = path + ": " + told.Text
		return f, &told
	}
	return f, nil
}

func parseFile(text []byte) (f File, err error) {
	var any any
	if err := yaml.Unmarshal(text, &any); err != nil { // says where, and shows the line
		return f, errors.New(strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	raw, err := yaml.YAMLToJSON(text)
	if err != nil {
		return f, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return f, nil
}

// ReadFolder reads every prompt's file in a folder.
func ReadFolder(dir string) ([]File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.New(fault.NotFound, "prompt_folder", "the folder %s cannot be read: %w", dir, err)
	}
	var files []File
	for _, e := range entries { // by name
		if e.IsDir() || !strings.HasSuffix(e.Name(), Suffix) {
			continue
		}
		f, err := ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, fault.New(fault.NotFound, "prompt_folder", "the folder %s has no file NAME%s", dir, Suffix)
	}
	return files, nil
}

// written is a prompt in the order in which people read it.
type written struct {
	Description string                     `yaml:"description,omitempty"`
	Model       string                     `yaml:"model,omitempty"`
	Locked      bool                       `yaml:"locked,omitempty"`
	Parameters  map[string]any             `yaml:"parameters,omitempty"`
	Variables   map[string]writtenVariable `yaml:"variables,omitempty"`
	Messages    []writtenMessage           `yaml:"messages"`
}

type writtenMessage struct {
	Role    string `yaml:"role"`
	Content any    `yaml:"content"`
}

type writtenVariable struct {
	Type        string `yaml:"type"`
	Description string `yaml:"description,omitempty"`
	Required    *bool  `yaml:"required,omitempty"`
	Default     any    `yaml:"default,omitempty"`
	Enum        []any  `yaml:"enum,omitempty"`
	MaxLength   int    `yaml:"max_length,omitempty"`
}

// YAML writes a prompt as its file. What ReadFile reads of it is the same prompt.
func (p *Prompt) YAML() ([]byte, error) {
	w := written{Description: p.Description, Model: p.Model, Locked: p.Locked, Parameters: map[string]any{}, Variables: map[string]writtenVariable{}}
	for name, raw := range p.Parameters {
		w.Parameters[name] = plain(raw)
	}
	for name, v := range p.Variables {
		one := writtenVariable{Type: v.Type, Description: v.Description, Required: v.Required, MaxLength: v.MaxLength}
		if v.Default != nil {
			one.Default = plain(v.Default)
		}
		for _, e := range v.Enum {
			one.Enum = append(one.Enum, plain(e))
		}
		w.Variables[name] = one
	}
	for _, m := range p.Messages {
		w.Messages = append(w.Messages, writtenMessage{m.Role, block(m.Content)})
	}
	return yaml.MarshalWithOptions(w, yaml.UseLiteralStyleIfMultiline(true), yaml.IndentSequence(true))
}

// plain is JSON as Go's values, with numbers that YAML writes as they were.
func plain(raw json.RawMessage) any {
	v, err := decode(raw)
	if err != nil {
		return string(raw)
	}
	return unquoted(v)
}

func unquoted(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		return verbatim(v)
	case []any:
		for i := range v {
			v[i] = unquoted(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = unquoted(v[k])
		}
	}
	return v
}

// verbatim is YAML already.
type verbatim string

func (v verbatim) MarshalYAML() ([]byte, error) { return []byte(v), nil }

// block has a text of several lines be written as such, unless something at the edge of a line would be lost by that.
func block(s string) any {
	if !strings.Contains(s, "\n") {
		return s
	}
	lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	plain := lines[0] != "" && lines[0][0] != ' ' && lines[len(lines)-1] != ""
	for _, line := range lines {
		plain = plain && !strings.HasSuffix(line, " ") && !strings.ContainsFunc(line, unicode.IsControl)
	}
	if plain {
		return s
	}
	quoted, err := plainJSON(s) // JSON is YAML
	if err != nil {
		return s
	}
	return verbatim(quoted)
}
