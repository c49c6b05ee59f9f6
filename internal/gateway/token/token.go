// Package token estimates how many tokens a text is, from the classes of its characters, without a vocabulary. It is
// what calls are charged by where a provider reports nothing, and what they are written down with before they are
// sent; rows built on it say estimated.
package token

// class is what a byte is to a tokenizer.
type class uint8

const (
	none class = iota
	space
	line
	letter
	accent // two bytes: accents, Greek, Cyrillic, Arabic, Hebrew
	digit
	mark
	wide  // three bytes: most of the scripts of Asia
	emoji // four bytes
	middle
)

// weight is what a class costs, in quarters of a token: its first character in a row, and every so many later ones.
// The figures were fitted against the o200k vocabulary; the test holds them to it.
type weight struct {
	first, later int64
	every        int
}

var weights = [...]weight{
	none: {}, space: {0, 0, 1 << 30}, line: {2, 1, 2}, letter: {4, 3, 7}, accent: {3, 1, 2}, digit: {4, 4, 3}, mark: {3, 2, 1},
	wide: {3, 3, 1}, emoji: {8, 8, 1}, middle: {},
}

var classes = func() (t [256]class) {
	for i := range t {
		switch b := byte(i); {
		case b == ' ':
			t[i] = space
		case b < ' ':
			t[i] = line
		case b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z':
			t[i] = letter
		case b >= '0' && b <= '9':
			t[i] = digit
		case b < 0x80:
			t[i] = mark
		case b < 0xc0:
			t[i] = middle
		case b < 0xe0:
			t[i] = accent
		case b < 0xf0:
			t[i] = wide
		default:
			t[i] = emoji
		}
	}
	return t
}()

// Counter estimates a text that comes in pieces; pieces may cut words, escapes and characters. The zero value is ready.
type Counter struct {
	quarters int64 // of tokens
	left     int   // characters until the class costs again
	last     class
	escaped  uint8 // bytes of a JSON escape still to come
}

// Tokens is the estimate for what was added until now.
func (c *Counter) Tokens() int64 { return (c.quarters + 3) / 4 }

// Add counts the next piece. JSON escapes count as the one character they stand for.
func (c *Counter) Add(text []byte) {
	for _, b := range text {
		switch {
		case c.escaped > 0:
			c.escape(b)
		case b == '\\':
			c.escaped = 1
		default:
			if k := classes[b]; k != middle {
				c.step(k)
			}
		}
	}
}

// escape takes the bytes after a backslash.
func (c *Counter) escape(b byte) {
	if c.escaped > 1 { // the digits of \uXXXX
		c.escaped--
		if c.escaped == 1 {
			c.escaped = 0
		}
		return
	}
	c.escaped = 0
	switch b {
	case 'n', 'r', 't':
		c.step(line)
	case 'u':
		c.escaped = 5
		c.step(wide)
	default:
		c.step(mark)
	}
}

func (c *Counter) step(k class) {
	w := &weights[k]
	if c.last == k {
		if c.left--; c.left > 0 {
			return
		}
		c.quarters += w.later
	} else if c.last == accent && k == letter || c.last == letter && k == accent {
		c.quarters += w.later // inside a word
	} else {
		c.quarters += w.first
	}
	c.last, c.left = k, w.every
}

// Estimate is how many tokens a text is.
func Estimate(text []byte) int64 {
	var c Counter
	c.Add(text)
	return c.Tokens()
}
