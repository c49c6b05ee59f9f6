package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/api"
	"airfield/internal/app"
	"airfield/internal/config"
	"airfield/internal/fault"
)

// client speaks to a running server.
type client struct {
	base string
	key  string
	http *http.Client
}

// configPath is the file that commands use when they are not told: that of this folder.
func (e *environment) configPath() string {
	return cmp.Or(e.config, os.Getenv("AIRFIELD_CONFIG"), "airfield.yaml")
}

// load reads the file that commands work on.
func (e *environment) load() (*config.Config, []string, error) {
	c, warnings, err := config.Load(e.configPath())
	if errors.Is(err, os.ErrNotExist) {
		err = fault.New(fault.NotFound, "config_missing", "there is no %s", e.configPath()).Hinted("airfield init writes one; --config names another")
	}
	return c, warnings, err
}

// quoted is a path as a shell reads it.
func quoted(path string) string {
	if strings.ContainsAny(path, " \t\"'$`\\&|;<>()*?[]#~!{}") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// connect finds the server: by --url and AIRFIELD_KEY, or by what the server on this folder's airfield.yaml left for
// its commands.
func (e *environment) connect() (*client, error) {
	c := &client{base: strings.TrimRight(cmp.Or(e.url, os.Getenv("AIRFIELD_URL")), "/"), key: os.Getenv("AIRFIELD_KEY"), http: &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 2 * time.Minute}}}
	if c.base != "" {
		if c.key == "" {
			return nil, fault.New(fault.Unauthenticated, "key_missing", "there is no key for %s", c.base).Hinted("set AIRFIELD_KEY")
		}
		u, err := url.Parse(c.base)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return nil, usage("%q is not an address such as http://127.0.0.1:8080", c.base)
		}
		c.base = strings.TrimSuffix(c.base, "/v1") // the base URL as SDKs want it
		return c, nil
	}
	path := e.configPath()
	loaded, _, err := config.Load(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fault.New(fault.Unavailable, "server_unknown", "there is no %s here that says where the server is", path).
			Hinted("go to the folder of airfield.yaml, give --config, or set AIRFIELD_URL and AIRFIELD_KEY")
	}
	if err != nil {
		return nil, err
	}
	local, err := app.ReadLocal(loaded.Data)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "server_away", "no server runs on %s", path).Hinted("start it: airfield serve --config %s", quoted(path))
	}
	c.base = local.URL
	if c.key == "" {
		c.key = local.Key
	}
	if strings.HasPrefix(c.base, "https:") {
		if err := c.trust(loaded.Server.TLS.Certificate); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// do sends a request and reads the answer into out, unless that is nil. A problem comes back as a fault.
func (c *client) do(ctx context.Context, method, path string, body, out any) error {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(text)
	}
	res, err := c.send(ctx, method, path, "application/json", reader)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// send returns an answer of status 2xx; its body is the caller's to close.
func (c *client) send(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fault.New(fault.Unavailable, "server_away", "the server at %s does not answer: %w", c.base, err).Hinted("start it with airfield serve, or check AIRFIELD_URL")
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, problem(res)
}

// kinds are the faults that a status stands for.
var kinds = []fault.Kind{fault.Invalid, fault.Unauthenticated, fault.Denied, fault.NotFound, fault.Conflict, fault.TooSlow, fault.TooLarge, fault.Limited, fault.Upstream, fault.Unavailable, fault.Timeout}

// problem reads an error of the admin API or of the OpenAI-compatible one.
func problem(res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	f := &fault.Fault{Kind: fault.Internal, Code: "http_" + fmt.Sprint(res.StatusCode)}
	for _, k := range kinds {
		if k.Status() == res.StatusCode {
			f.Kind = k
		}
	}
	if res.StatusCode == http.StatusUnprocessableEntity {
		f.Kind = fault.Invalid
	}
	var p api.Problem
	var o struct {
		Error struct{ Message, Code, Param string }
	}
	switch {
	case json.Unmarshal(text, &p) == nil && p.Detail != "":
		f.Text, f.Hint, f.Field, f.Code = p.Detail, p.Hint, p.Field, p.Code
	case json.Unmarshal(text, &o) == nil && o.Error.Message != "":
		f.Text, f.Field, f.Code = o.Error.Message, o.Error.Param, o.Error.Code
	default:
		f.Text = fmt.Sprintf("the server answered %s: %s", res.Status, short(strings.TrimSpace(string(text)), 200))
	}
	return f
}

// connected is what a command does once the server is found.
func (e *environment) connected(do func(ctx context.Context, c *client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := e.connect()
		if err != nil {
			return err
		}
		return do(cmd.Context(), c, args)
	}
}

func get[T any](ctx context.Context, c *client, path string) (T, error) {
	var v T
	err := c.do(ctx, http.MethodGet, path, nil, &v)
	return v, err
}

func post[T any](ctx context.Context, c *client, path string, in any) (T, error) {
	var v T
	err := c.do(ctx, http.MethodPost, path, in, &v)
	return v, err
}
