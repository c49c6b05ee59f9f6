package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
	"airfield/internal/fault"
	"airfield/internal/prompt"
)

func promptsCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "prompts", Short: "Push prompts, and say which version is in force", Long: `A prompt is a file NAME.prompt.yaml. Pushing it makes a numbered version, unless its content is there already. Labels say which
version calls get: live is the one that they get where they name none.`,
		Example: "  airfield prompts push prompts --label candidate\n  airfield prompts rollout support-reply live 3=90 4=10\n  airfield prompts rollback support-reply"}
	cmd.AddCommand(promptsListCommand(env), promptsShowCommand(env), promptsPushCommand(env), promptsPullCommand(env), promptsDiffCommand(env), promptsRenderCommand(env),
		promptsLabelCommand(env), promptsRolloutCommand(env), promptsRollbackCommand(env), promptsHistoryCommand(env), promptsReplayCommand(env))
	return cmd
}

// promptPath is where a prompt is in the API.
func promptPath(name string, more ...string) string {
	path := "/api/prompts/" + url.PathEscape(name)
	for _, m := range more {
		path += "/" + url.PathEscape(m)
	}
	return path
}

// version fetches NAME@X; without @X the newest.
func (c *client) version(ctx context.Context, ref string) (prompt.PromptVersion, error) {
	name, which, _ := strings.Cut(ref, "@")
	return get[prompt.PromptVersion](ctx, c, promptPath(name, "versions", cmp.Or(which, "latest")))
}

func promptsListCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List prompts with their newest version and their labels", Args: cobra.NoArgs,
		RunE: env.connected(func(ctx context.Context, c *client, _ []string) error {
			list, err := get[[]prompt.PromptSummary](ctx, c, "/api/prompts")
			if err != nil {
				return err
			}
			return env.show(list, func() {
				var rows [][]any
				for _, p := range list {
					rows = append(rows, []any{p.Name, p.Latest, labelText(p.Labels), ago(p.UpdatedAt), p.Author, short(p.Note, 60)})
				}
				env.table([]string{"PROMPT", "NEWEST", "LABELS", "PUSHED", "BY", "NOTE"}, rows, "there are no prompts: airfield prompts push makes one of a file")
			})
		}),
	}
}

func labelText(labels map[string]prompt.Target) string {
	var all []string
	for _, name := range sortedKeys(labels) {
		t := labels[name]
		text := fmt.Sprintf("%s=%d", name, t.Version)
		if t.Other != 0 {
			text = fmt.Sprintf("%s=%d (%d %%) and %d (%d %%)", name, t.Version, 100-t.Percent, t.Other, t.Percent)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func promptsShowCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME[@X]", Short: "Show a version: a number, a label, or the newest", Args: cobra.ExactArgs(1),
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			v, err := c.version(ctx, args[0])
			if err != nil {
				return err
			}
			text, err := v.Prompt.YAML()
			if err != nil {
				return err
			}
			return env.show(v, func() {
				env.printf("# %s@%d, pushed by %s at %s\n", printable(v.Name), v.Version, printable(v.Author), v.CreatedAt.Local().Format("2006-01-02 15:04:05"))
				if v.Note != "" {
					env.printf("# %s\n", printable(v.Note))
				}
				env.lines(string(text))
			})
		}),
	}
}

// lines prints a text of several lines.
func (e *environment) lines(text string) {
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		e.printf("%s\n", printable(line))
	}
}

func promptsPushCommand(env *environment) *cobra.Command {
	var p prompt.Push
	cmd := &cobra.Command{
		Use: "push FOLDER|FILE…", Short: "Make versions of files; what is there already makes none", Args: cobra.MinimumNArgs(1),
		Long:    "Every file is checked before the first one is pushed. A prompt of which somebody else pushes a version in the meantime is refused.",
		Example: "  airfield prompts push prompts --dry-run\n  airfield prompts push prompts --label candidate --note \"shorter answers\"\n  airfield prompts push prompts/support-reply.prompt.yaml --label live",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			files, err := promptFiles(args)
			if err != nil {
				return err
			}
			list, err := get[[]prompt.PromptSummary](ctx, c, "/api/prompts")
			if err != nil {
				return err
			}
			latest := map[string]int{}
			for _, s := range list {
				latest[s.Name] = s.Latest
			}
			dry := p.DryRun
			var all []prompt.Pushed
			for _, only := range []bool{true, false} { // first nothing is changed: what is wrong with one file keeps all from being pushed
				if all = nil; dry && !only {
					break
				}
				for _, f := range files {
					one, n := p, latest[f.Name]
					one.Prompt, one.Note, one.DryRun, one.IfLatest = f.Prompt, cmp.Or(p.Note, f.Note), only, &n
					done, err := post[prompt.Pushed](ctx, c, promptPath(f.Name, "versions"), one)
					if err != nil {
						return fmt.Errorf("%s: %w", f.Path, err)
					}
					all = append(all, done)
				}
				if dry {
					break
				}
			}
			return env.show(all, func() { env.pushed(all) })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&p.Label, "label", "", "move this label to what is pushed, in the same step")
	f.StringVar(&p.Note, "note", "", "what changed, and why (default: note in the file)")
	f.StringVar(&p.Reason, "reason", "", "why the label is moved")
	f.BoolVar(&p.DryRun, "dry-run", false, "say what would be made and moved, and change nothing")
	return cmd
}

