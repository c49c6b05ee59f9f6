// Package redact finds secrets and personal data in texts and puts placeholders in their stead: [secret], [email],
// [card]. The gateway uses it before a request is kept or sent, and for what it writes about calls. It looks for forms,
// not for meanings: it knows an e-mail address, not a name.
package redact

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The classes that are built in.
const (
	Secret = "secret"
	Email  = "email"
	Phone  = "phone"
	Card   = "card"
	IBAN   = "iban"
	SSN    = "ssn"
	IP     = "ip"
)

// Classes are the built-in classes, and whether each is looked for where nothing else is said.
var Classes = map[string]bool{Secret: true, Email: true, Phone: true, Card: true, IBAN: true, SSN: true, IP: false}

// Config is the part of airfield.yaml that this package owns.
type Config struct {
	Classes map[string]bool   `yaml:"classes" json:"classes" doc:"Which built-in classes are looked for: secret, email, phone, card, iban and ssn are unless they are set to false, ip (addresses) is not unless it is set to true."`
	Custom  map[string]string `yaml:"custom" json:"custom" doc:"Further classes by name, each a regular expression (RE2). What it matches becomes [NAME]."`
	Allow   []string          `yaml:"allow" json:"allow" doc:"What is left as it is: whole values, whatever their case, or with a * at the beginning or the end."`
}

// Default looks for every class but addresses.
func Default() Config { return Config{} }

// Check reports what is wrong.
func (c Config) Check() (warnings []string, err error) {
	_, err = New(c)
	return nil, err
}

// Rules are a set of rules, ready to use by many at a time.
type Rules struct {
	version string
	kinds   [256]kind // what a byte may be a part of, given the classes that are looked for
	on      map[string]bool
	custom  []custom
	allow   []string
}

type custom struct {
	class string
	match *regexp.Regexp
}

// revision is the month in which the built-in rules last changed their meaning.
const revision = "2026-11"

// source is what the built-in rules are, so that none can change without the version.
//
//go:embed redact.go find.go secret.go assign.go number.go contact.go json.go
var source embed.FS

const (
	maxCustom  = 64
	maxPattern = 1000
	maxAllow   = 1000
)

// New makes the rules of a configuration.
func New(c Config) (*Rules, error) {
	r := &Rules{on: maps.Clone(Classes)}
	for _, name := range slices.Sorted(maps.Keys(c.Classes)) {
		if _, ok := Classes[name]; !ok {
			return nil, fmt.Errorf("classes: %q is not one of %s", name, strings.Join(slices.Sorted(maps.Keys(Classes)), ", "))
		}
		r.on[name] = c.Classes[name]
	}
	if len(c.Custom) > maxCustom || len(c.Allow) > maxAllow {
		return nil, fmt.Errorf("at most %d custom patterns and %d allowed values", maxCustom, maxAllow)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Custom)) {
		pattern := c.Custom[name]
		if _, builtin := Classes[name]; builtin || !className(name) {
			return nil, fmt.Errorf("custom: %q is no name for a class: small letters, digits and _, at most 32, and none that is built in", name)
		}
		if len(pattern) > maxPattern {
			return nil, fmt.Errorf("custom.%s: at most %d characters", name, maxPattern)
		}
		match, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("custom.%s: %w", name, err)
		}
		if match.MatchString("") {
			return nil, fmt.Errorf("custom.%s matches nothing at all, which is everywhere", name)
		}
		r.custom = append(r.custom, custom{name, match})
	}
	for i, value := range c.Allow {
		if bare := strings.Trim(value, "*"); len(bare) < 3 || strings.Contains(bare, "*") {
			return nil, fmt.Errorf("allow[%d]: %q: at least three characters, and a * only at the beginning or the end", i, value)
		}
		r.allow = append(r.allow, strings.ToLower(value))
	}
	r.kinds = r.kindsOf()
	r.version = r.versionOf()
	return r, nil
}

func className(name string) bool {
	if name == "" || len(name) > 32 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return !strings.ContainsFunc(name, func(c rune) bool { return c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') })
}

// Version names the rules: it changes with every change of the configuration or of what is built in.
func (r *Rules) Version() string { return r.version }

func (r *Rules) versionOf() string {
	sum := sha256.New()
	fs.WalkDir(source, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, _ := source.ReadFile(path)
			fmt.Fprintf(sum, "%s %d\n%s\n", path, len(b), b)
		}
		return err
	})
	for _, name := range slices.Sorted(maps.Keys(r.on)) {
		fmt.Fprintf(sum, "%s %t\n", name, r.on[name])
	}
	for _, c := range r.custom {
		fmt.Fprintf(sum, "%s %q\n", c.class, c.match)
	}
	for _, value := range slices.Sorted(slices.Values(r.allow)) {
		fmt.Fprintf(sum, "%q\n", value)
	}
	return revision + "/" + hex.EncodeToString(sum.Sum(nil)[:4])
}

