package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/app"
	"airfield/internal/fault"
)

func backupCommand(env *environment) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "backup", Short: "Copy a running installation into one file", Args: cobra.NoArgs,
		Long: `Writes a consistent copy of the running server's database and documents into one tar file: nothing has to stop. The index is not
in it, because it is made again from the database. The file holds documents and hashed keys: keep it like the data folder.`,
		Example: "  airfield backup -o airfield-2026-03-01.tar\n  airfield restore airfield-2026-03-01.tar --config new/airfield.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				out = "airfield-" + time.Now().Format("20060102-150405") + ".tar"
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			n, err := env.download(cmd, c, out)
			if err != nil {
				return err
			}
			return env.show(map[string]any{"file": out, "bytes": n}, func() { env.printf("%s, %s\n", out, size(n)) })
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "the file to write (default: airfield-DATE.tar)")
	return cmd
}

// download writes the stream to a temporary file and gives it its name when it is whole.
func (e *environment) download(cmd *cobra.Command, c *client, out string) (n int64, err error) {
	if _, err := os.Stat(out); err == nil {
		return 0, fault.New(fault.Conflict, "file_exists", "%s is there already", out)
	}
	tmp, err := os.CreateTemp(filepath.Dir(out), ".airfield-backup-*")
	if err != nil {
		return 0, fmt.Errorf("write the backup: %w", err)
	}
	defer func() {
		tmp.Close()
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	c.http.Transport.(*http.Transport).ResponseHeaderTimeout = time.Hour // the database is copied before the first byte
	res, err := c.send(cmd.Context(), http.MethodPost, "/api/backup", "application/json", nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	bar := e.progress(-1, "copying")
	n, err = io.Copy(io.MultiWriter(tmp, bar), res.Body)
	bar.Finish()
	if err != nil {
		return n, fault.New(fault.Unavailable, "backup_cut", "the backup was cut off after %s: %w", size(n), err).Hinted("the server's log says why; nothing was written")
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return n, fmt.Errorf("write the backup: %w", err)
	}
	return n, os.Rename(tmp.Name(), out)
}

func restoreCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "restore FILE", Short: "Bring a backup into a new, empty installation", Args: cobra.ExactArgs(1),
		Long: `Brings a backup into the database and the bucket that airfield.yaml names. Both must be empty: nothing is ever overwritten. No
server may be running on them. Keys, documents, calls and the audit log are as they were; the index is made again at the start.`,
		Example: "  airfield restore airfield-2026-03-01.tar --config new/airfield.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := env.load()
			if err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return fault.New(fault.NotFound, "file_missing", "%s cannot be read: %w", args[0], err)
			}
			defer f.Close()
			restored, err := app.Restore(cmd.Context(), c, f)
			if err != nil {
				return err
			}
			return env.show(restored, func() {
				at := restored.At.Local().Format("2006-01-02 15:04:05")
				if restored.Bucket != "" {
					env.printf("restored the installation of %s; its documents are in %s\n", at, restored.Bucket)
					return
				}
				env.printf("restored the installation of %s: %d objects\n", at, restored.Objects)
			})
		},
	}
}

func journalCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "journal", Short: "The gateway's journal of calls", Args: cobra.NoArgs}
	cmd.AddCommand(&cobra.Command{
		Use: "drain DIR", Short: "Bring the journal of a replica that is gone into the database", Args: cobra.ExactArgs(1),
		Long:    "DIR is the folder journal of the replica's data folder. Each call is brought in exactly once, however often this is run. A journal that a living process holds is refused.",
		Example: "  airfield journal drain /mnt/old-replica/data/journal --config airfield.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := env.load()
			if err != nil {
				return err
			}
			drained, err := app.DrainJournal(cmd.Context(), c, args[0], env.err)
			if err != nil {
				return err
			}
			return env.show(drained, func() {
				env.printf("%d calls (%d of them cut off), %d spans; %d damaged bytes skipped\n", drained.Calls, drained.Cut, drained.Spans, drained.Skipped)
			})
		},
	})
	return cmd
}
