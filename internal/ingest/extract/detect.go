package extract

import (
	"archive/zip"
	"bytes"
	"path"
	"regexp"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"airfield/internal/fault"
)

// The formats there is a reader for.
const (
	formatPDF      = "pdf"
	formatDOCX     = "docx"
	formatPPTX     = "pptx"
	formatXLSX     = "xlsx"
	formatEML      = "eml"
	formatPNG      = "png"
	formatJPEG     = "jpeg"
	formatTIFF     = "tiff"
	formatHTML     = "html"
	formatMarkdown = "markdown"
	formatText     = "text"
	formatCSV      = "csv"
	formatTSV      = "tsv"
	formatJSON     = "json"
	formatJSONL    = "jsonl"
)

func mediaTypes() map[string]string {
	return map[string]string{
		formatPDF:      "application/pdf",
		formatDOCX:     "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
		formatPPTX:     "application/vnd.openxmlformats-officedocument.presentationml.presentation",
		formatXLSX:     "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
		formatEML:      "message/rfc822",
		formatPNG:      "image/png",
		formatJPEG:     "image/jpeg",
		formatTIFF:     "image/tiff",
		formatHTML:     "text/html",
		formatMarkdown: "text/markdown",
		formatText:     "text/plain",
		formatCSV:      "text/csv",
		formatTSV:      "text/tab-separated-values",
		formatJSON:     "application/json",
		formatJSONL:    "application/x-ndjson",
	}
}

// detect tells the format: binary formats by their content alone, text formats by content where it is unmistakable,
// then by the extension, then by the declared type.
func detect(src *source) (format, mediaType string, err error) {
	format, err = sniff(src)
	if err != nil {
		return "", "", err
	}
	return format, mediaTypes()[format], nil
}