func promptFiles(args []string) ([]prompt.File, error) {
	var all []prompt.File
	for _, arg := range args {
		if info, err := os.Stat(arg); err == nil && info.IsDir() {
			files, err := prompt.ReadFolder(arg)
			if err != nil {
				return nil, err
			}
			all = append(all, files...)
			continue
		}
		f, err := prompt.ReadFile(arg)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func (e *environment) pushed(all []prompt.Pushed) {
	for _, p := range all {
		what := "is there already"
		switch {
		case p.Created && p.DryRun:
			what = "would be new"
		case p.Created:
			what = "is new"
		}
		e.printf("%s@%d %s", printable(p.Name), p.PromptVersion.Version, what)
		if m := p.Moved; m != nil {
			verb := "moved"
			if p.DryRun {
				verb = "would move"
			}
			e.printf(", %s %s from %s", m.Label, verb, m.From)
		}
		e.printf("\n")
	}
}

func promptsPullCommand(env *environment) *cobra.Command {
	var label string
	cmd := &cobra.Command{
		Use: "pull [FOLDER]", Short: "Write prompts as files, into this folder or another", Args: cobra.MaximumNArgs(1),
		Example: "  airfield prompts pull prompts\n  airfield prompts pull prompts --label live",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			list, err := get[[]prompt.PromptSummary](ctx, c, "/api/prompts")
			if err != nil {
				return err
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fault.New(fault.Invalid, "folder", "the folder cannot be made: %w", err)
			}
			type wrote struct {
				File    string `json:"file"`
				Version int    `json:"version"`
				Changed bool   `json:"changed"`
			}
			all := []wrote{}
			for _, s := range list {
				if _, is := s.Labels[label]; !is && label != "latest" {
					continue
				}
				v, err := c.version(ctx, s.Name+"@"+label)
				if err == nil {
					err = prompt.CheckName(v.Name) // it becomes a path
				}
				if err != nil {
					return err
				}
				text, err := v.Prompt.YAML()
				if err != nil {
					return err
				}
				path := filepath.Join(dir, v.Name+prompt.Suffix)
				changed := true
				if old, err := prompt.ReadFile(path); err == nil {
					had, err := old.YAML()
					changed = err != nil || string(had) != string(text) // what says the same is left as people wrote it
				}
				if changed {
					if err := os.WriteFile(path, text, 0o644); err != nil {
						return fault.New(fault.Invalid, "file", "the file cannot be written: %w", err)
					}
				}
				all = append(all, wrote{path, v.Version, changed})
			}
			return env.show(all, func() {
				for _, w := range all {
					what := "unchanged"
					if w.Changed {
						what = "written"
					}
					env.printf("%s %s, version %d\n", w.File, what, w.Version)
				}
				if len(all) == 0 {
					env.printf("there are no prompts\n")
				}
			})
		}),
	}
	cmd.Flags().StringVar(&label, "label", "latest", "which version: a label, or latest")
	return cmd
}

func promptsRenderCommand(env *environment) *cobra.Command {
	var vars []string
	var file string
	cmd := &cobra.Command{
		Use: "render NAME[@X]|FILE", Short: "Fill a version, or a file, with variables and show it; nothing is sent", Args: cobra.ExactArgs(1),
		Example: "  airfield prompts render support-reply@candidate --var name=Ada --var vip=true\n  airfield prompts render prompts/support-reply.prompt.yaml --vars variables.json",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			in := admin.RenderPrompt{}
			name, which, _ := strings.Cut(args[0], "@")
			var p *prompt.Prompt
			if strings.HasSuffix(args[0], prompt.Suffix) {
				f, err := prompt.ReadFile(args[0])
				if err != nil {
					return err
				}
				name, p, in.Prompt = f.Name, &f.Prompt, &f.Prompt
			} else {
				v, err := c.version(ctx, name+"@"+cmp.Or(which, prompt.Live))
				if err != nil {
					return err
				}
				p, in.Version = v.Prompt, v.Version
			}
			var err error
			if in.Variables, err = readVariables(p, vars, file); err != nil {
				return err
			}
			made, err := post[prompt.Rendered](ctx, c, promptPath(name, "render"), in)
			if err != nil {
				return err
			}
			return env.show(made, func() {
				for i, m := range made.Messages {
					if i > 0 {
						env.printf("\n")
					}
					env.printf("[%s]\n", m.Role)
					env.lines(m.Content)
				}
			})
		}),
	}
	cmd.Flags().StringArrayVar(&vars, "var", nil, "a variable, as name=value; for what is not a string the value is JSON")
	cmd.Flags().StringVar(&file, "vars", "", "a file with variables as a JSON object")
	return cmd
}

