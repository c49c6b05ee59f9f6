package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"airfield/internal/db"
)

// patience bounds every wait of a script.
const patience = 30 * time.Second

// refuseNot refuses "! command" for commands that have no opposite.
func refuseNot(ts *testscript.TestScript, neg bool, fewest int, args []string, form string) {
	if neg || len(args) < fewest {
		ts.Fatalf("usage: %s", form)
	}
}

// exits runs a program and asks for one exit code: exits 3 airfield ask …
func exits(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 2, args, "exits CODE PROGRAM ARG…")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
	// Whatever went wrong, it is told in words.
	if stderr := ts.ReadFile("stderr"); strings.Contains(stderr, "goroutine ") || strings.Contains(stderr+ts.ReadFile("stdout"), "\x1b[") {
		ts.Fatalf("a stack or colour in the output")
	}
}

// until runs a program again and again until its output matches: until 'ready' airfield …
func until(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 2, args, "until PATTERN PROGRAM ARG…")
	pattern := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		ts.Exec(args[1], args[2:]...) // an error is an answer too
		if pattern.MatchString(ts.ReadFile("stdout") + ts.ReadFile("stderr")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q was not seen within %s", args[0], patience)
		}
	}
}

// take keeps what the last output says as a variable: take KEY 'admin +(\S+)'
func take(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 2, args, "take NAME PATTERN-WITH-ONE-GROUP [FILE]")
	from := "stdout"
	if len(args) > 2 {
		from = args[2]
	}
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile(from))
	if len(m) != 2 {
		ts.Fatalf("%q is not in %s", args[1], from)
	}
	ts.Setenv(args[0], m[1])
}

// isJSON asks that the last output is one JSON value, and prints what a path of keys in it holds.
func isJSON(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 0, args, "json [KEY…]")
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &v); err != nil {
		ts.Fatalf("not JSON: %v", err)
	}
	for _, key := range args {
		switch in := v.(type) {
		case map[string]any:
			v = in[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(in) {
				ts.Fatalf("there is no %s in a list of %d", key, len(in))
			}
			v = in[i]
		default:
			ts.Fatalf("there is no %s in %v", key, v)
		}
	}
	text, err := json.Marshal(v)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n", text)
}

// statement runs SQL on an installation's database: sql data/airfield.db 'UPDATE …'
func statement(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 2, args, "sql FILE|ADDRESS STATEMENT")
	c := db.Default()
	if c.URL = args[0]; !strings.Contains(c.URL, "://") {
		c.URL = "sqlite:" + ts.MkAbs(args[0])
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d, err := db.Open(ctx, c, slog.New(slog.DiscardHandler))
	ts.Check(err)
	defer d.Close()
	n, err := d.Exec(ctx, args[1])
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d rows\n", n)
}

// repeat writes many files: repeat 25 notes/note-%d.md 'Note %d is about cranes.'
func repeat(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 3, args, "repeat N NAME TEXT")
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	for i := range n {
		ts.Check(os.WriteFile(ts.MkAbs(fmt.Sprintf(args[1], i)), []byte(strings.ReplaceAll(args[2], "%d", strconv.Itoa(i))+"\n"), 0o644))
	}
}

// substitute edits a file: substitute airfield.yaml 'clearance: internal' 'clearance: public'
func substitute(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 3, args, "substitute FILE OLD NEW")
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o644))
}

// occupy takes a free port for the rest of the script: occupy PORT
func occupy(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 1, args, "occupy NAME")
	l := listen(ts)
	_, port, err := net.SplitHostPort(l.Addr().String())
	ts.Check(err)
	ts.Setenv(args[0], port)
}

// helps asks that commands explain themselves: helps ask 'keys create'
func helps(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg, 1, args, "helps COMMAND…")
	for _, command := range args {
		words := append(strings.Fields(command), "--help")
		ts.Check(ts.Exec("airfield", words...))
		text := ts.ReadFile("stdout")
		if !strings.Contains(text, "Usage:") || !strings.Contains(text, "airfield "+command) || ts.ReadFile("stderr") != "" || strings.Contains(text, "elsewhere/") {
			ts.Fatalf("airfield %s --help does not explain it, or repeats the environment:\n%s", command, text)
		}
		for line := range strings.Lines(text) {
			if strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") {
				ts.Fatalf("airfield %s --help has spaces at a line's end: %q", command, line)
			}
		}
	}
}