func sniff(src *source) (string, error) {
	head := src.head
	switch {
	case bytes.Contains(head[:min(len(head), 1024)], []byte("%PDF-")):
		return formatPDF, nil
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return sniffZip(src)
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		return sniffOLE(src)
	case hinted(src) == formatEML && headerLine.Match(head), hinted(src) == "" && looksMailed(head):
		return formatEML, nil
	}
	text := decode(head)
	hint := hinted(src)
	if nontext(hint) {
		hint = "" // it is not, or its content would have said so
	}
	found := mimetype.Detect(head)
	if found.Is("application/octet-stream") { // it may be text in a wide charset
		found = mimetype.Detect([]byte(text))
	}
	for _, format := range []string{formatPNG, formatJPEG, formatTIFF} {
		if found.Is(mediaTypes()[format]) {
			return format, nil
		}
	}
	switch {
	case !found.Is("application/octet-stream") && !isText(found):
		return "", unsupported(src, found.String())
	case controls(head, text) && hinted(src) != "":
		return "", damaged(src, "its content is not %s", mediaTypes()[hinted(src)])
	case controls(head, text):
		return "", unsupported(src, "binary content of no known type")
	}
	body := strings.TrimSpace(text)
	switch {
	case found.Is("text/html"):
		if hint == formatMarkdown && !startsDocument(body) {
			return formatMarkdown, nil // Markdown may begin with a tag
		}
		return formatHTML, nil
	case found.Is("text/rtf"), found.Is("text/xml"), found.Is("image/svg+xml"):
		if hint == formatHTML {
			return formatHTML, nil
		}
		return "", unsupported(src, found.String())
	}
	looksJSON := strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[")
	switch hint {
	case formatHTML:
		if !strings.Contains(body, "<") {
			return formatText, nil
		}
	case formatJSON, formatJSONL:
		if !looksJSON && !strings.HasPrefix(body, `"`) && hint == formatJSON && len(body) > 64 {
			return formatText, nil
		}
	case "", formatText:
		switch {
		case found.Is("application/x-ndjson"):
			return formatJSONL, nil
		case found.Is("application/json") && looksJSON:
			return formatJSON, nil
		}
		return formatText, nil
	}
	return hint, nil
}

// hinted is the format the extension stands for, else the one the declared type stands for, else "".
func hinted(src *source) string {
	switch strings.ToLower(strings.TrimPrefix(path.Ext(src.Name), ".")) {
	case "pdf":
		return formatPDF
	case "docx", "docm", "dotx":
		return formatDOCX
	case "pptx", "pptm", "ppsx", "ppsm", "potx":
		return formatPPTX
	case "xlsx", "xlsm", "xltx":
		return formatXLSX
	case "eml":
		return formatEML
	case "html", "htm", "xhtml":
		return formatHTML
	case "md", "markdown", "mdown", "mkd":
		return formatMarkdown
	case "csv":
		return formatCSV
	case "tsv", "tab":
		return formatTSV
	case "json", "geojson":
		return formatJSON
	case "jsonl", "ndjson":
		return formatJSONL
	case "txt", "text", "log":
		return formatText
	}
	declared, _, _ := strings.Cut(src.DeclaredType, ";")
	switch declared = strings.ToLower(strings.TrimSpace(declared)); declared {
	case "text/x-markdown":
		return formatMarkdown
	case "application/jsonl", "application/ndjson":
		return formatJSONL
	case "application/xhtml+xml":
		return formatHTML
	}
	for format, mediaType := range mediaTypes() {
		if declared == mediaType {
			return format
		}
	}
	return ""
}

// nontext reports a format that is known by its content alone.
func nontext(format string) bool {
	switch format {
	case formatPDF, formatDOCX, formatPPTX, formatXLSX, formatEML, formatPNG, formatJPEG, formatTIFF:
		return true
	}
	return false
}

func startsDocument(body string) bool {
	body = strings.ToLower(body[:min(len(body), 64)])
	return strings.HasPrefix(body, "<!doctype html") || strings.HasPrefix(body, "<html")
}

func isText(m *mimetype.MIME) bool {
	for ; m != nil; m = m.Parent() {
		if m.Is("text/plain") {
			return true
		}
	}
	return false
}

// controls reports control characters that no text has. UTF-16 is text by then, so its zero bytes do not count.
func controls(head []byte, text string) bool {
	if strings.HasSuffix(text, "\uFFFD") { // the head may end within a character
		text = strings.TrimRight(text, "\uFFFD")
	}
	var odd int
	for _, r := range text {
		if r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != 0x1b || r == '\uFFFD' {
			odd++
		}
	}
	return odd*50 > len(head)+50
}

// officeEntry is the start of the names of what an Office file wraps.
var officeEntry = regexp.MustCompile(`(word|ppt|xl)/`)

// sniffZip looks into a zip for the part that tells which Office format it wraps.
func sniffZip(src *source) (string, error) {
	archive, err := zip.NewReader(src.file, src.size)
	if err != nil {
		if nontext(hinted(src)) || officeEntry.Match(src.head) {
			return "", damaged(src, "its zip wrapping cannot be read (%v); it may be cut short", err)
		}
		return "", damaged(src, "it is a zip archive that cannot be read (%v)", err)
	}
	for i, entry := range archive.File {
		if i > src.Config.MaxArchiveEntries {
			return "", bomb(src, "it has more than %d entries", src.Config.MaxArchiveEntries)
		}
		switch name := entry.Name; {
		case strings.HasPrefix(name, "word/"):
			return formatDOCX, nil
		case strings.HasPrefix(name, "xl/"):
			return formatXLSX, nil
		case strings.HasPrefix(name, "ppt/"):
			return formatPPTX, nil
		}
	}
	return "", unsupported(src, mimetype.Detect(src.head).String())
}

// sniffOLE tells an encrypted Office file, which is wrapped in the old Office container, from an old Office file.
func sniffOLE(src *source) (string, error) {
	raw, err := src.bytes()
	if err != nil {
		return "", err
	}
	wide := []byte("E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00")
	if bytes.Contains(raw, wide) {
		return "", encrypted(src)
	}
	return "", unsupported(src, "an Office file from before 2007")
}

func encrypted(src *source) *fault.Fault {
	return fault.New(fault.Invalid, CodeEncrypted, "%q is encrypted: it needs a password", src.Name).
		Hinted("save a copy without the password and send that")
}

func unsupported(src *source, what string) *fault.Fault {
	return fault.New(fault.Invalid, CodeUnsupported, "%q cannot be read: its content is %s", src.Name, what).
		Hinted("these formats are read: %s", strings.Join(Supported(), ", "))
}
