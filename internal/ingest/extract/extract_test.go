package extract

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/fault"
)

func TestWhatCanBeToldWithoutAProcess(t *testing.T) {
	c := testConfig("crash")
	c.MaxBytes = 10
	e := newExtractor(t, c)
	for name, want := range map[string]struct {
		path string
		code string
	}{
		"a file of zero bytes": {file(t, "a.pdf", nil), CodeEmpty},
		"a file too large":     {file(t, "a.txt", []byte("more than ten bytes")), CodeTooLarge},
		"a missing file":       {filepath.Join(t.TempDir(), "gone"), CodeUnreadable},
		"a folder":             {t.TempDir(), CodeUnreadable},
	} {
		if x := extractFile(t, e, want.path, "a"); x.code() != want.code {
			t.Errorf("%s: got %q (%v)", name, x.code(), x.err)
		}
	}
	if Permanent(extractFile(t, e, filepath.Join(t.TempDir(), "gone"), "a").err) {
		t.Error("a missing file is not worth another try")
	}
}

func TestAProcessThatFailsLosesOnlyWhatItHadNotDelivered(t *testing.T) {
	for _, c := range []struct {
		mode, code string
		permanent  bool
		change     func(*Config)
	}{
		{"hang", CodeTimeout, false, func(c *Config) { c.PageTimeout = 300 * time.Millisecond }},
		{"hang", CodeTimeout, false, func(c *Config) { c.FileTimeout = 300 * time.Millisecond }},
		{"crash", CodeCrashed, false, func(*Config) {}},
		{"babble", CodeCrashed, false, func(*Config) {}},
		{"empty-reply", CodeCrashed, false, func(*Config) {}},
		{"hog", CodeMemory, true, func(c *Config) { c.MaxMemoryBytes = 128 << 20 }},
	} {
		t.Run(c.mode, func(t *testing.T) {
			config := testConfig(c.mode)
			c.change(&config)
			path := file(t, "a.txt", []byte("x"))
			x := extractFile(t, newExtractor(t, config), path, "dir/a.txt")
			if x.code() != c.code || Permanent(x.err) != c.permanent || fault.As(x.err).Hint == "" || !strings.Contains(x.err.Error(), "before any text was read") {
				t.Errorf("got %q: %v", x.code(), x.err)
			}
			config.Command[1] = childMode + "page-" + c.mode
			x = extractFile(t, newExtractor(t, config), path, "dir/a.txt")
			if x.err != nil || !x.Partial || x.PagesRead != 1 || x.text() != "before" || len(x.Warnings) != 1 || !strings.Contains(x.Warnings[0], "page 2") || x.Title != "a" {
				t.Errorf("after a page: %v, %+v", x.err, x.Result)
			}
		})
	}
}

func TestAHostileFileEndsOnlyItsOwnProcess(t *testing.T) {
	c := testConfig("serve")
	c.Children = 3
	e := newExtractor(t, c)
	good := file(t, "a.txt", []byte("good text"))
	bad := file(t, "b.docx", []byte("PK\x03\x04 broken"))
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			path, want := good, ""
			if i%3 == 0 {
				path, want = bad, CodeDamaged
			}
			if x := extractFile(t, e, path, filepath.Base(path)); x.code() != want {
				t.Errorf("file %d: %v", i, x.err)
			}
		})
	}
	all.Wait()
}

func TestAProcessIsKeptWarmAndRecycled(t *testing.T) {
	c := testConfig("serve")
	c.RecycleAfter = 2
	e := newExtractor(t, c)
	path := file(t, "a.txt", []byte("text"))
	var pids []int
	for range 4 {
		if x := extractFile(t, e, path, "a.txt"); x.err != nil {
			t.Fatal(x.err)
		}
		if len(e.idle) == 1 {
			pids = append(pids, e.idle[0].cmd.Process.Pid)
		} else {
			pids = append(pids, 0)
		}
	}
	if pids[0] == 0 || pids[1] != 0 || pids[2] == 0 || pids[2] == pids[0] || pids[3] != 0 {
		t.Errorf("processes after each file: %v", pids)
	}
}

func TestAnIdleProcessIsEnded(t *testing.T) {
	c := testConfig("serve")
	c.IdleTimeout = 50 * time.Millisecond
	e := newExtractor(t, c)
	if x := extractFile(t, e, file(t, "a.txt", []byte("text")), "a.txt"); x.err != nil {
		t.Fatal(x.err)
	}
	waitFor(t, func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.idle) == 0 })
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 5 s")
		}
	}
}

