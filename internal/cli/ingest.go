package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

// uploads is what ingest was told about the files.
type uploads struct {
	collection, tier, kind, date, unit, title string
	tags                                      []string
	set                                       []string
	wait                                      time.Duration
}

func ingestCommand(env *environment) *cobra.Command {
	var u uploads
	cmd := &cobra.Command{
		Use:   "ingest FILE|FOLDER…",
		Short: "Put documents into a collection, and wait until they are searchable",
		Long: `Uploads files, or every file under a folder, and waits until each is searchable or has failed. Uploading a file again makes a
new version, or nothing where nothing changed. A sidecar FILE.meta.yaml beside a file is its metadata.`,
		Example: "  airfield ingest --collection handbook policies/*.pdf\n  airfield ingest --tier confidential --type contract contracts/\n  airfield ingest status\n  airfield ingest why contracts/a.pdf",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notNegative("wait", u.wait); err != nil {
				return err
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			return env.ingest(cmd.Context(), c, args, u)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&u.collection, "collection", "c", "", "name of the collection (default: the only one there is)")
	f.StringVar(&u.tier, "tier", "", "access tier: public, internal, confidential, restricted")
	f.StringVar(&u.kind, "type", "", "document type")
	f.StringVar(&u.date, "date", "", "date, YYYY-MM-DD")
	f.StringVar(&u.unit, "business-unit", "", "business unit")
	f.StringVar(&u.title, "title", "", "title")
	f.StringSliceVar(&u.tags, "tag", nil, "tag; may be given several times")
	f.StringArrayVar(&u.set, "set", nil, "further metadata, NAME=VALUE; may be given several times")
	f.DurationVar(&u.wait, "wait", 10*time.Minute, "how long to wait until they are searchable; 0 returns at once")
	cmd.AddCommand(statusCommand(env), whyCommand(env), ingestDeleteCommand(env), listCommand(env), scanCommand(env), confirmCommand(env), proofCommand(env),
		pauseCommand(env), resumeCommand(env), cancelCommand(env), pausesCommand(env))
	return cmd
}

// collection returns the collection that is meant: the named one, or the only one.
func (c *client) collection(ctx context.Context, name string) (string, error) {
	if name != "" {
		return name, nil
	}
	all, err := get[[]admin.CollectionStatus](ctx, c, "/api/collections")
	if err != nil {
		return "", err
	}
	switch len(all) {
	case 0:
		return "", fault.New(fault.NotFound, "collection_none", "there is no collection yet").Hinted("add one under collections in airfield.yaml")
	case 1:
		return all[0].Name, nil
	}
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = one.Name
	}
	return "", usage("say which collection: --collection %s", strings.Join(names, " | "))
}

// files lists what the arguments name. A folder gives its files, hidden ones and sidecars left out.
func files(args []string) ([][2]string, error) {
	var list [][2]string // path, name
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, fault.New(fault.NotFound, "file_missing", "%s cannot be read: %w", arg, err)
		}
		if !info.IsDir() {
			list = append(list, [2]string{arg, filepath.Base(arg)})
			continue
		}
		err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if strings.HasPrefix(d.Name(), ".") && path != arg {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if d.Type().IsRegular() && !strings.HasSuffix(path, ingest.SidecarSuffix) {
				name, err := filepath.Rel(arg, path)
				if err != nil {
					return err
				}
				list = append(list, [2]string{path, filepath.ToSlash(name)})
			}
			return nil
		})
		if err != nil {
			return nil, fault.New(fault.Unavailable, "folder_unreadable", "%s cannot be read: %w", arg, err)
		}
	}
	if len(list) == 0 {
		return nil, fault.New(fault.NotFound, "folder_empty", "there is no file in %s", strings.Join(args, ", "))
	}
	return list, nil
}

// metadata joins the flags with the file's sidecar; the flags win.
func (u uploads) metadata(path string) (map[string]any, error) {
	flat := map[string]any{}
	said, err := u.said()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path + ingest.SidecarSuffix)
	if err == nil {
		m, err := ingest.ParseSidecar(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path+ingest.SidecarSuffix, err)
		}
		flat = m.Flat()
	} else if !os.IsNotExist(err) {
		return nil, fmt.Errorf("read sidecar: %w", err)
	}
	maps.Copy(flat, said)
	return flat, nil
}

// said is the metadata that the flags give to every file.
func (u uploads) said() (map[string]any, error) {
	flat := map[string]any{}
	for name, value := range map[string]string{"tier": u.tier, "type": u.kind, "date": u.date, "business_unit": u.unit, "title": u.title} {
		if value != "" {
			flat[name] = value
		}
	}
	if len(u.tags) > 0 {
		flat["tags"] = u.tags
	}
	for _, pair := range u.set {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usage("--set is written NAME=VALUE, not %q", pair)
		}
		flat[name] = value
	}
	_, err := ingest.ParseMetadata(flat)
	return flat, err
}

// outcome is one file's line.
type outcome struct {
	File string `json:"file"`
	ingest.Receipt
	State string `json:"state"`
	Error string `json:"error,omitempty"`
}

