package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// terminal reports whether w is a terminal a person looks at.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colour paints text on a terminal only, and never where NO_COLOR is set.
func (e *environment) colour(c text.Color, s string) string {
	if os.Getenv("NO_COLOR") != "" || !terminal(e.out) {
		return s
	}
	return text.Colors{c}.Sprint(s)
}

// show prints a value as JSON where --json was given, and otherwise as people prints it.
func (e *environment) show(value any, people func()) error {
	if !e.json {
		people()
		return nil
	}
	enc := json.NewEncoder(e.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(value)
}

// line prints a value as one line of JSON, for streams.
func (e *environment) line(value any) error {
	enc := json.NewEncoder(e.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(value)
}

// printf writes to the command's output.
func (e *environment) printf(format string, args ...any) { fmt.Fprintf(e.out, format, args...) }

// table prints rows under a header, or the sentence where there are none.
func (e *environment) table(header []string, rows [][]any, empty string) {
	if len(rows) == 0 {
		fmt.Fprintln(e.out, empty)
		return
	}
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.Options{SeparateColumns: true}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Box.MiddleVertical = ""
	t.SetStyle(style)
	head := make(table.Row, len(header))
	for i, h := range header {
		head[i] = e.colour(text.Bold, h)
	}
	t.AppendHeader(head)
	for _, row := range rows {
		clean := make(table.Row, len(row))
		for i, cell := range row {
			if s, ok := cell.(string); ok {
				cell = printable(s)
			}
			clean[i] = cell
		}
		t.AppendRow(clean)
	}
	for _, line := range strings.Split(t.Render(), "\n") {
		fmt.Fprintln(e.out, strings.TrimRight(line, " "))
	}
}

// printable takes out what could move a terminal's cursor: names come from files and callers.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return '�'
		}
		return r
	}, s)
}

// progress is a bar on a terminal and silence elsewhere.
func (e *environment) progress(total int, what string) *progressbar.ProgressBar {
	w := e.err
	if !terminal(w) || e.json {
		w = io.Discard
	}
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30), progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

// short cuts a text to n characters.
func short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// ago writes a moment as people say it in a list.
func ago(t time.Time) string {
	switch {
	case t.IsZero():
		return "never"
	case time.Since(t) < 24*time.Hour:
		return t.Local().Format("15:04:05")
	}
	return t.Local().Format("2006-01-02 15:04")
}

// brief writes a duration with three digits that matter.
func brief(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%d µs", d.Microseconds())
}

// size writes bytes in the unit that fits.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
