package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"airfield/examples"
	"airfield/internal/api/admin"
	"airfield/internal/app"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

func demoCommand(env *environment) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "demo", Short: "See it work: documents in, cited answers out, with calls, costs and a trace", Args: cobra.NoArgs,
		Long: `Starts a server of its own on a free port, with the papers of a company that does not exist (they are in the binary), waits until
they are searchable, asks questions with keys of different clearance, and shows the calls, what they cost and a trace. It needs no network and no key, and
leaves nothing behind unless --dir says where.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), 2*time.Minute, errors.New("the demo took longer than two minutes"))
			defer cancel()
			folder, err := demoFolder(dir)
			if err != nil {
				return err
			}
			if dir == "" {
				defer os.RemoveAll(folder)
			}
			d := &demo{environment: env, dir: folder, began: time.Now(), keys: map[string]string{}}
			err = d.run(ctx)
			if err != nil && d.log != "" {
				if log, readErr := os.ReadFile(d.log); readErr == nil {
					fmt.Fprintf(env.err, "the server's log:\n%s", log)
				}
			}
			if err == nil && dir != "" {
				env.printf("\nEverything is in %s; start it again: airfield serve --config %s\n", folder, filepath.Join(folder, "airfield.yaml"))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "a new folder to work in and keep (default: a temporary one)")
	return cmd
}

func demoFolder(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "airfield-demo-*")
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return "", fault.New(fault.Conflict, "folder_used", "%s is not empty", dir).Hinted("name a new folder")
	}
	return filepath.Abs(dir)
}

// demoConfig gives each clearance a workflow of its own, named after it.
const demoConfig = `environment: demo
server: {listen: "127.0.0.1:0"}
business_units:
  operations: {}
  people: {}
workflows:
  public: {clearance: public, business_unit: operations, collections: [nordhafen]}
  internal: {clearance: internal, business_unit: operations, collections: [nordhafen]}
  confidential: {clearance: confidential, business_unit: people, collections: [nordhafen]}
  restricted: {clearance: restricted, business_unit: people, collections: [nordhafen]}
collections:
  nordhafen:
    defaults: {tier: internal}
    sources:
      papers: {folder: documents}
`

type demo struct {
	*environment
	dir    string
	log    string
	began  time.Time
	client *client
	keys   map[string]string // by clearance
	call   string            // of an answer worth tracing
}

func (d *demo) run(ctx context.Context) error {
	if err := d.write(); err != nil {
		return err
	}
	stop, err := d.start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for _, step := range []func(context.Context) error{d.makeKeys, d.awaitDocuments, d.askSome, d.askTwice, d.newVersion, d.askAll, d.showWhatHappened} {
		if err := step(ctx); err != nil {
			return cause(ctx, err)
		}
	}
	if err := stop(); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	d.title("All of it took %s.", brief(time.Since(d.began)))
	return nil
}

func (d *demo) title(format string, args ...any) {
	d.printf("\n%s\n", d.colour(text.Bold, fmt.Sprintf(format, args...)))
}

// write puts the configuration and the documents into the folder.
func (d *demo) write() error {
	documents, err := fs.Sub(examples.Files, "documents")
	if err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(d.dir, "documents"), documents); err != nil {
		return fmt.Errorf("write the documents: %w", err)
	}
	return os.WriteFile(filepath.Join(d.dir, "airfield.yaml"), []byte(demoConfig), 0o644)
}

// start runs the server as a user would, as a process of its own.
func (d *demo) start(ctx context.Context) (stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(d.dir, "server.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d.log = log.Name()
	server := exec.Command(self, "serve", "--config", filepath.Join(d.dir, "airfield.yaml"))
	server.Stderr, server.Env = log, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "TMPDIR=" + os.TempDir()}
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the demo, which then ends the server
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		server.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			return err
		case <-time.After(30 * time.Second):
			server.Process.Kill()
			return errors.New("it did not end within 30 s and was killed")
		}
	}
	for {
		local, err := app.ReadLocal(filepath.Join(d.dir, "data"))
		if err == nil && local.Process == server.Process.Pid {
			d.client = &client{base: local.URL, key: local.Key, http: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}}
			d.title("A server runs at %s, embedded, %s after its start.", local.URL, brief(time.Since(d.began)))
			return stop, nil
		}
		select {
		case err := <-ended:
			stopped = true
			return nil, fmt.Errorf("the server ended at its start: %w", err)
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), stop())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *demo) makeKeys(ctx context.Context) error {
	for _, clearance := range []string{"public", "internal", "confidential", "restricted"} {
		var made admin.MadeKey
		if err := d.client.do(ctx, http.MethodPost, "/api/keys", admin.NewKey{Name: "demo " + clearance, Role: "workflow", Workflow: clearance}, &made); err != nil {
			return err
		}
		d.keys[clearance] = made.Text
	}
	return nil
}

// as is the client with the key of a workflow.
func (d *demo) as(clearance string) *client {
	return &client{base: d.client.base, key: d.keys[clearance], http: d.client.http}
}

func (d *demo) status(ctx context.Context) (ingest.Status, error) {
	c, err := get[admin.CollectionStatus](ctx, d.client, "/api/collections/nordhafen")
	return c.Status, err
}

func (d *demo) awaitDocuments(ctx context.Context) error {
	want, err := fs.Glob(examples.Files, "documents/*/*.meta.yaml")
	if err != nil {
		return err
	}
	bar := d.progress(len(want), "ingesting")
	for {
		s, err := d.status(ctx)
		if err != nil {
			return err
		}
		live, dead := s.Versions[ingest.Live], s.Versions[ingest.Dead]
		bar.Set(live)
		if dead > 0 {
			return fmt.Errorf("%d documents could not be ingested", dead)
		}
		if live == len(want) {
			bar.Finish()
			d.printf("%d documents (PDF, DOCX, HTML, Markdown, text, CSV, JSON) are searchable: %d chunks, %s after the start.\n", live, s.Chunks, brief(time.Since(d.began)))
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
