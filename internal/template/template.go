// Package template fills Mustache templates with JSON, as decision 13 says: without escapes for HTML, parts from elsewhere and
// functions, and within bounds of time and size. Prompts are written in it, and what a record becomes as text.
package template

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/cbroglie/mustache"
)

// MaxNested is how many sections may stand within one another: looking up a name takes longer in each.
const MaxNested = 32

// maxRounds is how many rounds sections within sections may make.
const maxRounds = 1e6

// What a template that is right can still fail with.
var (
	ErrRounds = errors.New("the values have too many items for sections within sections")
	ErrFull   = errors.New("the text is larger than is allowed")
)

// Template is a text that is parsed. It is safe for concurrent use; the zero value renders nothing.
type Template struct {
	parsed *mustache.Template
	loops  int // sections over lists within one another
}

// Names tells of a name that a template uses whether it is known, and whether its value may be a list or an object.
type Names func(name string) (known, nests bool)

// Parse reads a template. Without names, every name is allowed. Errors of the syntax begin with the line.
func Parse(text string, names Names) (Template, error) {
	parsed, err := parse(text)
	if err != nil {
		return Template{}, err
	}
	w := walk{names: names}
	if err := w.tags(parsed.Tags(), scope{open: names == nil}); err != nil {
		return Template{}, err
	}
	return Template{parsed, w.deepest}, nil
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

// Render fills the template and adds what it makes to the room. It fails with ErrRounds or ErrFull where the values are too many.
func (t Template) Render(to *Room, values Object) error {
	if t.parsed == nil {
		return nil
	}
	if t.loops > 1 && math.Pow(float64(Items(values)), float64(t.loops)) > maxRounds {
		return ErrRounds
	}
	err := t.parsed.FRender(to, map[string]any(values))
	if to.full {
		return ErrFull
	}
	return err
}

// Names lists the names that the template uses at its top, each once, in order: a.b counts as a.
func (t Template) Names() (names []string) {
	if t.parsed == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, tag := range t.parsed.Tags() {
		head, _, _ := strings.Cut(tag.Name(), ".")
		if !seen[head] {
			seen[head] = true
			names = append(names, head)
		}
	}
	return names
}

// Room holds what is rendered, up to a bound over everything that was ever put in.
type Room struct {
	bytes.Buffer
	left int
	full bool
}

// NewRoom makes a room of so many bytes.
func NewRoom(most int) *Room { return &Room{left: most} }

// Write takes bytes while there is room.
func (r *Room) Write(p []byte) (int, error) {
	if r.left -= len(p); r.left < 0 {
		r.full = true
		return 0, ErrFull
	}
	return r.Buffer.Write(p)
}

// walk looks at what a template refers to.
type walk struct {
	names   Names
	deepest int
}

// scope is where in a template a tag stands.
type scope struct {
	inside bool // a section: {{.}} is its value
	open   bool // one whose names are those of an object that nobody declared
	loops  int
	depth  int
}

func (w *walk) tags(tags []mustache.Tag, s scope) error {
	w.deepest = max(w.deepest, s.loops)
	if s.depth > MaxNested {
		return fmt.Errorf("more than %d sections stand within one another", MaxNested)
	}
	s.depth++
	for _, tag := range tags {
		name, kind := tag.Name(), tag.Type()
		if kind == mustache.Partial {
			return fmt.Errorf("{{>%s}}: a template has no parts from elsewhere", short(name))
		}
		head, _, _ := strings.Cut(name, ".")
		var known, nests bool
		if w.names != nil {
			known, nests = w.names(head)
		}
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
			if s.open || name == "." || nests {
				below.open, below.loops = true, s.loops+1
			}
			if err := w.tags(tag.Tags(), below); err != nil {
				return err
			}
		}
	}
	return nil
}

func short(text string) string {
	if len(text) <= 80 {
		return text
	}
	return strings.ToValidUTF8(text[:80], "") + "…"
}
