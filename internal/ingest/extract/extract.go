// Package extract turns a file into blocks of text: PDF, Office files, e-mail, HTML, Markdown, plain text, CSV, JSON. The work is
// done by a child process, so that a hostile file can take down only that; the ingest feature calls Extract, the command
// line's hidden extract-child command calls Child.
package extract

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"airfield/internal/fault"
)

// Extractor keeps the extracting processes and hands them files.
type Extractor struct {
	config Config
	log    *slog.Logger
	slots  chan struct{} // one token for every file under way

	mu     sync.Mutex
	idle   []*process // warm, most recently used last
	dir    string     // the processes' working directory
	closed bool
	reaper *time.Timer
	busy   sync.WaitGroup
}

// New makes an extractor; no process is started before the first file.
func New(config Config, log *slog.Logger) *Extractor {
	return &Extractor{config: config, log: log.With("part", "extract"), slots: make(chan struct{}, max(config.Children, 1))}
}

var errClosed = fault.New(fault.Unavailable, CodeUnavailable, "the extractor is shut down")

// Extract reads the file at path and calls each with its pages in order. name is the document's name (its extension
// counts), declaredType the media type its source told, or "". An error is a *fault.Fault with one of the codes above,
// ctx's error, or what each returned. What was read before a crash or a timeout stays delivered: then the result is
// Partial and the error nil. each is called by the calling goroutine and may keep the page.
func (e *Extractor) Extract(ctx context.Context, path, name, declaredType string, each func(Page) error) (Result, error) {
	return e.extract(ctx, request{Path: path, Name: name, DeclaredType: declaredType}, each)
}

// ExtractRecords is Extract for a collection that says what its records become; nil is a collection that does not. Of any other file
// than JSON, CSV and XLSX it is Extract.
func (e *Extractor) ExtractRecords(ctx context.Context, path, name, declaredType string, records *Records, each func(Page) error) (Result, error) {
	return e.extract(ctx, request{Path: path, Name: name, DeclaredType: declaredType, Records: records}, each)
}

// PreviewRecords is ExtractRecords for a look: what is wrong with records is in the result, and fails nothing.
func (e *Extractor) PreviewRecords(ctx context.Context, path, name string, records *Records, each func(Page) error) (Result, error) {
	return e.extract(ctx, request{Path: path, Name: name, Records: records, Preview: true}, each)
}

func (e *Extractor) extract(ctx context.Context, r request, each func(Page) error) (Result, error) {
	path, err := filepath.Abs(r.Path)
	if err != nil {
		return Result{}, fmt.Errorf("locate %q: %w", r.Name, err)
	}
	r.Path, r.Config, r.CacheDir, r.Tesseract = path, e.config, e.config.CacheDir, e.config.OCR.tesseract()
	// What can be told without a process is told without one.
	src, err := open(r)
	if err != nil {
		return Result{}, err
	}
	src.file.Close()

	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	p, err := e.take()
	if err != nil {
		return Result{}, err
	}
	defer e.busy.Done()
	result, err := e.follow(ctx, p, r, each)
	e.put(p, err == nil)
	return result, err
}

// follow sends the request and delivers what comes back until the file ends, a limit is hit or the process dies.
func (e *Extractor) follow(ctx context.Context, p *process, r request, each func(Page) error) (Result, error) {
	unwatch := p.watch(e.config.MaxMemoryBytes)
	defer unwatch()
	read := progress{request: r}
	if err := p.send(r); err != nil {
		return read.broken(e, p)
	}
	left := e.config.FileTimeout
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		began := time.Now()
		timer.Reset(min(left, e.config.PageTimeout))
		select {
		case <-ctx.Done():
			p.kill()
			return Result{}, ctx.Err()
		case <-timer.C:
			p.kill()
			limit := e.config.PageTimeout
			if left <= limit {
				limit = e.config.FileTimeout
			}
			return read.stopped(fault.New(fault.Timeout, CodeTimeout, "%q took longer than %s %s", r.Name, limit, read.where()).
				Hinted("split the file, or raise extract.page_timeout and extract.file_timeout"))
		case answer, ok := <-p.replies:
			// Only the process's own time counts, not that of the receiver of its pages.
			left -= time.Since(began)
			switch {
			case !ok:
				return read.broken(e, p)
			case answer.Page != nil:
				if err := each(*answer.Page); err != nil {
					p.kill()
					return Result{}, err
				}
				read.add(answer.Page)
			case answer.Done != nil:
				answer.Done.PagesRead = read.pages
				return *answer.Done, nil
			case answer.Fault != nil:
				f := answer.Fault
				return Result{}, &fault.Fault{Kind: fault.Kind(f.Kind), Code: f.Code, Text: f.Text, Hint: f.Hint, Field: f.Field}
			default:
				p.kill()
				return read.broken(e, p)
			}
		}
	}
}

