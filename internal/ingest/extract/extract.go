// Package extract turns a file into blocks of text: PDF, DOCX, HTML, Markdown, plain text, CSV, JSON. The work is done
// by a child process, so that a hostile file can take down only that; the ingest feature calls Extract, the command
// line's hidden extract-child command calls Child.
package extract

import (
	"context"
	"errors"
	"io"
	"log/slog"
)

// Extractor keeps the extracting processes and hands them files.
type Extractor struct {
	config Config
	log    *slog.Logger
}

// New makes an extractor; no process is started before the first file.
func New(config Config, log *slog.Logger) *Extractor { return &Extractor{config: config, log: log} }

// Extract reads the file at path and calls each with its pages in order. name is the document's name (its extension
// counts), declaredType the media type its source told, or "". An error is a *fault.Fault with one of the codes above,
// ctx's error, or what each returned. What was read before a crash or a timeout stays delivered: then the result is
// Partial and the error nil. each is called by the calling goroutine and must not keep the page's slice.
func (e *Extractor) Extract(ctx context.Context, path, name, declaredType string, each func(Page) error) (Result, error) {
	return Result{}, errors.ErrUnsupported
}

// Close ends every extracting process and waits for it.
func (e *Extractor) Close() error { return nil }

// Child is the extracting process: it serves requests from stdin until it ends.
func Child(stdin io.Reader, stdout io.Writer) error { return errors.ErrUnsupported }
