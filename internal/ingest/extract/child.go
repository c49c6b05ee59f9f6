package extract

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"airfield/internal/fault"
)

// Child is the extracting process: it serves requests from stdin until that ends, which is also how it learns that its
// parent died, even in the middle of a file. The command line's hidden extract-child command calls it and then exits.
func Child(stdin io.Reader, stdout io.Writer) error {
	requests := make(chan request)
	ended := make(chan error, 2)
	go func() {
		for {
			var r request
			if err := readFrame(stdin, &r); err != nil {
				ended <- err
				return
			}
			requests <- r
		}
	}()
	go func() {
		c := &child{out: stdout}
		defer c.close()
		for r := range requests {
			if err := c.serve(r); err != nil {
				ended <- err
				return
			}
		}
	}()
	if err := <-ended; err != nil && err != io.EOF {
		return err
	}
	return nil
}

// child holds what stays warm from file to file.
type child struct {
	out     io.Writer
	engine  *engine // the PDF engine, started by the first PDF
	bounded bool

	records     *recordMaker // of the last file with records
	recordRules string
}

// close ends the PDF engine. It is also how one is thrown away that a file may have broken: the next PDF starts another.
func (c *child) close() {
	if c.engine != nil {
		c.engine.close()
		c.engine = nil
	}
}

// serve answers one request; an error means that the parent is gone.
func (c *child) serve(r request) error {
	if !c.bounded {
		c.bounded = true
		debug.SetMemoryLimit(r.Config.MaxMemoryBytes * 3 / 4)
		limitMemory(r.Config.MaxMemoryBytes)
	}
	s := newSink(c.out, r)
	result, err := c.read(r, s)
	switch {
	case s.lost != nil:
		return s.lost
	case err == nil:
		return writeFrame(c.out, reply{Done: &result})
	}
	f := fault.As(err)
	if f.Kind == fault.Internal {
		fmt.Fprintf(os.Stderr, "extract %q: %v\n", r.Name, err)
	}
	return writeFrame(c.out, reply{Fault: &failed{Kind: string(f.Kind), Code: f.Code, Text: f.Text, Hint: f.Hint, Field: f.Field}})
}

// read finds the format and reads the file. A panic of a reader is a damaged file: what was delivered stays delivered.
func (c *child) read(r request, s *sink) (result Result, err error) {
	src, err := open(r)
	if err != nil {
		return Result{}, err
	}
	defer src.file.Close()
	format, mediaType, err := detect(src)
	if err != nil {
		return Result{}, err
	}
	err = c.readFormat(format, src, s)
	var f *fault.Fault
	switch {
	case errors.Is(err, errFull):
		s.partial("the text after the first %d bytes was left out", r.Config.MaxTextBytes)
		err = nil
	case errors.As(err, &f) && s.delivered() && !s.whole:
		s.partial("%s; what was read before is kept", f.Text)
		err = nil
	}
	if err == nil {
		err = s.flush()
	}
	if err != nil {
		return Result{}, err
	}
	if !s.delivered() && !r.Preview {
		if s.res.Partial {
			return Result{}, damaged(src, "%s", s.res.Warnings[0])
		}
		return Result{}, fault.New(fault.Invalid, CodeEmpty, "%q holds no text", r.Name).
			Hinted("remove it, or send a version with text")
	}
	return s.result(mediaType), nil
}

func (c *child) readFormat(format string, src *source, s *sink) (err error) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "extract %q: panic: %v\n%s", src.Name, p, debug.Stack())
			c.close()
			err = damaged(src, "reading it failed in a way that only damaged files do")
		}
	}()
	if src.Records != nil && s.into == nil {
		switch format {
		case formatCSV, formatTSV, formatJSON, formatJSONL, formatXLSX:
			return c.readRecords(format, src, s)
		}
	}
	switch format {
	case formatPDF:
		return c.readPDF(src, s)
	case formatDOCX:
		return readDOCX(src, s)
	case formatPPTX:
		return readPPTX(src, s)
	case formatXLSX:
		return readXLSX(src, s, nil)
	case formatPNG, formatJPEG, formatTIFF:
		return readImage(src, s)
	case formatEML:
		return c.readEML(src, s)
	case formatHTML:
		return readHTML(src, s)
	}
	text, err := src.text()
	if err != nil {
		return err
	}
	switch format {
	case formatMarkdown:
		return readMarkdown(text, s)
	case formatCSV, formatTSV:
		return readCSV(text, format == formatTSV, s)
	case formatJSON:
		return readJSON(text, src, s)
	case formatJSONL:
		return readJSONL(text, src, s)
	}
	return readText(text, s)
}

func damaged(src *source, format string, args ...any) *fault.Fault {
	return fault.New(fault.Invalid, CodeDamaged, "%q is damaged: %s", src.Name, fmt.Sprintf(format, args...)).
		Hinted("open the file in the program it came from and save it again")
}
