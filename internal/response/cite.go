package response

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// citation is an annotation of a text.
type citation struct {
	Type     string `json:"type"`
	Index    int    `json:"index"` // in characters of the text
	FileID   string `json:"file_id"`
	Filename string `json:"filename"`
}

// citer takes the markers out of a text that comes in pieces, and makes citations of those that name a source. Wherever
// the pieces are cut, it comes to the same. Markers are 【3】, as the model was told, with whatever some models add inside,
// and [3] outside of code where there is a source 3: such brackets are left alone otherwise.
type citer struct {
	sources []Source
	count   int    // characters given out
	held    string // spaces and the beginning of what may be a marker
	begun   int    // where in held the bracket stands; -1 where there is none
	code    bool   // between backticks
}

func newCiter(sources []Source) *citer { return &citer{sources: sources, begun: -1} }

const (
	longestMarker = 80 // bytes
	plainDigits   = "0123456789, "
)

// add takes the next piece and returns what can be given out of the text until now.
func (c *citer) add(piece string) (text string, cited []citation) {
	var b strings.Builder
	for _, r := range piece {
		cited = append(cited, c.step(&b, r)...)
	}
	return b.String(), cited
}

// flush returns what is left at the end: a bracket that was never closed is text.
func (c *citer) flush() string {
	var b strings.Builder
	c.release(&b)
	return b.String()
}

func (c *citer) step(b *strings.Builder, r rune) []citation {
	if c.begun >= 0 {
		wide := strings.HasPrefix(c.held[c.begun:], "【")
		switch {
		case wide && r == '】', !wide && r == ']':
			return c.close(b, wide)
		case r != '\n' && len(c.held)-c.begun < longestMarker && (wide || strings.ContainsRune(plainDigits, r)):
			c.held += string(r)
			return nil
		}
		c.release(b)
	}
	switch {
	case r == '【', r == '[' && !c.code:
		c.begun = len(c.held)
		c.held += string(r)
	case r == ' ':
		if len(c.held) > longestMarker {
			c.release(b)
		}
		c.held += " "
	default:
		c.release(b)
		if r == '`' {
			c.code = !c.code
		}
		c.put(b, string(r))
	}
	return nil
}

func (c *citer) put(b *strings.Builder, s string) {
	b.WriteString(s)
	c.count += utf8.RuneCountInString(s)
}

func (c *citer) release(b *strings.Builder) {
	c.put(b, c.held)
	c.held, c.begun = "", -1
}

var digits = regexp.MustCompile(`\d+`)

// close ends a marker.
func (c *citer) close(b *strings.Builder, wide bool) (cited []citation) {
	inside := c.held[c.begun:]
	if wide {
		inside, _, _ = strings.Cut(inside, "†")
	}
	known := true
	var numbers []int
	for _, d := range digits.FindAllString(inside, -1) {
		n, err := strconv.Atoi(d)
		if err != nil || n < 1 || n > len(c.sources) {
			known = false
			continue
		}
		numbers = append(numbers, n)
	}
	if !wide && (!known || len(numbers) == 0) {
		c.held += "]"
		c.release(b)
		return nil
	}
	c.held, c.begun = "", -1
	for _, n := range numbers {
		s := c.sources[n-1]
		cited = append(cited, citation{"file_citation", c.count, s.FileID, s.Filename})
	}
	return cited
}

// cite is a whole text without its markers.
func (s *search) cite(text string) (string, []citation) {
	c := newCiter(s.sources)
	out, cited := c.add(text)
	return out + c.flush(), cited
}

// citePart gives a part of a message its citations, where it is a text.
func (s *search) citePart(raw json.RawMessage) json.RawMessage {
	var o object
	var kind, text string
	if json.Unmarshal(raw, &o) != nil || json.Unmarshal(o["type"], &kind) != nil || kind != "output_text" || json.Unmarshal(o["text"], &text) != nil {
		return raw
	}
	clean, cited := s.cite(text)
	list := []json.RawMessage{}
	json.Unmarshal(o["annotations"], &list) // other than a list they are none
	for _, one := range cited {
		list = append(list, must(one))
	}
	o["text"], o["annotations"] = must(clean), must(list)
	return must(o)
}

// citeItem gives the texts of a message their citations.
func (s *search) citeItem(raw json.RawMessage) json.RawMessage {
	var o object
	var content []json.RawMessage
	if !s.citing() || typeOf(raw) != "message" || json.Unmarshal(raw, &o) != nil || json.Unmarshal(o["content"], &content) != nil {
		return raw
	}
	for i := range content {
		content[i] = s.citePart(content[i])
	}
	o["content"] = must(content)
	return must(o)
}

// citing reports whether there is anything that a text could cite.
func (s *search) citing() bool { return s != nil && s.cites && len(s.sources) > 0 }
