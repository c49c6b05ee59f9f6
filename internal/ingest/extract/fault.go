package extract

import (
	"errors"
	"slices"

	"airfield/internal/fault"
)

// Codes of the faults a file can end with; they are the reasons of its dead letter.
const (
	CodeEncrypted   = "encrypted"           // needs a password
	CodeDamaged     = "damaged"             // not what it claims to be, cut short, or garbage
	CodeEmpty       = "empty"               // no bytes, or no text in it
	CodeUnsupported = "unsupported_type"    // a format we do not read
	CodeTooLarge    = "too_large"           // more bytes than allowed
	CodeZipBomb     = "zip_bomb"            // unpacks to more than allowed
	CodeTimeout     = "extract_timeout"     // a page or the file took too long
	CodeMemory      = "extract_memory"      // took too much memory
	CodeCrashed     = "extract_crashed"     // the extracting process died of it
	CodeRecord      = "record_invalid"      // a record is not as its collection wants it
	CodeUnreadable  = "file_unreadable"     // the file could not be opened
	CodeNoOCR       = "ocr_missing"         // a scan, and no text recognition on this machine
	CodeUnavailable = "extract_unavailable" // no extracting process can be had
)

// Supported lists the formats that are read, for messages and pages of reference.
func Supported() []string {
	return []string{"PDF", "DOCX", "PPTX", "XLSX", "e-mail", "HTML", "Markdown", "plain text", "CSV", "TSV", "JSON", "JSONL", "PNG, JPEG and TIFF where tesseract is installed"}
}

// Permanent reports whether another try with the same bytes would end the same way, so that a run gives up at once.
func Permanent(err error) bool {
	var f *fault.Fault
	return errors.As(err, &f) && slices.Contains([]string{
		CodeEncrypted, CodeDamaged, CodeEmpty, CodeUnsupported, CodeTooLarge, CodeZipBomb, CodeMemory, CodeNoOCR, CodeRecord,
	}, f.Code)
}