func TestCloseReapsEveryProcessAndRemovesItsDirectory(t *testing.T) {
	e := newExtractor(t, testConfig("serve"))
	path := file(t, "a.txt", []byte("text"))
	if x := extractFile(t, e, path, "a.txt"); x.err != nil {
		t.Fatal(x.err)
	}
	p, dir := e.idle[0], e.dir
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if !p.gone() || p.cmd.ProcessState == nil {
		t.Error("the process was not waited for")
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	if x := extractFile(t, e, path, "a.txt"); x.code() != CodeUnavailable {
		t.Errorf("a closed extractor: %v", x.err)
	}
}

func TestACancelledFileIsStoppedAtOnce(t *testing.T) {
	e := newExtractor(t, testConfig("hang"))
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel)
	start := time.Now()
	_, err := e.Extract(ctx, file(t, "a.txt", []byte("x")), "a.txt", "", func(Page) error { return nil })
	if !errors.Is(err, context.Canceled) || time.Since(start) > 2*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}

func TestAReceiversErrorIsReturnedAndEndsTheFile(t *testing.T) {
	e := newExtractor(t, testConfig("serve"))
	full := errors.New("the disk is full")
	calls := 0
	_, err := e.Extract(context.Background(), file(t, "a.pdf", writePDF(numberedPages(20))), "a.pdf", "", func(Page) error { calls++; return full })
	if !errors.Is(err, full) || calls != 1 || len(e.idle) != 0 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestASlowReceiverIsNotTheFilesFault(t *testing.T) {
	c := testConfig("serve")
	c.PageTimeout, c.FileTimeout = 2*time.Second, 2*time.Second
	e := newExtractor(t, c)
	n := 0
	_, err := e.Extract(context.Background(), file(t, "a.pdf", writePDF(numberedPages(3))), "a.pdf", "", func(Page) error {
		if n++; n == 1 {
			time.Sleep(2500 * time.Millisecond)
		}
		return nil
	})
	if err != nil || n != 3 {
		t.Errorf("%v after %d pages", err, n)
	}
}

func TestTheProcessSeesNoSecretsAndWorksInItsOwnDirectory(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-secret")
	e := newExtractor(t, testConfig("environment"))
	x := extractFile(t, e, file(t, "a.txt", []byte("x")), "a.txt")
	if x.err != nil || strings.Contains(x.text(), "sk-secret") || strings.Contains(x.text(), "HOME=") {
		t.Fatalf("%v: %s", x.err, x.text())
	}
	if !strings.Contains(x.text(), `"cwd=`) || !strings.Contains(x.text(), "airfield-extract-") {
		t.Errorf("its directory is in %s", x.text())
	}
}

func TestAProcessWhoseParentIsGoneEnds(t *testing.T) {
	dir := t.TempDir()
	p, err := start([]string{os.Args[0], childMode + "serve"}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.stdin.Close(); err != nil { // what the kernel does when the parent dies
		t.Fatal(err)
	}
	waitFor(t, p.gone)
}

func TestACommandThatIsNotThere(t *testing.T) {
	c := testConfig("serve")
	c.Command = []string{filepath.Join(t.TempDir(), "nothing")}
	if x := extractFile(t, newExtractor(t, c), file(t, "a.txt", []byte("x")), "a.txt"); x.code() != CodeUnavailable || Permanent(x.err) {
		t.Errorf("got %v", x.err)
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, mode := range []string{"serve", "crash", "page-crash"} {
		e := New(testConfig(mode), newExtractor(t, testConfig(mode)).log)
		extractFile(t, e, file(t, "a.txt", []byte("x")), "a.txt")
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return runtime.NumGoroutine() <= before+1 })
}

func TestCheck(t *testing.T) {
	if warnings, err := Default().Check(); err != nil || len(warnings) != 0 {
		t.Fatalf("the default: %v, %v", warnings, err)
	}
	for name, change := range map[string]func(*Config){
		"no children":                     func(c *Config) { c.Children = 0 },
		"a page longer than its file":     func(c *Config) { c.PageTimeout = time.Hour },
		"a negative limit":                func(c *Config) { c.MaxBytes = -1 },
		"a file that may not hold a page": func(c *Config) { c.MaxPages = 0 },
	} {
		c := Default()
		change(&c)
		if _, err := c.Check(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	c := Default()
	c.MaxMemoryBytes = 64 << 20
	if warnings, _ := c.Check(); len(warnings) != 2 {
		t.Errorf("little memory: %q", warnings)
	}
}

func TestPermanent(t *testing.T) {
	for code, want := range map[string]bool{CodeEncrypted: true, CodeZipBomb: true, CodeTimeout: false, CodeCrashed: false, CodeUnavailable: false} {
		if got := Permanent(fmt.Errorf("step: %w", fault.New(fault.Invalid, code, "x"))); got != want {
			t.Errorf("%s: %v", code, got)
		}
	}
	if Permanent(errors.New("x")) || Permanent(nil) {
		t.Error("an unknown error is not permanent")
	}
}
