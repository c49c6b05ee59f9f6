package cli

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"airfield/internal/fault"
	"airfield/internal/prompt"
)

// promptDiff is how two versions differ, or a file and a version.
type promptDiff struct {
	From      string `json:"from"`
	To        string `json:"to"`
	Different bool   `json:"different"`
	Diff      string `json:"diff,omitempty"`
}

func promptsDiffCommand(env *environment) *cobra.Command {
	var label string
	cmd := &cobra.Command{
		Use: "diff NAME@X NAME@Y | diff FOLDER|FILE…", Short: "Show how two versions differ, or how files differ from what is live", Args: cobra.MinimumNArgs(1),
		Long:    "The exit code is 1 where there is a difference.",
		Example: "  airfield prompts diff support-reply@live support-reply@candidate\n  airfield prompts diff prompts\n  airfield prompts diff prompts --label candidate",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			var all []promptDiff
			var err error
			if _, missing := os.Stat(args[0]); missing == nil || strings.HasSuffix(args[0], prompt.Suffix) {
				all, err = c.diffFiles(ctx, args, label)
			} else {
				all, err = c.diffVersions(ctx, args)
			}
			if err != nil {
				return err
			}
			different := false
			for _, d := range all {
				different = different || d.Different
			}
			err = env.show(all, func() {
				for _, d := range all {
					if !d.Different {
						env.printf("%s is the same as %s\n", printable(d.To), printable(d.From))
					}
					env.diff(d.Diff)
				}
			})
			if err == nil && different {
				err = told{errors.New("there are differences")}
			}
			return err
		}),
	}
	cmd.Flags().StringVar(&label, "label", prompt.Live, "what files are compared with: a label, or latest")
	return cmd
}

func (c *client) diffVersions(ctx context.Context, args []string) ([]promptDiff, error) {
	if len(args) != 2 {
		return nil, usage("say two versions, such as %s@live %s@candidate, or a folder that is there", strings.Split(args[0], "@")[0], strings.Split(args[0], "@")[0])
	}
	var sides [2][]byte
	for i, ref := range args {
		v, err := c.version(ctx, ref)
		if err != nil {
			return nil, err
		}
		if sides[i], err = v.Prompt.YAML(); err != nil {
			return nil, err
		}
	}
	return []promptDiff{compare(args[0], args[1], sides[0], sides[1])}, nil
}

func (c *client) diffFiles(ctx context.Context, args []string, label string) ([]promptDiff, error) {
	files, err := promptFiles(args)
	if err != nil {
		return nil, err
	}
	var all []promptDiff
	for _, f := range files {
		own, err := f.YAML()
		if err != nil {
			return nil, err
		}
		var there []byte
		ref := f.Name + "@" + label
		v, err := c.version(ctx, ref)
		switch {
		case fault.Is(err, fault.NotFound): // all of it is new
		case err != nil:
			return nil, err
		default:
			if there, err = v.Prompt.YAML(); err != nil {
				return nil, err
			}
		}
		all = append(all, compare(ref, f.Path, there, own))
	}
	return all, nil
}

func compare(from, to string, a, b []byte) promptDiff {
	d := string(diff.Diff(from, a, to, b))
	return promptDiff{From: from, To: to, Different: d != "", Diff: d}
}

// diff prints a difference in colours on a terminal.
func (e *environment) diff(d string) {
	if d == "" {
		return
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(d, "\n"), "\n") {
		line = printable(line)
		switch {
		case strings.HasPrefix(line, "diff "):
			continue
		case strings.HasPrefix(line, "+"):
			line = e.colour(text.FgGreen, line)
		case strings.HasPrefix(line, "-"):
			line = e.colour(text.FgRed, line)
		}
		e.printf("%s\n", line)
	}
}
