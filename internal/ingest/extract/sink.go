package extract

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/abadojack/whatlanggo"
)

// errFull stops a reader when the text limit is reached.
var errFull = errors.New("the text limit is reached")

const (
	batchBytes  = 256 << 10 // text per frame; well under maxFrame even when every byte is escaped
	batchBlocks = 512
	maxWarnings = 50
	sampleBytes = 4 << 10 // text that the language is told from

	recordSample = 200 // the least of it that tells, where it is fields and not sentences
)

// sink takes blocks from a reader, cleans them, and writes them to the parent page by page.
type sink struct {
	out   io.Writer
	limit int64
	lost  error // the parent is gone

	page       Page
	held       int // bytes in page
	characters int64
	sent       int // frames written
	res        Result
	first      string // the first heading of the highest rank
	rank       int
	name       string
	sample     strings.Builder
	silenced   int  // warnings above the bound
	whole      bool // a fault leaves nothing of the file

	scanned, unsure []int // pages whose text was recognized; pages where that was not sure enough
	scans           scan  // the words and confidences of all of them

	into        *sink // of an attachment: the sink of what it is attached to
	depth       int
	attachments int   // of the file, counted in its own sink
	unpacked    int64 // bytes of them
}

func newSink(out io.Writer, r request) *sink {
	return &sink{out: out, limit: r.Config.MaxTextBytes, name: r.Name, rank: 7, res: Result{Metadata: map[string]string{}}}
}

// within is the sink of something attached: its blocks go into s, below a heading of their own and without pages.
func (s *sink) within(name string) *sink {
	return &sink{into: s, depth: s.depth + 1, limit: s.limit - s.characters, name: name, rank: 7, res: Result{Metadata: map[string]string{}}}
}

// top is the sink of the file itself.
func (s *sink) top() *sink {
	for s.into != nil {
		s = s.into
	}
	return s
}

// hand gives the blocks on to what the file is attached to.
func (s *sink) hand() error {
	blocks, page := s.page.Blocks, s.page.Number
	s.held, s.page.Blocks = 0, nil
	for _, b := range blocks {
		if b.Kind == KindHeading {
			b.Level = min(b.Level+2, 6)
		}
		if b.Page = 0; b.Anchor == "" {
			if b.Anchor = "attachment " + s.name; page > 0 {
				b.Anchor += fmt.Sprintf(", page %d", page)
			}
		}
		if err := s.into.add(b); err != nil {
			return err
		}
	}
	return s.into.flush()
}

// add takes one block. A text larger than a batch is cut at line or word ends, so that every frame stays bounded.
func (s *sink) add(b Block) error {
	b.Text = clean(b.Text)
	if b.Text == "" {
		return nil
	}
	if b.Page == 0 {
		b.Page = s.page.Number
	}
	room := s.limit - s.characters
	if room <= 0 {
		return errFull
	}
	full := int64(len(b.Text)) > room
	if full {
		b.Text = strings.TrimSpace(b.Text[:cutAt(b.Text, int(room))])
	}
	for len(b.Text) > batchBytes {
		n := cutAt(b.Text, batchBytes)
		piece := b
		piece.Text = strings.TrimSpace(b.Text[:n])
		if err := s.take(piece); err != nil {
			return err
		}
		b.Text, b.Header = strings.TrimSpace(b.Text[n:]), 0
	}
	if err := s.take(b); err != nil {
		return err
	}
	if full {
		return errFull
	}
	return nil
}

func (s *sink) take(b Block) error {
	if b.Text == "" {
		return nil
	}
	if b.Kind == KindHeading && b.Level < s.rank {
		s.rank, s.first = b.Level, b.Text
	}
	if n := sampleBytes - s.sample.Len(); n > 0 {
		s.sample.WriteString(b.Text[:cutAt(b.Text, n)])
		s.sample.WriteByte(' ')
	}
	s.characters += int64(len(b.Text))
	s.held += len(b.Text)
	s.page.Blocks = append(s.page.Blocks, b)
	if s.held >= batchBytes || len(s.page.Blocks) >= batchBlocks {
		return s.flush()
	}
	return nil
}

// turn delivers the page so far and starts page n.
func (s *sink) turn(n int) error {
	err := s.flush()
	s.page.Number = n
	return err
}

// endPage delivers a page even when it holds nothing: the parent's clock and page count run on pages.
func (s *sink) endPage() error {
	if s.page.Number > 0 && len(s.page.Blocks) == 0 {
		return s.write()
	}
	return s.flush()
}

func (s *sink) flush() error {
	if len(s.page.Blocks) == 0 {
		return nil
	}
	return s.write()
}

func (s *sink) write() error {
	if s.into != nil {
		return s.hand()
	}
	if err := writeFrame(s.out, reply{Page: &s.page}); err != nil {
		s.lost = err
		return err
	}
	s.sent++
	s.held, s.page.Blocks = 0, nil
	return nil
}

// delivered reports whether any text was found, sent or still held.
func (s *sink) delivered() bool { return s.characters > 0 }

func (s *sink) warn(format string, args ...any) {
	if len(s.res.Warnings) >= maxWarnings {
		s.silenced++
		return
	}
	s.res.Warnings = append(s.res.Warnings, fmt.Sprintf(format, args...))
}

// partial warns and marks the result as not the whole file.
func (s *sink) partial(format string, args ...any) {
	s.res.Partial = true
	s.warn(format, args...)
}

// meta keeps what the format says about the document; keys are lower case.
func (s *sink) meta(key, value string) {
	if value = strings.TrimSpace(clean(value)); value != "" && len(value) <= 4<<10 && len(s.res.Metadata) < 100 {
		s.res.Metadata[key] = value
	}
}

func (s *sink) result(mediaType string) Result {
	r := s.res
	r.MediaType = mediaType
	if s.silenced > 0 {
		r.Warnings = append(slices.Clip(r.Warnings), fmt.Sprintf("and %d more warnings", s.silenced))
	}
	r.Title = strings.Join(strings.Fields(clean(r.Title)), " ")
	if r.Title == "" && len(s.first) <= 200 {
		r.Title = strings.Join(strings.Fields(s.first), " ")
	}
	if r.Title == "" {
		r.Title = strings.TrimSuffix(path.Base(s.name), path.Ext(s.name))
	}
	if r.Language == "" && (r.Records == nil || s.sample.Len() >= recordSample) {
		if found := whatlanggo.Detect(s.sample.String()); found.IsReliable() {
			r.Language = found.Lang.Iso6391()
		}
	}
	return r
}

// cutAt returns where to cut text so that the first part has at most n bytes: at a line end, else at a space, else
// between two characters.
func cutAt(text string, n int) int {
	if n >= len(text) {
		return len(text)
	}
	if i := strings.LastIndexByte(text[:n], '\n'); i > n/2 {
		return i
	}
	if i := strings.LastIndexByte(text[:n], ' '); i > n/2 {
		return i
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return n
}
