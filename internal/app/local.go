package app

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"airfield/internal/api"
	"airfield/internal/caller"
	"airfield/internal/id"
	"airfield/internal/secret"
)

// Local is how commands on this machine find and enter a running server: a file in the data folder that only its owner
// can read, with a key that lives as long as the process. Who can read it can read the database beside it too.
type Local struct {
	URL     string    `json:"url"`
	Key     string    `json:"key"`
	Process int       `json:"process"`
	Started time.Time `json:"started"`
}

func localFile(dir string) string { return filepath.Join(dir, "local.json") }

// ReadLocal returns what the server on this data folder left for its commands.
func ReadLocal(dir string) (Local, error) {
	var l Local
	text, err := os.ReadFile(localFile(dir))
	if err != nil {
		return l, err
	}
	return l, json.Unmarshal(text, &l)
}

// writeLocal leaves the file, whole or not at all.
func writeLocal(dir string, l Local) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	tmp := localFile(dir) + ".new"
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return fmt.Errorf("write the file for local commands: %w", err)
	}
	return os.Rename(tmp, localFile(dir))
}

// withLocalKey lets the process's own key in as an administrator and asks next for every other.
func withLocalKey(key secret.Value, environment string, next api.Authenticate) api.Authenticate {
	who := &caller.Caller{KeyID: "local", KeyName: "local command", Role: caller.Admin, Environment: environment, Workflow: "local", Clearance: caller.Restricted}
	return func(ctx context.Context, given string) (*caller.Caller, error) {
		if given != "" && key.Equal(given) {
			return who, nil
		}
		return next(ctx, given)
	}
}

func newLocalKey() secret.Value { return secret.New(id.Secret("afl_")) }
