package extract

import (
	"bytes"
	"errors"
	"fmt"
	"net/mail"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/jhillyerd/enmime/v2"

	"airfield/internal/fault"
)

// What one e-mail may hold, attachments of attachments counted.
const (
	maxAttachments = 200
	maxMailDepth   = 4   // mails attached to mails
	maxMultiparts  = 200 // parts in parts: the parser goes into each
)

// readEML reads an e-mail: who wrote to whom when, the text, then the attachments, each under a heading of its name.
func (c *child) readEML(src *source, s *sink) error {
	raw, err := src.bytes()
	if err != nil {
		return err
	}
	if n := bytes.Count(bytes.ToLower(raw), []byte("multipart/")); n > maxMultiparts {
		return damaged(src, "it has %d multiparts; at most %d are read", n, maxMultiparts)
	}
	parser := enmime.NewParser(enmime.SkipMalformedParts(true), enmime.DisableTextConversion(true), enmime.MaxStoredPartErrors(5),
		enmime.MultipartWOBoundaryAsSinglePart(true), enmime.SetReadPartErrorPolicy(enmime.AllowCorruptTextPartErrorPolicy))
	letter, err := parser.ReadEnvelope(bytes.NewReader(raw))
	if err != nil {
		return damaged(src, "it cannot be read as an e-mail: %v", err)
	}
	if err := c.letterHead(letter, s); err != nil {
		return err
	}
	if strings.TrimSpace(letter.Text) != "" {
		err = readText(letter.Text, s)
	} else {
		err = readHTMLText(letter.HTML, src, s)
	}
	if err != nil {
		return err
	}
	for _, e := range letter.Errors {
		switch {
		case e.Severe:
			s.partial("a part of the e-mail is malformed: %s: %s", e.Name, e.Detail)
		case e.Name == enmime.ErrorMissingBoundary:
			s.partial("the e-mail seems cut short: its end marker is missing; what was found is kept")
		}
	}
	for _, part := range letter.Root.DepthMatchAll(attached) {
		if err := c.attachment(part, src, s); err != nil {
			return err
		}
	}
	return nil
}

// letterHead keeps the headers that people read as metadata and as the first lines of the text.
func (c *child) letterHead(letter *enmime.Envelope, s *sink) error {
	s.res.Title = letter.GetHeader("Subject")
	var lines []string
	for _, h := range []struct{ header, key string }{{"From", "author"}, {"To", "to"}, {"Cc", "cc"}, {"Date", "created"}} {
		value := strings.Join(strings.Fields(letter.GetHeader(h.header)), " ")
		if value == "" {
			continue
		}
		lines = append(lines, h.header+": "+value)
		if h.key == "created" {
			if sent, err := mail.ParseDate(value); err == nil {
				value = sent.UTC().Format(time.RFC3339)
			}
		}
		s.meta(h.key, value)
	}
	s.meta("message_id", strings.Trim(letter.GetHeader("Message-Id"), "<> "))
	if err := s.add(Block{Kind: KindHeading, Level: 1, Text: strings.Join(strings.Fields(s.res.Title), " ")}); err != nil {
		return err
	}
	return s.add(Block{Kind: KindText, Text: strings.Join(lines, "\n")})
}

// attached reports a part that is not the letter itself: not its text, its signature, or a picture set into it.
func attached(p *enmime.Part) bool {
	switch {
	case p.FirstChild != nil, strings.HasPrefix(p.ContentType, "multipart/"), len(p.Content) == 0:
		return false
	case p.ContentType == "application/pkcs7-signature", p.ContentType == "application/pgp-signature":
		return false
	case p.Disposition == "attachment":
		return true
	case strings.HasPrefix(p.ContentType, "image/"):
		return false
	}
	return p.ContentType != "text/plain" && p.ContentType != "text/html" && p.ContentType != ""
}

// attachment reads one attachment as a document of its own, through a sink that hands its blocks on. One that cannot be
// read is reported and the others are read; an error is the sink's.
func (c *child) attachment(p *enmime.Part, src *source, s *sink) error {
	top := s.top()
	if top.attachments++; top.attachments > maxAttachments {
		if top.attachments == maxAttachments+1 {
			s.partial("the attachments after the first %d were left out", maxAttachments)
		}
		return nil
	}
	name := strings.Join(strings.Fields(clean(p.FileName)), " ")
	if name == "" {
		name = fmt.Sprintf("attachment %d", top.attachments)
	}
	inner := s.within(name)
	if inner.depth > maxMailDepth {
		s.partial("the attachment %q was left out: mails are read %d deep", name, maxMailDepth)
		return nil
	}
	if top.unpacked += int64(len(p.Content)); top.unpacked > src.Config.MaxArchiveBytes {
		s.partial("the attachment %q was left out: all of them together have more than %d bytes", name, src.Config.MaxArchiveBytes)
		return nil
	}
	if err := s.add(Block{Kind: KindHeading, Level: 2, Text: "Attachment: " + name}); err != nil {
		return err
	}
	err := c.readAttachment(p, name, src, inner)
	if inner.delivered() { // what was read before a fault is kept
		if flushed := inner.flush(); err == nil {
			err = flushed
		}
	}
	if top.lost != nil {
		return top.lost
	}
	for _, w := range inner.res.Warnings {
		s.warn("attachment %q: %s", name, w)
	}
	s.res.Partial = s.res.Partial || inner.res.Partial
	var f *fault.Fault
	switch {
	case err == nil:
		if !inner.delivered() {
			s.warn("the attachment %q holds no text", name)
		}
		return nil
	case errors.As(err, &f) && (f.Code == CodeUnsupported || f.Code == CodeNoOCR):
		s.warn("the attachment %q was not read: %s", name, f.Text)
	case errors.As(err, &f):
		s.partial("the attachment %q was not read to its end: %s", name, f.Text)
	default:
		return err
	}
	return nil
}

// readAttachment puts the bytes into the process's own directory, because readers read files.
func (c *child) readAttachment(p *enmime.Part, name string, src *source, s *sink) error {
	file, err := os.CreateTemp("", "attachment-")
	if err != nil {
		return fmt.Errorf("keep attachment: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(p.Content)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("keep attachment: %w", err)
	}
	r := src.request
	r.Path, r.Name, r.DeclaredType = file.Name(), name, p.ContentType
	inner, err := open(r)
	if err != nil {
		return err
	}
	defer inner.file.Close()
	format, _, err := detect(inner)
	if err != nil {
		return err
	}
	return c.readFormat(format, inner, s)
}

var mailHeader = regexp.MustCompile(`(?im)^(from|to|date|subject|received|message-id|mime-version|return-path|delivered-to)[ \t]*:`)

// looksMailed reports text that begins as e-mails do: with at least three of their header lines before an empty line.
func looksMailed(head []byte) bool {
	top, _, _ := bytes.Cut(bytes.ReplaceAll(head, []byte("\r\n"), []byte("\n")), []byte("\n\n"))
	first, _, _ := bytes.Cut(top, []byte("\n"))
	if !headerLine.Match(first) {
		return false
	}
	seen := map[string]bool{}
	for _, m := range mailHeader.FindAllSubmatch(top, -1) {
		seen[strings.ToLower(string(m[1]))] = true
	}
	return len(seen) >= 3
}

var headerLine = regexp.MustCompile(`^[!-9;-~]+[ \t]*:`)
