package redact

import (
	"bytes"
	"slices"
	"strings"
)

// span is a place in a text that is to be replaced.
type span struct {
	start, end int
	class      string
}

// kind is what a byte may be a part of. Most bytes of a text are of none, and cost one look.
type kind uint8

const (
	nothing kind = iota
	digit
	at
	plus
	dash // - and _: in the prefixes of keys, and of a key's block
	assign
	upperA // AKIA, AIza
	upperJ // eyJ
	lettB  // Bearer
	lettS  // SG.
)

func (r *Rules) kindsOf() (k [256]kind) {
	set := func(on bool, as kind, chars string) {
		for i := range len(chars) {
			if on {
				k[chars[i]] = as
			}
		}
	}
	set(r.on[Card] || r.on[IBAN] || r.on[SSN] || r.on[IP], digit, "0123456789")
	set(r.on[Email], at, "@")
	set(r.on[Phone], plus, "+")
	set(r.on[Secret], dash, "-_")
	set(r.on[Secret] || r.on[IP], assign, "=:")
	set(r.on[Secret], upperA, "A")
	set(r.on[Secret], upperJ, "J")
	set(r.on[Secret], lettB, "Bb")
	set(r.on[Secret], lettS, "S")
	return k
}

// finder looks through one text, once, from left to right. How far it looks back and ahead from a byte is bounded, or
// remembered, so that no text takes longer than its length.
type finder struct {
	rules *Rules
	b     []byte
	done  int // everything before it was dealt with
	runs  [3]run
	spans []span
}

// run remembers where characters of a token end, for all who begin inside it.
type run struct{ from, to int }

// search fills p.spans with what is to be replaced in b, in order and apart from each other.
func (p *Pass) search(b []byte) {
	r := p.rules
	f := finder{rules: r, b: b, spans: p.spans[:0]}
	f.find()
	p.spans = f.spans
	if len(r.custom) > 0 {
		p.spans = r.customs(b, p.spans)
	}
	if len(r.allow) > 0 {
		p.spans = slices.DeleteFunc(p.spans, func(s span) bool { return r.allows(b[s.start:s.end]) })
	}
}

func (f *finder) find() {
	b, kinds := f.b, &f.rules.kinds
	for i := 0; i < len(b); i++ {
		k := kinds[b[i]]
		if k == nothing {
			continue
		}
		before := len(f.spans)
		switch k {
		case digit:
			if i > 0 && b[i-1] >= '0' && b[i-1] <= '9' {
				continue
			}
			f.number(i)
		case at:
			f.email(i)
		case plus:
			f.phone(i)
		case dash:
			f.prefixed(i)
		case assign:
			f.assigned(i)
		case upperA:
			if i+1 < len(b) && (b[i+1] == 'K' || b[i+1] == 'S' || b[i+1] == 'I') {
				f.cloudKey(i)
			}
		case upperJ:
			f.token(i)
		case lettB:
			if i+1 < len(b) && b[i+1]|' ' == 'e' {
				f.bearer(i)
			}
		case lettS:
			if i+1 < len(b) && b[i+1] == 'G' {
				f.mailKey(i)
			}
		}
		if len(f.spans) > before {
			i = f.done - 1
		}
	}
}

// take marks a place. What begins before the end of the last one is a part of it.
func (f *finder) take(start, end int, class string) {
	if start < f.done || end <= start {
		return
	}
	f.spans = append(f.spans, span{start, end, class})
	f.done = end
}

// customs adds what the custom patterns match. A match that touches a placeholder that is there already is none; one that
// overlaps another finding is joined with it.
func (r *Rules) customs(b []byte, spans []span) []span {
	builtin := len(spans)
	var held [][]int // placeholders in the text
	for i := 0; i < len(b); {
		n := bytes.IndexByte(b[i:], '[')
		if n < 0 {
			break
		}
		i += n
		if end := r.placeholderAt(b, i); end > 0 {
			held = append(held, []int{i, end})
			i = end
			continue
		}
		i++
	}
	for _, c := range r.custom {
		h := 0
		for _, m := range c.match.FindAllIndex(b, -1) {
			for h < len(held) && held[h][1] <= m[0] {
				h++
			}
			if m[1] > m[0] && (h == len(held) || held[h][0] >= m[1]) {
				spans = append(spans, span{m[0], m[1], c.class})
			}
		}
	}
	if len(spans) == builtin {
		return spans
	}
	slices.SortStableFunc(spans, func(x, y span) int { return x.start - y.start })
	joined := spans[:1]
	for _, s := range spans[1:] {
		last := &joined[len(joined)-1]
		if s.start >= last.end {
			joined = append(joined, s)
		} else {
			last.end = max(last.end, s.end)
		}
	}
	return joined
}

// placeholderAt returns the end of the placeholder that begins at i, or 0.
func (r *Rules) placeholderAt(b []byte, i int) int {
	if i >= len(b) || b[i] != '[' {
		return 0
	}
	rest := b[i+1 : min(len(b), i+1+48)]
	end := bytes.IndexByte(rest, ']')
	if end <= 0 {
		return 0
	}
	name := string(rest[:end])
	if !r.class(name) {
		cut := strings.LastIndexByte(name, '_')
		if cut < 0 || strings.Trim(name[cut+1:], "0123456789") != "" || !r.class(name[:cut]) {
			return 0
		}
	}
	return i + 1 + end + 1
}

func (r *Rules) class(name string) bool {
	if _, ok := Classes[name]; ok {
		return true
	}
	return slices.ContainsFunc(r.custom, func(c custom) bool { return c.class == name })
}

func (r *Rules) allows(value []byte) bool {
	v := strings.ToLower(string(value))
	return slices.ContainsFunc(r.allow, func(a string) bool {
		bare := strings.Trim(a, "*")
		head, tail := strings.HasPrefix(a, "*"), strings.HasSuffix(a, "*")
		switch {
		case head && tail:
			return strings.Contains(v, bare)
		case head:
			return strings.HasSuffix(v, bare)
		case tail:
			return strings.HasPrefix(v, bare)
		}
		return v == bare
	})
}

// The characters of tokens.
const (
	letter = 1 << iota
	figure
	under // _ and -
	local // further characters before the @ of an address
	value // further characters of a bearer token
)

var chars = func() (c [256]uint8) {
	for i := range 26 {
		c['a'+i], c['A'+i] = letter, letter
	}
	for i := range 10 {
		c['0'+i] = figure
	}
	c['_'], c['-'] = under|local, under|local
	for _, x := range []byte(".%+'!#$&*/=?^`{|}~") {
		c[x] |= local
	}
	for _, x := range []byte(".~+/=") {
		c[x] |= value
	}
	return c
}()

func alnum(c byte) bool { return chars[c]&(letter|figure) != 0 }

// alone reports whether no word goes on before i. What was taken ends every word, as its placeholder will.
func (f *finder) alone(i int) bool { return i <= f.done || !alnum(f.b[i-1]) }

// ends reports whether no word goes on at i.
func (f *finder) ends(i int) bool { return i >= len(f.b) || !alnum(f.b[i]) }

// span returns the end of the characters of a set from i, at most n of them.
func (f *finder) span(i, n int, set uint8) int {
	end := min(len(f.b), i+n)
	for i < end && chars[f.b[i]]&set != 0 {
		i++
	}
	return i
}
