// Package secret holds values that never print: in a log, an error, JSON, YAML or a %v they appear as "[secret]".
package secret

import (
	"crypto/subtle"
	"fmt"
	"os"
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

// UnmarshalText reads a reference: env:NAME or file:PATH. Anything else is refused without being repeated, because
// it is probably a secret written into a file that goes to git.
func (v *Value) UnmarshalText(b []byte) error {
	ref := strings.TrimSpace(string(b))
	switch {
	case ref == "":
		*v = Value{}
		return nil
	case strings.HasPrefix(ref, "env:"):
		name := strings.TrimPrefix(ref, "env:")
		*v = Value{ref: ref, text: os.Getenv(name)}
		return nil
	case strings.HasPrefix(ref, "file:"):
		*v = Value{ref: ref}
		text, err := os.ReadFile(strings.TrimPrefix(ref, "file:"))
		if err != nil {
			return fmt.Errorf("secret %s cannot be read: %w", ref, err)
		}
		v.text = strings.TrimRight(string(text), "\r\n")
		return nil
	}
	return fmt.Errorf("a secret is written as env:NAME or file:PATH, never in the file itself")
}
