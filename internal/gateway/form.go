package gateway

import (
	"bufio"
	"bytes"
	"mime"
	"net/textproto"
	"strconv"
	"strings"
	"unicode/utf8"

	"airfield/internal/fault"
	"airfield/internal/gateway/token"
	"airfield/internal/llm"
)

const (
	maxParts      = 64      // of a form: sixteen pictures and all fields are fewer
	maxPartHeader = 8 << 10 // bytes
	maxFormField  = 64 << 10
)

// read reads a request as far as the gateway looks into it.
func (r *Request) read() (asked, error) {
	if shapeOf(r.Surface).form {
		return decodeForm(r.Surface, r.ContentType, r.Body)
	}
	return decode(r.Surface, r.Body)
}

// decodeForm reads of a form what decode reads of JSON. Files are looked at where they lie in the body.
func decodeForm(surface llm.Surface, contentType string, body []byte) (asked, error) {
	q := asked{shape: shapeOf(surface), choices: 1}
	f, err := newForm(contentType, body)
	if err != nil {
		return q, err
	}
	seen := map[string]bool{}
	var words token.Counter
	for {
		p, err := f.next()
		if err != nil {
			return q, err
		}
		if p == nil {
			break
		}
		value := p.at.of(body)
		if p.file {
			if p.name == "model" {
				return q, badForm("the model is a file in the form")
			}
			q.readFile(p.name, value)
			continue
		}
		if len(value) > maxFormField || !utf8.Valid(value) {
			return q, fault.New(fault.Invalid, "form", "the field %s of the form is not a text of at most %d bytes", clip(p.name, 64), maxFormField).At(clip(p.name, 64))
		}
		text := string(value)
		switch p.name {
		case "model":
			q.model, q.modelAt = text, p.at
		case "stream":
			q.stream, err = formBoolean(p.name, text)
		case "n":
			var n int64
			n, err = formCount(p.name, text)
			q.choices = max(1, n)
		case "partial_images":
			q.media.partial, err = formCount(p.name, text)
		case "user":
			q.user = text
		case "prompt":
			words.Add(value)
		default:
			continue
		}
		if err != nil {
			return q, err
		}
		if seen[p.name] {
			return q, fault.New(fault.Invalid, "duplicate_field", "the request has %q twice", p.name).At(p.name)
		}
		seen[p.name] = true
	}
	q.media.words = words.Tokens()
	return q, q.complete()
}

// readFile looks at a file: how long a sound is, how many pictures there are.
func (q *asked) readFile(name string, file []byte) {
	if q.shape.medium == pictures {
		q.media.given++
		return
	}
	seconds, sure := heard(file)
	q.media.sure = sure && q.media.seconds == 0
	q.media.seconds += seconds
}

func formBoolean(name, text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1":
		return true, nil
	case "false", "0", "":
		return false, nil
	}
	return false, fault.New(fault.Invalid, "invalid_field", "%s must be true or false", name).At(name)
}

func formCount(name, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fault.New(fault.Invalid, "invalid_field", "%s must be a whole number, not below 0", name).At(name)
	}
	return n, nil
}

// form takes a form apart without copying it (RFC 7578, RFC 2046). It refuses what two readers could understand in two ways.
type form struct {
	body      []byte
	delimiter []byte // with the line's end before it and the two hyphens
	pos       int    // behind a delimiter
	parts     int
}

type part struct {
	name string
	file bool
	at   span // of the content
}

func badForm(format string, args ...any) error {
	return fault.New(fault.Invalid, "form", format, args...).Hinted("send multipart/form-data, as curl -F does")
}

func newForm(contentType string, body []byte) (*form, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || kind != "multipart/form-data" || boundary == "" || len(boundary) > 70 || strings.ContainsAny(boundary, "\r\n") {
		return nil, badForm("this API takes a form: multipart/form-data with a boundary")
	}
	f := &form{body: body, delimiter: []byte("\r\n--" + boundary)}
	if !bytes.HasPrefix(body, f.delimiter[2:]) {
		return nil, badForm("the form does not begin with its boundary")
	}
	f.pos = len(f.delimiter) - 2
	return f, nil
}

// next returns the next part, nil after the last.
func (f *form) next() (*part, error) {
	rest := f.body[f.pos:]
	if after, last := bytes.CutPrefix(rest, []byte("--")); last {
		if len(after) > 0 && !bytes.HasPrefix(after, []byte("\r\n")) {
			return nil, badForm("the form is damaged behind its end")
		}
		return nil, nil
	}
	if !bytes.HasPrefix(rest, []byte("\r\n")) {
		return nil, badForm("the form is damaged behind byte %d", f.pos)
	}
	if f.parts++; f.parts > maxParts {
		return nil, badForm("the form has more than %d parts", maxParts)
	}
	from := f.pos + 2
	end := bytes.Index(f.body[from:min(len(f.body), from+maxPartHeader)], []byte("\r\n\r\n"))
	if end < 0 {
		return nil, badForm("a part of the form has no header, or a longer one than %d bytes", maxPartHeader)
	}
	p, err := readPart(f.body[from : from+end+4])
	if err != nil {
		return nil, err
	}
	p.at.from = from + end + 4
	if bytes.HasPrefix(f.body[p.at.from:], f.delimiter[2:]) { // an end without a line of its own, to some
		return nil, badForm("a part of the form begins with its boundary")
	}
	size := bytes.Index(f.body[p.at.from:], f.delimiter)
	if size < 0 {
		return nil, badForm("the form ends in the middle of its part %s", clip(p.name, 64))
	}
	p.at.to = p.at.from + size
	f.pos = p.at.to + len(f.delimiter)
	return p, nil
}

func readPart(header []byte) (*part, error) {
	if n := bytes.Count(header, []byte("\r\n")); bytes.Count(header, []byte("\n")) != n || bytes.Count(header, []byte("\r")) != n {
		return nil, badForm("the header of a part of the form has lines that end in two ways")
	}
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(header))).ReadMIMEHeader()
	if err != nil || len(h["Content-Disposition"]) != 1 {
		return nil, badForm("a part of the form has no header that can be read")
	}
	switch strings.ToLower(h.Get("Content-Transfer-Encoding")) {
	case "", "7bit", "8bit", "binary":
	default:
		return nil, badForm("a part of the form is encoded: forms carry their bytes as they are")
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Disposition"))
	if err != nil || kind != "form-data" || params["name"] == "" {
		return nil, badForm("a part of the form has no name")
	}
	_, file := params["filename"]
	return &part{name: params["name"], file: file}, nil
}