// change says what an upload was to the document.
func (o outcome) change() string {
	switch o.Change {
	case ingest.Created:
		return "new"
	case ingest.Changed:
		return fmt.Sprintf("new version %d", o.Number)
	case ingest.Described:
		return fmt.Sprintf("metadata of version %d", o.Number)
	case ingest.Unchanged:
		return fmt.Sprintf("none, is version %d", o.Number)
	}
	return "none"
}

func (e *environment) ingest(ctx context.Context, c *client, args []string, u uploads) error {
	if _, err := u.said(); err != nil {
		return err
	}
	list, err := files(args)
	if err != nil {
		return err
	}
	name, err := c.collection(ctx, u.collection)
	if err != nil {
		return err
	}
	results := make([]outcome, 0, len(list))
	bar := e.progress(len(list), "uploading")
	for _, f := range list {
		receipt, err := c.upload(ctx, name, f[0], f[1], u)
		one := outcome{File: f[1], Receipt: receipt, State: ingest.Pending}
		if err != nil {
			if fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.Cancelled) || fault.Is(err, fault.Denied) || fault.As(err).Code == "collection_not_found" {
				return err // the next one would fail alike
			}
			one.State, one.Error = "refused", err.Error()
		}
		results = append(results, one)
		bar.Add(1)
	}
	bar.Finish()
	if u.wait > 0 {
		if err := e.await(ctx, c, results, u.wait); err != nil {
			return err
		}
	}
	return e.report(results)
}

func (c *client) upload(ctx context.Context, collection, path, name string, u uploads) (receipt ingest.Receipt, err error) {
	flat, err := u.metadata(path)
	if err != nil {
		return receipt, err
	}
	header, err := json.Marshal(flat)
	if err != nil {
		return receipt, err
	}
	f, err := os.Open(path)
	if err != nil {
		return receipt, fault.New(fault.NotFound, "file_missing", "%s cannot be read: %w", path, err)
	}
	defer f.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/api/collections/"+url.PathEscape(collection)+"/documents?name="+url.QueryEscape(name), f)
	if err != nil {
		return receipt, err
	}
	if info, err := f.Stat(); err == nil {
		req.ContentLength = info.Size()
		if info.Size() == 0 {
			req.Body = http.NoBody
		}
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Airfield-Metadata", ascii(header))
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return receipt, ctx.Err()
		}
		return receipt, fault.New(fault.Unavailable, "server_away", "the server at %s does not answer: %w", c.base, err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return receipt, problem(res)
	}
	return receipt, json.NewDecoder(res.Body).Decode(&receipt)
}

// ascii escapes what a header cannot hold; JSON has a way to write it.
func ascii(text []byte) string {
	var b strings.Builder
	for _, r := range string(text) {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	return b.String()
}

// await asks for the versions until each has ended.
func (e *environment) await(ctx context.Context, c *client, results []outcome, most time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, fault.New(fault.Timeout, "wait", "not everything was searchable after %s; it goes on", most).Hinted("airfield ingest status shows how far it is"))
	defer cancel()
	var ids []string
	for _, r := range results {
		if r.VersionID != "" {
			ids = append(ids, r.VersionID)
		}
	}
	bar := e.progress(len(ids), "ingesting")
	defer bar.Finish()
	for wait := 50 * time.Millisecond; ; wait = min(wait*3/2, time.Second) {
		var versions []ingest.Version
		if err := c.do(ctx, http.MethodPost, "/api/versions", map[string]any{"ids": append([]string{}, ids...)}, &versions); err != nil {
			return cause(ctx, err)
		}
		ended := 0
		for _, v := range versions {
			if v.Ended() {
				ended++
			}
			if i := slices.IndexFunc(results, func(o outcome) bool { return o.VersionID == v.ID }); i >= 0 {
				results[i].State = v.State
				if v.Run != nil && v.State == ingest.Dead {
					results[i].Error = v.Run.ErrorCode + ": " + v.Run.Error
				}
			}
		}
		bar.Set(ended)
		if ended == len(ids) {
			return nil
		}
		select {
		case <-ctx.Done():
			return cause(ctx, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// cause prefers why a context ended to that it did.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (e *environment) report(results []outcome) error {
	failed := 0
	for _, r := range results {
		if r.Error != "" {
			failed++
		}
	}
	err := e.show(results, func() {
		var rows [][]any
		for _, r := range results {
			rows = append(rows, []any{r.File, r.State, r.change(), size(r.Bytes), r.DocumentID})
		}
		e.table([]string{"FILE", "STATE", "CHANGE", "SIZE", "DOCUMENT"}, rows, "nothing was uploaded")
		for _, r := range results {
			if r.Error != "" {
				e.printf("%s: %s\n", printable(r.File), printable(r.Error))
			}
		}
	})
	if err == nil && failed > 0 {
		f := fault.New(fault.Internal, "ingest_failed", "%d of %d files did not become searchable", failed, len(results))
		if slices.ContainsFunc(results, func(r outcome) bool { return r.State == ingest.Dead }) {
			f = f.Hinted("airfield dlq list shows why; airfield dlq replay tries again")
		}
		err = f
	}
	return err
}