// Found counts what was replaced, by class; nil where nothing was.
type Found map[string]int

// String lists the counts by class: "card=1,email=2".
func (f Found) String() string {
	var b strings.Builder
	for _, class := range slices.Sorted(maps.Keys(f)) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s=%d", class, f[class])
	}
	return b.String()
}

// Add adds the counts of another and returns the sum, which may be f itself.
func (f Found) Add(other Found) Found {
	if f == nil {
		return maps.Clone(other)
	}
	for class, n := range other {
		f[class] += n
	}
	return f
}

// Text appends b to dst with placeholders for what was found.
func (r *Rules) Text(dst, b []byte) ([]byte, Found) {
	p := r.pass()
	defer p.free()
	return p.Text(dst, b), p.Found
}

// String is Text for a short text of ours, such as an error.
func (r *Rules) String(s string) (string, Found) {
	if len(r.custom) == 0 && r.plain(s) {
		return s, nil
	}
	p := r.pass()
	defer p.free()
	b := append(p.plain[:0], s...)
	p.plain = b
	p.search(b)
	if len(p.spans) == 0 {
		return s, nil
	}
	return string(p.replace(nil, b)), p.Found
}

// Name is a text of which each finding has a name of its own: [email_1f0c2a9b]. The same value always has the same
// name, so that what is counted by it stays apart; who knows the value can compute the name.
func (r *Rules) Name(s string) string {
	if len(r.custom) == 0 && r.plain(s) {
		return s
	}
	p := r.pass()
	defer p.free()
	b := append(p.plain[:0], s...)
	p.plain = b
	p.search(b)
	var named []byte
	at := 0
	for _, f := range p.spans {
		sum := sha256.Sum256(bytes.ToLower(b[f.start:f.end]))
		named = append(append(append(named, b[at:f.start]...), '['), f.class...)
		named = append(hex.AppendEncode(append(named, '_'), sum[:4]), ']')
		at = f.end
	}
	if at == 0 {
		return s
	}
	return string(append(named, b[at:]...))
}

// plain reports whether no byte of a text can be a part of anything.
func (r *Rules) plain(s string) bool {
	for i := range len(s) {
		if r.kinds[s[i]] != nothing {
			return false
		}
	}
	return true
}

// JSON appends body to dst with placeholders inside its strings, and, where it is not JSON after all, in all of it. What was
// not replaced stays byte for byte: keys, numbers, spaces, escapes and base64. The text of a stream is best put together before it is redacted:
// what was cut into several deltas cannot be found in any of them.
func (r *Rules) JSON(dst, body []byte) ([]byte, Found) {
	p := r.pass()
	defer p.free()
	return p.JSON(dst, body), p.Found
}

// Pass redacts the texts of one request. It belongs to one goroutine.
type Pass struct {
	Found Found

	rules   *Rules
	numbers map[string]int // of values, by class and value; nil where placeholders have no numbers
	next    map[string]int
	spans   []span
	plain   []byte
}

var passes = sync.Pool{New: func() any { return new(Pass) }}

// longestKept bounds what a pass holds between two texts.
const longestKept = 64 << 10

func (r *Rules) pass() *Pass {
	p := passes.Get().(*Pass)
	p.rules = r
	return p
}

func (p *Pass) free() {
	if cap(p.plain) > longestKept || cap(p.spans) > longestKept/64 {
		return
	}
	*p = Pass{spans: p.spans[:0], plain: p.plain[:0]}
	passes.Put(p)
}

// Numbered begins a pass whose placeholders have numbers, one for each value: [email_1], [email_2], so that a model can
// tell them apart.
func (r *Rules) Numbered() *Pass {
	return &Pass{rules: r, numbers: map[string]int{}, next: map[string]int{}}
}

// Text appends b to dst with placeholders for what was found.
func (p *Pass) Text(dst, b []byte) []byte {
	p.search(b)
	return p.replace(dst, b)
}

// replace appends b with placeholders for the spans that were found in it.
func (p *Pass) replace(dst, b []byte) []byte {
	at := 0
	for _, s := range p.spans {
		dst = append(dst, b[at:s.start]...)
		dst = p.placeholder(dst, s.class, b[s.start:s.end])
		at = s.end
	}
	return append(dst, b[at:]...)
}

func (p *Pass) placeholder(dst []byte, class string, value []byte) []byte {
	if p.Found == nil {
		p.Found = Found{}
	}
	p.Found[class]++
	dst = append(append(dst, '['), class...)
	if p.numbers != nil {
		key := class + "\x00" + string(bytes.ToLower(value))
		n, known := p.numbers[key]
		if !known {
			p.next[class]++
			n = p.next[class]
			p.numbers[key] = n
		}
		dst = strconv.AppendInt(append(dst, '_'), int64(n), 10)
	}
	return append(dst, ']')
}
