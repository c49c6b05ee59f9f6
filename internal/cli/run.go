// Package cli is the command line, one file per command. Commands that touch a running server speak to its API; the
// others (init, check, config, serve, restore) work on the files of this machine.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/config"
	"airfield/internal/fault"
)

// Exit codes, for scripts. They are part of the interface.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitDenied      = 4
	exitUnavailable = 5
)

// environment is what a command has around it.
type environment struct {
	in       io.Reader
	out, err io.Writer
	json     bool
	config   string
	url      string
}

// usageError is a mistake in how a command was called.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// told is an error that the command's output has told already; only the exit code is left to say.
type told struct{ error }

func (t told) Unwrap() error { return t.error }

// notNegative refuses durations that would otherwise mean nothing.
func notNegative(flag string, d time.Duration) error {
	if d < 0 {
		return usage("--%s must not be negative: %s", flag, d)
	}
	return nil
}

// Run carries out one command line and returns the process's exit code.
func Run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	env := &environment{in: in, out: out, err: errs}
	root := newRoot(env)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var silent told
	if !errors.As(err, &silent) {
		env.fail(err)
	}
	return exitCode(err)
}

func exitCode(err error) int {
	var misuse usageError
	var problems config.Problems
	switch {
	case errors.As(err, &misuse), errors.As(err, &problems):
		return exitUsage
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.TooLarge:
		return exitUsage
	case fault.NotFound:
		return exitNotFound
	case fault.Denied, fault.Unauthenticated:
		return exitDenied
	case fault.Unavailable, fault.TooSlow, fault.Timeout, fault.Upstream, fault.Limited:
		return exitUnavailable
	}
	return exitFailed
}

// fail says what went wrong in one sentence, and what to do in another.
func (e *environment) fail(err error) {
	var f *fault.Fault
	if errors.As(err, &f) {
		text := f.Text
		if field := strings.TrimPrefix(f.Field, "/"); field != "" && !strings.Contains(text, field) {
			text = field + ": " + text
		}
		if f.Err != nil && f.Kind != fault.Unauthenticated {
			text += ": " + reason(f.Err, text)
		}
		fmt.Fprintln(e.err, "airfield:", strings.ReplaceAll(text, "\n", "\n  "))
		if f.Hint != "" {
			fmt.Fprintln(e.err, "  →", f.Hint)
		}
		return
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	fmt.Fprintln(e.err, "airfield:", strings.ReplaceAll(err.Error(), "\n", "\n  "))
}

// reason is a cause without the path that the text before it has said.
func reason(err error, said string) string {
	if path := (*fs.PathError)(nil); errors.As(err, &path) && err == error(path) && strings.Contains(said, path.Path) {
		return path.Err.Error()
	}
	return err.Error()
}

func newRoot(env *environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "airfield",
		Short: "The production infrastructure under AI pilots, as one binary",
		Long: `Airfield is the production infrastructure under AI pilots: a model gateway, a document pipeline,
traces and costs, in one binary.

  airfield init my-pilot                              write a configuration and two keys
  airfield serve --config my-pilot/airfield.yaml      start
  airfield ask "How long may a container wait?"       a cited answer

Exit codes: 0 done · 1 failed · 2 called wrongly or bad input · 3 not found · 4 not allowed · 5 not available, try again.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w\n%s", err, "see: "+cmd.CommandPath()+" --help")
	})
	flags := root.PersistentFlags()
	flags.BoolVar(&env.json, "json", false, "print JSON instead of text")
	flags.StringVar(&env.config, "config", "", "path of airfield.yaml (default: AIRFIELD_CONFIG, or ./airfield.yaml)")
	flags.StringVar(&env.url, "url", "", "address of the server (default: AIRFIELD_URL, or what airfield.yaml says)")
	for _, add := range commands {
		root.AddCommand(add(env))
	}
	root.InitDefaultCompletionCmd()
	strict(root)
	return root
}

// strict makes every command refuse what it does not take as a mistake in the call, and a command that only has others
// below it show them.
func strict(cmd *cobra.Command) {
	takes := cmd.Args
	if cmd.HasSubCommands() && cmd.RunE == nil {
		takes, cmd.RunE = cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if takes == nil {
			return nil
		}
		err := takes(cmd, args)
		switch {
		case err == nil:
			return nil
		case !cmd.HasSubCommands(), len(args) == 0:
			return usage("%w\nusage: %s\nsee: %s --help", err, cmd.UseLine(), cmd.CommandPath())
		}
		cmd.SuggestionsMinimumDistance = 2
		text := fmt.Sprintf("there is no command %q", cmd.CommandPath()+" "+args[0])
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			text += fmt.Sprintf("; did you mean %q?", cmd.CommandPath()+" "+near[0])
		}
		return usage("%s\nsee: %s --help", text, cmd.CommandPath())
	}
	for _, below := range cmd.Commands() {
		strict(below)
	}
}
