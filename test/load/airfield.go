package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the rows are counted in the server's own database
)

// benchModel is the model that is asked for.
const benchModel = "bench"

// airfield is the real server, with everything on: key, limits, budgets, journal, ledger, trace and the log of metadata.
type airfield struct {
	*process
	dir   string
	key   string
	admin string
	db    *sql.DB

	bodies bool // requests and answers are kept, and secrets taken out of them
}

// startAirfield makes an installation in a folder of its own and starts it. The command line stands here alone.
func startAirfield(ctx context.Context, binary, upstream string, bodies bool) (_ *airfield, err error) {
	dir, err := os.MkdirTemp("", "airfield-bench-")
	if err != nil {
		return nil, err
	}
	a := &airfield{dir: dir, bodies: bodies}
	mode := "none"
	if bodies {
		mode = "keep"
	}
	defer func() {
		if err != nil {
			a.stop()
		}
	}()
	listen, err := freePort()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "airfield.yaml")
	made, err := exec.CommandContext(ctx, binary, "init", dir, "--listen", listen, "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("airfield init: %w", err)
	}
	var keys struct {
		WorkflowKey string `json:"workflow_key"`
		AdminKey    string `json:"admin_key"`
	}
	if err := json.Unmarshal(made, &keys); err != nil || keys.WorkflowKey == "" {
		return nil, fmt.Errorf("airfield init printed no workflow key: %q", made)
	}
	a.key, a.admin = keys.WorkflowKey, keys.AdminKey
	text := fmt.Sprintf(`environment: bench
server: {listen: %q}
log: {level: warn}
observe: {bodies: {mode: %s, seal_after: 1s}}
providers:
  mock: {kind: openai, base_url: %q, api_key: env:LOAD_PROVIDER_KEY}
models:
  %s: {deployments: [{provider: mock, model: mock-model, prices: {input: 0.15, output: 0.60}}]}
business_units: {product: {}}
workflows:
  pilot:
    business_unit: product
    clearance: internal
    limits: {requests_per_minute: 100000000, tokens_per_minute: 100000000000, parallel: 10000}
    key_limits: {requests_per_minute: 100000000}
budgets: # that no benchmark can reach, but every call is held against it
  all: {scope: environment, usd: 1000000000, period: month, hard: true}
`, listen, mode, upstream+"/v1", benchModel)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "--config", config)
	cmd.Env = append(os.Environ(), "LOAD_PROVIDER_KEY=sk-load")
	if a.process, err = begin("airfield", cmd); err != nil {
		return nil, err
	}
	a.addr = listen
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	a.db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "data", "airfield.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	return a, err
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (a *airfield) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		if r, err := http.Get("http://" + a.addr + "/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-a.done:
			return fmt.Errorf("airfield ended before it was ready: %s", a.errs)
		case <-ctx.Done():
			return fmt.Errorf("airfield was not ready in time: %s", a.errs)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// drained waits until the call log has as many rows as calls were made, and returns how many it has in the end. Where
// bodies are kept, a call counts when those are where they stay.
func (a *airfield) drained(ctx context.Context, calls int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var rows, before int64
	since := time.Now()
	for {
		if err := a.db.QueryRowContext(ctx, "SELECT count(*) FROM calls").Scan(&rows); err != nil {
			return rows, fmt.Errorf("count the call log: %w", err)
		}
		if a.bodies {
			var kept int64
			if err := a.db.QueryRowContext(ctx, "SELECT count(DISTINCT call_id) FROM bodies").Scan(&kept); err != nil {
				return rows, fmt.Errorf("count the bodies: %w", err)
			}
			rows = min(rows, kept)
		}
		if rows != before {
			before, since = rows, time.Now()
		}
		if rows >= calls || time.Since(since) > 10*time.Second {
			return rows, nil // too many, or too few for long: the report says so
		}
		select {
		case <-ctx.Done():
			return rows, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// profile writes where the processor's time goes while calls saturate the server.
func (a *airfield) profile(ctx context.Context, t *target, connections int, path string) error {
	const lasts = 10 * time.Second
	done := make(chan error, 1)
	go func() {
		n, took, err := saturate(ctx, t, connections, lasts+2*time.Second)
		fmt.Fprintf(os.Stderr, "while the profile was taken: %.0f requests/s\n", float64(n)/took.Seconds())
		done <- err
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", a.addr, int(lasts.Seconds())), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.admin)
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("fetch the profile: %w", err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", r.StatusCode, text)
	}
	if err != nil {
		return fmt.Errorf("fetch the profile: %w", err)
	}
	return errors.Join(os.WriteFile(path, text, 0o644), <-done)
}

func (a *airfield) stop() {
	if a.db != nil {
		a.db.Close()
	}
	if a.process != nil {
		a.process.stop()
	}
	os.RemoveAll(a.dir)
}
