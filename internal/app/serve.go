// Package app builds the parts that a role needs in one straight function, runs them, and closes them last-first. It is the
// only importer of backends. The command line calls it.
package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/api"
	"airfield/internal/api/admin"
	"airfield/internal/api/anthropic"
	"airfield/internal/api/mcp"
	"airfield/internal/api/openai"
	"airfield/internal/api/page"
	"airfield/internal/caller"
	"airfield/internal/config"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/telemetry"
)

// Options say how a server is started.
type Options struct {
	ConfigPath string
	Role       string // all, gateway, worker or api
	Version    string
	Log        io.Writer
	Hangup     <-chan os.Signal // asks for the configuration to be loaded again
	Ready      func(url string) // called once, when the server answers
}

// Roles are what a process can be.
var Roles = []string{"all", "gateway", "worker", "api"}

func (o Options) does(role string) bool { return o.Role == "all" || o.Role == role }

// gcPercent is what garbage may come to before it is collected, in percent of what lives: a server's heap is small, so
// that Go's 100 collects all the time. Measured at saturation, means of five runs: 1.58 times the CPU of a bare proxy
// instead of 1.70, for ten megabytes.
const gcPercent = 200

// Serve runs a server until ctx ends.
func Serve(ctx context.Context, o Options) error {
	began := time.Now()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if !slices.Contains(Roles, o.Role) {
		return fault.New(fault.Invalid, "role", "there is no role %q: all, gateway, worker or api", o.Role)
	}
	c, warnings, err := config.Load(o.ConfigPath)
	if err != nil {
		return err
	}
	log, err := telemetry.NewLogger(o.Log, c.Log)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		log.Warn("configuration", "warning", w)
	}
	unlock, err := lockFolder(c.Data)
	if err != nil {
		return err
	}
	defer unlock()
	listener, url, err := listen(c.Server)
	if err != nil {
		return err
	}
	defer listener.Close()

	start, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("the start took too long"))
	defer cancel()
	p, err := build(start, c, log)
	if err != nil {
		return err
	}
	s := &server{options: o, parts: p, log: log, started: began}
	s.config.Store(c)
	runErr := s.run(ctx, start, listener, url)
	log.Info("stopped")
	return errors.Join(runErr, p.close())
}

// server is a running process.
type server struct {
	options Options
	parts   *parts
	log     *slog.Logger
	started time.Time

	mu     sync.Mutex // held while the configuration is taken over
	config atomic.Pointer[config.Config]
}

// run brings the state in line with the configuration, opens the doors and works until ctx ends.
func (s *server) run(ctx, start context.Context, listener net.Listener, url string) error {
	p, c := s.parts, s.config.Load()
	if err := s.syncCollections(start, c); err != nil {
		return err
	}
	p.metrics.SetModels(p.modelNames())
	workers := []task{{"index feed", p.feed.Run}, {"keys", p.keys.Run}, {"retention", s.retain}, {"budgets", p.budgets.Run}, {"prices", p.imports.Run}, {"prompts", p.prompts.Run}}
	if s.options.does("worker") {
		if err := s.recoverRuns(start); err != nil {
			return err
		}
		p.ingest.Register(p.jobs)
		p.batches.Register()
		workers = append(workers, task{"jobs", p.jobs.Run}, task{"sources", p.sources.Run}, task{"bucket lifecycle", s.sweepBucket}, task{"bodies' retention", s.sweepBodies})
	}
	local := newLocalKey()
	handler := s.handler(withLocalKey(local, c.Environment, p.keys.Authenticate))
	if err := writeLocal(c.Data, Local{URL: url, Key: local.Reveal(), Process: os.Getpid(), Started: s.started}); err != nil {
		return err
	}
	defer os.Remove(localFile(c.Data))
	s.log.Info("ready", "url", url, "role", s.options.Role, "environment", c.Environment, "version", s.options.Version, "took_ms", time.Since(s.started).Milliseconds())
	if s.options.Ready != nil {
		s.options.Ready(url)
	}
	return runStages(ctx,
		[]task{
			{"listener", func(ctx context.Context) error { return serveHTTP(ctx, listener, c.Server, handler, s.log) }},
			{"configuration", s.watchConfig},
		},
		workers,
		[]task{{"call log", p.drain.Run}, {"bodies", p.bodies.Run}},
		[]task{{"notify", p.notify.Run}})
}

// handler joins the doors of the role.
func (s *server) handler(auth api.Authenticate) http.Handler {
	p, c := s.parts, s.config.Load()
	mux := http.NewServeMux()
	if s.options.does("gateway") {
		door := &openai.Door{Gateway: p.gateway, Ingest: p.ingest, Retrieve: p.retrieve, Batches: p.batches, Responses: p.response, MaxRequest: c.Server.MaxRequestBytes, MaxUpload: c.Server.MaxUploadBytes, Authentication: auth, Log: s.log}
		assistants := &mcp.Door{Ingest: p.ingest, Retrieve: p.retrieve, Version: s.options.Version, Authentication: auth, Log: s.log}
		mux.Handle("/mcp", assistants.Handler())
		own := &anthropic.Door{Gateway: p.gateway, MaxRequest: c.Server.MaxRequestBytes, Authentication: auth, Log: s.log}
		mount(mux, door.Handler(), own.Handler())
	}
	if s.options.does("api") {
		door := &admin.Door{Keys: p.keys, Audit: p.audit, Ingest: p.ingest, Calls: p.store, Bodies: p.bodies, Costs: p.ledger, Budgets: p.budgets, Prices: &pricing{parts: p}, Prompts: p.prompts, Replays: p.replayer(), IndexSize: p.feed.Size, Gateway: p.gateway, Notify: p.notify, Batches: p.batches, System: s, MaxUpload: c.Server.MaxUploadBytes, Version: s.options.Version, Authentication: auth, Log: s.log}
		mux.Handle("/api/", door.Handler())
		mux.Handle("GET /{$}", page.Handler())
		mux.Handle("GET /assets/", page.Handler())
	}
	mux.Handle("GET /metrics", api.Guard(auth, api.WriteProblem, []caller.Role{caller.Viewer, caller.Operator, caller.Auditor}, p.metrics.Handler()))
	mux.Handle("GET /debug/pprof/", api.Guard(auth, api.WriteProblem, nil, profiles()))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("/", api.Unknown(mux, "/", api.WriteProblem, "this process has the role "+s.options.Role+"; docs/reference/api.md lists what there is"))
	return api.Recover(s.log, mux)
}

// mount puts both model APIs under /v1. They share the list of models, which is told in the shape of who asks.
func mount(mux *http.ServeMux, openai, anthropic http.Handler) {
	mux.Handle("/v1/", openai)
	mux.Handle("/v1/messages", anthropic)
	mux.Handle("/v1/messages/", anthropic)
	models := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Anthropic-Version") != "" {
			anthropic.ServeHTTP(w, r)
			return
		}
		openai.ServeHTTP(w, r)
	})
	mux.Handle("/v1/models", models)
	mux.Handle("/v1/models/", models)
}

// profiles are Go's own, for those who want to know where the time and the memory go.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// recoverRuns gives the runs of a process that died back at once. Only an embedded installation may: the data folder is
// locked, so nobody else can be at work on them.
func (s *server) recoverRuns(ctx context.Context) error {
	if s.parts.db.Engine() != db.SQLite {
		return nil
	}
	return errors.Join(s.parts.ingest.Recover(ctx), s.parts.batches.Recover(ctx))
}