// progress is what has been delivered of a file, for when it is cut short.
type progress struct {
	request
	pages, last, blocks int
}

func (g *progress) add(p *Page) {
	if p.Number > 0 && p.Number != g.last {
		g.last = p.Number
		g.pages++
	}
	g.blocks += len(p.Blocks)
}

// where names the place the process was at.
func (g *progress) where() string {
	switch {
	case g.last > 0:
		return fmt.Sprintf("on page %d", g.last+1)
	case g.blocks > 0:
		return fmt.Sprintf("after its first %d blocks", g.blocks)
	}
	return "before any text was read"
}

// broken says why the process is gone and what that means for the file.
func (g *progress) broken(e *Extractor, p *process) (Result, error) {
	p.kill()
	if p.overweight() {
		return g.stopped(fault.New(fault.TooLarge, CodeMemory, "%q took more than %d bytes of memory %s",
			g.Name, e.config.MaxMemoryBytes, g.where()).Hinted("split the file, or raise extract.max_memory_bytes"))
	}
	e.log.Warn("extracting process died", "document", g.Name, "exit", p.exit(), "stderr", p.stderr.String())
	return g.stopped(fault.New(fault.Internal, CodeCrashed, "reading %q crashed the extracting process %s", g.Name, g.where()).
		Hinted("the file is probably damaged; open it in the program it came from and save it again"))
}

// stopped keeps what was delivered: a fault only when there is nothing.
func (g *progress) stopped(f *fault.Fault) (Result, error) {
	if g.blocks == 0 {
		return Result{}, f
	}
	base := filepath.Base(g.Name)
	return Result{Title: base[:len(base)-len(filepath.Ext(base))], PagesRead: g.pages, Partial: true,
		Warnings: []string{f.Text + "; what was read before is kept"}, Metadata: map[string]string{}}, nil
}

// take returns a warm process or starts one. The caller owes busy.Done.
func (e *Extractor) take() (*process, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	for len(e.idle) > 0 {
		p := e.idle[len(e.idle)-1]
		e.idle = e.idle[:len(e.idle)-1]
		if !p.gone() {
			e.busy.Add(1)
			return p, nil
		}
		p.kill()
	}
	if e.dir == "" {
		dir, err := os.MkdirTemp("", "airfield-extract-")
		if err != nil {
			return nil, unavailable(err)
		}
		e.dir = dir
	}
	p, err := start(e.config.Command, e.dir)
	if err != nil {
		return nil, unavailable(err)
	}
	e.busy.Add(1)
	return p, nil
}

func unavailable(err error) error {
	return fault.New(fault.Unavailable, CodeUnavailable, "no extracting process can be started: %w", err).
		Hinted("the server's log says why; the file is tried again")
}

// put keeps a process warm, unless it died, met a bad file, did its share or has grown large.
func (e *Extractor) put(p *process, good bool) {
	p.files++
	if size, err := resident(p.cmd.Process.Pid); !good || p.files >= e.config.RecycleAfter || err == nil && size > e.config.MaxMemoryBytes/2 {
		p.kill()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || p.gone() {
		p.kill()
		return
	}
	p.since = time.Now()
	e.idle = append(e.idle, p)
	if e.reaper == nil {
		e.reaper = time.AfterFunc(e.config.IdleTimeout, e.reap)
	}
}

// reap ends the processes that have had nothing to do for a while, so that an idle server is small.
func (e *Extractor) reap() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reaper = nil
	var kept []*process
	wait := e.config.IdleTimeout
	for _, p := range e.idle {
		if rest := e.config.IdleTimeout - time.Since(p.since); rest > 0 && !p.gone() {
			kept = append(kept, p)
			wait = min(wait, rest)
			continue
		}
		p.kill()
	}
	if e.idle = kept; len(kept) > 0 && !e.closed {
		e.reaper = time.AfterFunc(wait, e.reap)
	}
}

// Close ends every extracting process and waits for it. Files under way end as they would, so cancel their contexts
// first.
func (e *Extractor) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	if e.reaper != nil {
		e.reaper.Stop()
	}
	for _, p := range e.idle {
		p.kill()
	}
	e.idle = nil
	e.mu.Unlock()
	e.busy.Wait()
	if e.dir == "" {
		return nil
	}
	if err := os.RemoveAll(e.dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove extracting directory: %w", err)
	}
	return nil
}
