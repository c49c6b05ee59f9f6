// Package secret holds values that never print: in a log, an error, JSON, YAML or a %v they appear as "[secret]".
package secret

import (
	"crypto/subtle"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const hidden = "[secret]"

// Value is a secret and where it comes from. The zero value is no secret.
type Value struct {
	ref  string // "env:NAME", "file:PATH" or "" for a literal
	text string
}

// New returns a secret with this text.
func New(text string) Value { return Value{text: text} }

// Reveal returns the text, for the one place that sends it.
func (v Value) Reveal() string { return v.text }

// Empty reports whether there is no secret.
func (v Value) Empty() bool { return v.text == "" }

// Ref says where the secret comes from, for messages: "env:OPENAI_API_KEY".
func (v Value) Ref() string { return v.ref }

// Equal compares in constant time.
func (v Value) Equal(text string) bool {
	return subtle.ConstantTimeCompare([]byte(v.text), []byte(text)) == 1
}

func (v Value) String() string {
	if v.text == "" {
		return v.ref
	}
	if v.ref != "" {
		return v.ref
	}
	return hidden
}

func (v Value) GoString() string             { return v.String() }
func (v Value) Format(f fmt.State, _ rune)   { fmt.Fprint(f, v.String()) }
func (v Value) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText takes a reference: env:NAME or file:PATH. Anything else is refused without being repeated, because
// it is probably a secret written into a file that goes to git. Resolve reads what the reference names.
func (v *Value) UnmarshalText(b []byte) error {
	ref := strings.TrimSpace(string(b))
	if ref != "" && !strings.HasPrefix(ref, "env:") && !strings.HasPrefix(ref, "file:") {
		return fmt.Errorf("a secret is written as env:NAME or file:PATH, never in the file itself")
	}
	*v = Value{ref: ref}
	return nil
}

// Within is the secret with the path of a file:PATH reference made absolute, for a reference that is kept and resolved
// again elsewhere.
func (v Value) Within(dir string) Value {
	if path, ok := strings.CutPrefix(v.ref, "file:"); ok && !filepath.IsAbs(path) {
		v.ref = "file:" + filepath.Join(dir, path)
	}
	return v
}

// Resolve reads the secret that the reference names; a relative path is relative to dir. A variable that is not set
// leaves the secret empty, which the one who needs it reports.
func (v *Value) Resolve(dir string) error {
	if name, ok := strings.CutPrefix(v.ref, "env:"); ok {
		v.text = os.Getenv(name)
	}
	if path, ok := strings.CutPrefix(v.ref, "file:"); ok {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("secret %s cannot be read: %w", v.ref, err)
		}
		v.text = strings.TrimRight(string(text), "\r\n")
	}
	return nil
}