// readVariables joins those of a file with those of the command line.
func readVariables(p *prompt.Prompt, vars []string, file string) (json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fault.New(fault.Invalid, "file", "the file cannot be read: %w", err)
		}
		if err := json.Unmarshal(text, &all); err != nil {
			return nil, fault.New(fault.Invalid, "variables_invalid", "%s is not a JSON object: %w", file, err)
		}
	}
	for _, v := range vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return nil, usage("--var is written name=value, not %q", v)
		}
		if declared, is := p.Variables[name]; is && declared.Type != prompt.String && json.Valid([]byte(value)) {
			all[name] = json.RawMessage(value)
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		all[name] = text
	}
	return json.Marshal(all)
}

func promptsLabelCommand(env *environment) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "label NAME LABEL VERSION", Short: "Have a label stand for a version, in every process within a second", Args: cobra.ExactArgs(3),
		Example: "  airfield prompts label support-reply live 4 --reason \"approved by legal\"",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			n, err := strconv.Atoi(args[2])
			if err != nil {
				return usage("VERSION is a number, not %q", args[2])
			}
			return env.setLabel(ctx, c, args[0], args[1], prompt.Target{Version: n}, reason)
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is kept in the history and the audit log")
	return cmd
}

func promptsRolloutCommand(env *environment) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "rollout NAME LABEL VERSION=PERCENT VERSION=PERCENT", Short: "Share the calls of a label between two versions", Args: cobra.RangeArgs(3, 4),
		Long:    "A session, or else a user, gets the same version as long as the shares stay, and keeps the newer one as its share grows.\nWithout either, chance decides for each call.",
		Example: "  airfield prompts rollout support-reply live 3=90 4=10\n  airfield prompts rollout support-reply live 4=100",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			var to prompt.Target
			sum := 0
			for i, share := range args[2:] {
				v, p, ok := strings.Cut(share, "=")
				version, err := strconv.Atoi(v)
				percent, wrong := strconv.Atoi(strings.TrimSuffix(p, "%"))
				if !ok || err != nil || wrong != nil || percent < 0 {
					return usage("a share is written VERSION=PERCENT, such as 4=10, not %q", share)
				}
				if sum += percent; i == 0 {
					to.Version = version
				} else {
					to.Other, to.Percent = version, percent
				}
			}
			if sum != 100 {
				return usage("the shares come to %d percent, not 100", sum)
			}
			return env.setLabel(ctx, c, args[0], args[1], to, reason)
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is kept in the history and the audit log")
	return cmd
}

func (e *environment) setLabel(ctx context.Context, c *client, name, label string, to prompt.Target, reason string) error {
	done, err := post[admin.Moved](ctx, c, promptPath(name, "labels", label), admin.NewTarget{Target: to, Reason: reason})
	if err != nil {
		return err
	}
	return e.show(done, func() { e.moved(done) })
}

func (e *environment) moved(m admin.Moved) {
	if m.Move == nil {
		e.printf("%s of %s is %s already\n", m.Label, printable(m.Name), m.To)
		return
	}
	e.printf("%s of %s is now %s; it was %s\n", m.Label, printable(m.Name), m.To, m.Move.From)
}

func promptsRollbackCommand(env *environment) *cobra.Command {
	var label, reason string
	cmd := &cobra.Command{
		Use: "rollback NAME", Short: "Go back to the version that a label had before, in every process within a second", Args: cobra.ExactArgs(1),
		Long:    "During a rollout it ends it: all calls get the version that they got before. Going back twice goes back two versions.",
		Example: "  airfield prompts rollback support-reply\n  airfield prompts rollback support-reply --label candidate --reason \"invents discounts\"",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			done, err := post[admin.Moved](ctx, c, promptPath(args[0], "labels", label, "rollback"), map[string]string{"reason": reason})
			if err != nil {
				return err
			}
			return env.show(done, func() { env.moved(done) })
		}),
	}
	cmd.Flags().StringVar(&label, "label", prompt.Live, "which label")
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is kept in the history and the audit log")
	return cmd
}

func promptsHistoryCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "history NAME", Short: "Show the versions of a prompt and the moves of its labels, newest first", Args: cobra.ExactArgs(1),
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			h, err := get[prompt.PromptHistory](ctx, c, promptPath(args[0], "history"))
			if err != nil {
				return err
			}
			return env.show(h, func() {
				var rows [][]any
				for _, v := range h.Versions {
					rows = append(rows, []any{v.Version, ago(v.CreatedAt), v.Author, v.Hash[:min(12, len(v.Hash))], short(v.Note, 60)})
				}
				env.table([]string{"VERSION", "PUSHED", "BY", "HASH", "NOTE"}, rows, "")
				env.printf("\n")
				rows = nil
				for _, m := range h.Moves {
					rows = append(rows, []any{ago(m.At), m.Label, m.Kind, m.From.String(), m.To.String(), m.Actor, short(m.Reason, 60)})
				}
				env.table([]string{"MOVED", "LABEL", "BY WAY OF", "FROM", "TO", "BY", "REASON"}, rows, "no label was ever moved")
			})
		}),
	}
}
