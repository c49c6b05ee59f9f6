package extract

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"airfield/internal/fault"
)

// childMode is the argument that turns the test binary into an extracting process.
const childMode = "-extract-child="

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], childMode) {
		os.Exit(runChild(strings.TrimPrefix(os.Args[1], childMode)))
	}
	os.Exit(m.Run())
}

// cacheDir is shared by the tests and kept between runs, so that the PDF engine is compiled once.
var cacheDir = filepath.Join(os.TempDir(), "airfield-pdf-engine")

// runChild is Child, or a process that fails in the way its mode names once it has a request. Modes that begin with
// "page-" deliver a page first.
func runChild(mode string) int {
	if mode == "serve" {
		if err := Child(os.Stdin, os.Stdout); err != nil {
			return 1
		}
		return 0
	}
	var r request
	if err := readFrame(os.Stdin, &r); err != nil {
		return 1
	}
	mode, paged := strings.CutPrefix(mode, "page-")
	if !paged {
		mode = strings.TrimPrefix(mode, "page-")
	} else {
		_ = writeFrame(os.Stdout, reply{Page: &Page{Number: 1, Blocks: []Block{{Kind: KindText, Text: "before", Page: 1}}}})
	}
	switch mode {
	case "hang":
		time.Sleep(time.Hour)
	case "crash":
		os.Stderr.WriteString("panic: something broke\n")
		return 2
	case "hog":
		var held [][]byte
		for {
			held = append(held, bytes.Repeat([]byte{1}, 8<<20))
			time.Sleep(2 * time.Millisecond)
			runtime.KeepAlive(held)
		}
	case "babble":
		os.Stdout.Write(bytes.Repeat([]byte{0xff}, 64))
		time.Sleep(time.Hour)
	case "empty-reply":
		_ = writeFrame(os.Stdout, reply{})
		time.Sleep(time.Hour)
	case "environment":
		dir, _ := os.Getwd()
		text, _ := json.Marshal(append(os.Environ(), "cwd="+dir))
		_ = writeFrame(os.Stdout, reply{Page: &Page{Blocks: []Block{{Kind: KindText, Text: string(text)}}}})
		_ = writeFrame(os.Stdout, reply{Done: &Result{}})
		time.Sleep(time.Hour)
	}
	return 0
}

func testConfig(mode string) Config {
	c := Default()
	c.Command = []string{os.Args[0], childMode + mode}
	c.CacheDir = cacheDir
	return c
}

func newExtractor(t testing.TB, c Config) *Extractor {
	t.Helper()
	e := New(c, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// file writes content under name and returns its path.
func file(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// extracted is everything one extraction brought.
type extracted struct {
	Result
	pages  []Page
	blocks []Block
	err    error
}

func (x extracted) text() string {
	var parts []string
	for _, b := range x.blocks {
		parts = append(parts, b.Text)
	}
	return strings.Join(parts, "\n")
}

func (x extracted) code() string {
	if x.err == nil {
		return ""
	}
	return fault.As(x.err).Code
}

// inProcess runs the readers without a process, which is what fuzzing and most cases need.
func inProcess(t testing.TB, c Config, name, declared string, content []byte, change ...func(*request)) extracted {
	t.Helper()
	var pipe bytes.Buffer
	r := request{Path: file(t, "input", content), Name: name, DeclaredType: declared, Config: c, CacheDir: cacheDir}
	if filepath.IsAbs(c.OCR.Command) { // else the tests would depend on what the machine has
		r.Tesseract = c.OCR.Command
	}
	for _, fn := range change {
		fn(&r)
	}
	ch := &child{out: &pipe, bounded: true, engine: sharedEngine}
	defer func() { sharedEngine = ch.engine }()
	if err := ch.serve(r); err != nil {
		t.Fatal(err)
	}
	var x extracted
	for {
		var answer reply
		if err := readFrame(&pipe, &answer); err != nil {
			t.Fatalf("the child ended without an answer: %v", err)
		}
		switch {
		case answer.Page != nil:
			x.pages = append(x.pages, *answer.Page)
			x.blocks = append(x.blocks, answer.Page.Blocks...)
		case answer.Done != nil:
			x.Result = *answer.Done
			return x
		case answer.Fault != nil:
			f := answer.Fault
			x.err = &fault.Fault{Kind: fault.Kind(f.Kind), Code: f.Code, Text: f.Text, Hint: f.Hint, Field: f.Field}
			return x
		}
	}
}

// sharedEngine is the PDF engine of all in-process tests, which run one after the other.
var sharedEngine *engine

func extractFile(t testing.TB, e *Extractor, path, name string) extracted {
	t.Helper()
	var x extracted
	x.Result, x.err = e.Extract(context.Background(), path, name, "", func(p Page) error {
		x.pages = append(x.pages, p)
		x.blocks = append(x.blocks, p.Blocks...)
		return nil
	})
	return x
}
