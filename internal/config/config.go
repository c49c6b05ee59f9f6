// Package config reads airfield.yaml: one file, in git, that is the whole structure of an environment. Each part owns its
// section; this package joins them, and is strict: what it does not know is an error with a line and a suggestion.
package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"airfield/internal/access"
	"airfield/internal/batch"
	"airfield/internal/bucket"
	"airfield/internal/cache"
	"airfield/internal/caller"
	"airfield/internal/cost"
	"airfield/internal/db"
	"airfield/internal/gateway"
	"airfield/internal/index"
	"airfield/internal/ingest"
	"airfield/internal/ingest/extract"
	"airfield/internal/jobs"
	"airfield/internal/journal"
	"airfield/internal/notify"
	"airfield/internal/observe"
	"airfield/internal/redact"
	"airfield/internal/redis"
	"airfield/internal/response"
	"airfield/internal/retrieve"
	"airfield/internal/secret"
	"airfield/internal/telemetry"
)

// Config is airfield.yaml.
type Config struct {
	Environment   string                       `yaml:"environment" json:"environment" doc:"The name of this deployment: dev, staging, prod."`
	Data          string                       `yaml:"data" json:"data" doc:"The folder for everything that is kept locally, relative to this file."`
	Server        Server                       `yaml:"server" json:"server" doc:"The listener."`
	Log           telemetry.Config             `yaml:"log" json:"log" doc:"Airfield's own log, on standard error."`
	Database      db.Config                    `yaml:"database" json:"database" doc:"Where state is kept; by default SQLite in the data folder."`
	Bucket        bucket.Config                `yaml:"bucket" json:"bucket" doc:"Where document bytes are kept; by default the data folder."`
	Index         index.Config                 `yaml:"index" json:"index" doc:"Where vectors and keywords are kept; by default the data folder."`
	Journal       journal.Config               `yaml:"journal" json:"journal" doc:"The gateway's append-only file of calls."`
	Jobs          jobs.Config                  `yaml:"jobs" json:"jobs" doc:"The queue of durable work."`
	Batch         batch.Config                 `yaml:"batch" json:"batch" doc:"Files of calls that are made when there is room for them."`
	Extract       extract.Config               `yaml:"extract" json:"extract" doc:"Reading files, in processes of their own."`
	Ingest        ingest.Config                `yaml:"ingest" json:"ingest" doc:"The way of documents through their steps."`
	Access        access.Config                `yaml:"access" json:"access" doc:"Keys."`
	Observe       observe.Config               `yaml:"observe" json:"observe" doc:"The call log, traces and how long they are kept."`
	Retrieve      retrieve.Config              `yaml:"retrieve" json:"retrieve" doc:"Search and answers."`
	Responses     response.Config              `yaml:"responses" json:"responses" doc:"The conversations of the Responses API: what is kept of them, and file_search."`
	Redis         redis.Config                 `yaml:"redis" json:"redis" doc:"Limits and cached answers that several processes share; without it each has its own."`
	Cache         cache.Config                 `yaml:"cache" json:"cache" doc:"Answers that are given again; which workflows use it is theirs to say."`
	Notify        notify.Config                `yaml:"notify" json:"notify" doc:"Whom to tell of what needs people: budgets, deployments that fail, workflows served by a lower rung."`
	Gateway       gateway.Config               `yaml:",inline"`
	BusinessUnits map[string]BusinessUnit      `yaml:"business_units" json:"business_units" doc:"Who pays, by name."`
	Workflows     map[string]Workflow          `yaml:"workflows" json:"workflows" doc:"The AI workloads that make calls and read collections, by name."`
	Collections   map[string]Collection        `yaml:"collections" json:"collections" doc:"Documents with one schema, chunking and embedding, by name."`
	Budgets       map[string]cost.BudgetConfig `yaml:"budgets" json:"budgets" doc:"What may be spent, by a name of your choice."`
}

// Server is the listener's part.
type Server struct {
	Listen          string        `yaml:"listen" json:"listen" doc:"Address and port. Port 0 takes a free one."`
	TLS             TLS           `yaml:"tls" json:"tls" doc:"Certificates; without them the listener speaks plain HTTP."`
	MaxRequestBytes int64         `yaml:"max_request_bytes" json:"max_request_bytes" doc:"The largest body of a model request."`
	MaxUploadBytes  int64         `yaml:"max_upload_bytes" json:"max_upload_bytes" doc:"The largest file that can be uploaded."`
	HeaderTimeout   time.Duration `yaml:"header_timeout" json:"header_timeout" doc:"The longest a client may take to send its headers."`
	IdleTimeout     time.Duration `yaml:"idle_timeout" json:"idle_timeout" doc:"How long an idle connection is kept."`
	Drain           time.Duration `yaml:"drain" json:"drain" doc:"How long requests in flight may take after the process was asked to stop."`
}

// TLS names certificate files.
type TLS struct {
	Certificate string `yaml:"certificate" json:"certificate" doc:"Path of the certificate chain, PEM. It is read again when it changes."`
	Key         string `yaml:"key" json:"key" doc:"Path of its private key, PEM."`
}

// BusinessUnit is who pays.
type BusinessUnit struct {
	Description string `yaml:"description" json:"description" doc:"For people."`
}

// Workflow is an AI workload.
type Workflow struct {
	Description  string      `yaml:"description" json:"description" doc:"For people."`
	BusinessUnit string      `yaml:"business_unit" json:"business_unit" doc:"A name from business_units."`
	Clearance    caller.Tier `yaml:"clearance" json:"clearance" doc:"The access tier up to which it sees documents. Its keys have at most this."`
	Collections  []string    `yaml:"collections" json:"collections" doc:"The collections it may search; \"*\" for all. Those it creates itself need not be listed."`

	gateway.WorkflowConfig `yaml:",inline"`
	response.Keeping       `yaml:",inline"`
}

// Collection is one entry of collections: what it does not say is as in ingest.DefaultCollection.
type Collection struct {
	ingest.CollectionConfig `yaml:",inline"`
}

// UnmarshalYAML begins with the defaults.
func (c *Collection) UnmarshalYAML(decode func(any) error) error {
	type plain ingest.CollectionConfig // without this method
	full := plain(ingest.DefaultCollection())
	if err := decode(&full); err != nil {
		return err
	}
	c.CollectionConfig = ingest.CollectionConfig(full)
	return nil
}

// Default is the embedded installation: everything in ./data, on loopback, with the builtin models.
func Default() Config {
	return Config{
		Environment: "dev",
		Data:        "data",
		Server:      Server{Listen: "127.0.0.1:8080", MaxRequestBytes: 20 << 20, MaxUploadBytes: 512 << 20, HeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, Drain: 20 * time.Second},
		Log:         telemetry.Default(),
		Database:    db.Default(),
		Bucket:      bucket.Default(),
		Index:       index.DefaultConfig(),
		Journal:     journal.Default(),
		Jobs:        jobs.Default(),
		Batch:       batch.Default(),
		Extract:     extract.Default(),
		Ingest:      ingest.Default(),
		Access:      access.Default(),
		Observe:     observe.Default(),
		Retrieve:    retrieve.Default(),
		Responses:   response.Default(),
		Redis:       redis.Default(),
		Cache:       cache.Default(),
		Gateway:     gateway.Config{Routing: gateway.DefaultRouting()},
	}
}

// resolvePaths makes paths absolute, beginning at the file's folder, and fills in what lies in the data folder.
func (c *Config) resolvePaths(dir string) {
	resolve := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	resolve(&c.Data)
	resolve(&c.Server.TLS.Certificate)
	resolve(&c.Server.TLS.Key)
	if c.Database.URL == "" {
		c.Database.URL = "sqlite:" + filepath.Join(c.Data, "airfield.db")
	} else if path, ok := strings.CutPrefix(c.Database.URL, "sqlite:"); ok && path != "" {
		resolve(&path)
		c.Database.URL = "sqlite:" + path
	}
	if c.Bucket.URL == "" {
		c.Bucket.URL = "file:" + filepath.Join(c.Data, "bucket")
	} else if path, ok := strings.CutPrefix(c.Bucket.URL, "file:"); ok && path != "" {
		resolve(&path)
		c.Bucket.URL = "file:" + path
	}
	for name, collection := range c.Collections {
		for sourceName, source := range collection.Sources {
			resolve(&source.Folder)
			if source.SQL != nil {
				source.SQL.URL = source.SQL.URL.Within(dir)
			}
			if source.Web != nil {
				resolveFiles(source.Web.Headers, dir)
			}
			if source.API != nil {
				resolveFiles(source.API.Headers, dir)
			}
			collection.Sources[sourceName] = source
		}
		resolve(&collection.Refresh.GoldenFile)
		c.Collections[name] = collection
	}
}

// resolveFiles makes references to files independent of where airfield.yaml is: the database keeps them without it.
func resolveFiles(headers map[string]secret.Value, dir string) {
	for name, value := range headers {
		path, ok := strings.CutPrefix(value.Ref(), "file:")
		if !ok || filepath.IsAbs(path) {
			continue
		}
		var absolute secret.Value
		if absolute.UnmarshalText([]byte("file:"+filepath.Join(dir, path))) == nil {
			headers[name] = absolute
		}
	}
}

// check is one part's own.
type check struct {
	section string
	run     func() ([]string, error)
}

// Check asks every part, and then what only the whole can know.
func (c *Config) Check() (warnings []string, err error) {
	var errs []error
	c.shareWorkflows()
	for _, part := range []check{
		{"log", c.Log.Check}, {"database", c.Database.Check}, {"bucket", c.Bucket.Check}, {"index", c.Index.Check}, {"journal", c.Journal.Check}, {"jobs", c.Jobs.Check}, {"batch", c.Batch.Check},
		{"extract", c.Extract.Check}, {"ingest", c.Ingest.Check}, {"access", c.Access.Check}, {"observe", c.Observe.Check}, {"retrieve", c.Retrieve.Check},
		{"responses", c.Responses.Check},
		{"redis", c.Redis.Check}, {"cache", c.Cache.Check}, {"notify", c.Notify.Check},
		{"", c.Gateway.Check}, {"server", c.Server.Check},
	} {
		w, err := part.run()
		for _, text := range w {
			warnings = append(warnings, prefixed(part.section, text))
		}
		for _, one := range unjoin(err) {
			errs = append(errs, errors.New(prefixed(part.section, one.Error())))
		}
	}
	w, whole := c.checkNames()
	return append(warnings, w...), errors.Join(append(errs, whole...)...)
}

// shareWorkflows gives the gateway its part of each workflow.
func (c *Config) shareWorkflows() {
	c.Gateway.Workflows = make(map[string]gateway.WorkflowConfig, len(c.Workflows))
	for name, w := range c.Workflows {
		own := w.WorkflowConfig
		own.BusinessUnit, own.Clearance = w.BusinessUnit, w.Clearance
		c.Gateway.Workflows[name] = own
	}
}

func prefixed(section, text string) string {
	if section == "" {
		return text
	}
	return section + "." + text
}

func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// checkNames holds the references between sections against each other.
func (c *Config) checkNames() (warnings []string, errs []error) {
	if c.Environment == "" {
		errs = append(errs, errors.New("environment: must not be empty"))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Workflows)) {
		w, where := c.Workflows[name], "workflows."+name
		if w.BusinessUnit == "" {
			warnings = append(warnings, where+": has no business_unit; its cost cannot be allocated")
		} else if _, ok := c.BusinessUnits[w.BusinessUnit]; !ok {
			errs = append(errs, fmt.Errorf("%s.business_unit: %q is not among business_units", where, w.BusinessUnit))
		}
		if err := w.Keeping.Check(); err != nil {
			errs = append(errs, fmt.Errorf("%s.%w", where, err))
		}
		if w.Clearance == caller.None {
			errs = append(errs, fmt.Errorf("%s.clearance: is missing: public, internal, confidential or restricted", where))
		}
		for i, rung := range w.Degrade {
			for _, collection := range rung.Extractive {
				if !slices.Contains(w.Collections, collection) && !slices.Contains(w.Collections, "*") {
					warnings = append(warnings, fmt.Sprintf("%s.degrade.%d.extractive: %q is not among the workflow's collections: only what it made itself under that name is searched", where, i, collection))
				}
			}
		}
		for i, collection := range w.Collections {
			if _, ok := c.Collections[collection]; !ok && collection != "*" {
				warnings = append(warnings, fmt.Sprintf("%s.collections.%d: %q is not in this file; it is looked for among those made through the API", where, i, collection))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Collections)) {
		collection, where := c.Collections[name], "collections."+name
		w, err := collection.Check()
		for _, text := range w {
			warnings = append(warnings, where+"."+text)
		}
		for _, one := range unjoin(err) {
			errs = append(errs, fmt.Errorf("%s.%w", where, one))
		}
		for key, model := range map[string]string{"embedding_model": collection.EmbeddingModel, "answer_model": collection.AnswerModel} {
			if _, ok := c.Gateway.Models[model]; !ok && model != "" && model != gateway.BuiltinEmbed && model != gateway.BuiltinAnswer {
				errs = append(errs, fmt.Errorf("%s.%s: %q is not among models", where, key, model))
			}
		}
		if unit := collection.Defaults.BusinessUnit; unit != "" {
			if _, ok := c.BusinessUnits[unit]; !ok {
				errs = append(errs, fmt.Errorf("%s.defaults.business_unit: %q is not among business_units", where, unit))
			}
		}
	}
	if c.Index.URL == index.InDatabase && !strings.HasPrefix(c.Database.URL, "postgres") {
		errs = append(errs, fmt.Errorf("index.url: %q needs a PostgreSQL as database.url", index.InDatabase))
	}
	if c.Redis.URL == "" && strings.HasPrefix(c.Database.URL, "postgres") && c.limited() {
		warnings = append(warnings, "redis: is not configured: where several processes share the database, each counts limits for itself")
	}
	w, wrong := c.checkBudgets()
	return append(warnings, w...), append(errs, wrong...)
}

// limited reports whether anything has limits that processes would share.
func (c *Config) limited() bool {
	for _, w := range c.Workflows {
		if !w.Limits.Zero() || !w.KeyLimits.Zero() {
			return true
		}
	}
	for _, m := range c.Gateway.Models {
		if !m.Limits.Zero() || slices.ContainsFunc(m.Deployments, func(d gateway.DeploymentConfig) bool { return !d.Limits.Zero() }) {
			return true
		}
	}
	return false
}

// checkBudgets asks each budget, and looks up whose it is.
func (c *Config) checkBudgets() (warnings []string, errs []error) {
	for _, name := range slices.Sorted(maps.Keys(c.Budgets)) {
		b, where := c.Budgets[name], "budgets."+name
		if err := cost.CheckBudgetName(name); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", where, err))
		}
		w, err := b.Check()
		for _, text := range w {
			warnings = append(warnings, where+"."+text)
		}
		for _, one := range unjoin(err) {
			errs = append(errs, fmt.Errorf("%s.%w", where, one))
		}
		if b.Of == "" {
			continue
		}
		_, workflow := c.Workflows[b.Of]
		_, unit := c.BusinessUnits[b.Of]
		switch {
		case b.Scope == "workflow" && !workflow && !slices.Contains(ownWorkflows, b.Of):
			errs = append(errs, fmt.Errorf("%s.of: %q is not among workflows", where, b.Of))
		case b.Scope == "business_unit" && !unit:
			errs = append(errs, fmt.Errorf("%s.of: %q is not among business_units", where, b.Of))
		case b.Scope == "environment" && b.Of != c.Environment:
			warnings = append(warnings, fmt.Sprintf("%s.of: this environment is %q; no call falls under a budget of %q", where, c.Environment, b.Of))
		case b.Scope == "user":
			if rules, err := redact.New(c.Gateway.Redaction); err == nil && rules.Name(b.Of) != b.Of {
				warnings = append(warnings, fmt.Sprintf("%s.of: the calls of this user are logged and counted as %s, but for workflows with redact: off: name that, or put the value into redaction.allow", where, rules.Name(b.Of)))
			}
		}
	}
	return warnings, errs
}

// ownWorkflows are those of Airfield's own calls.
var ownWorkflows = []string{"ingest", "search"}

// Check reports what is wrong or unwise about the listener.
func (s Server) Check() (warnings []string, err error) {
	var errs []error
	host, _, splitErr := net.SplitHostPort(s.Listen)
	if splitErr != nil {
		errs = append(errs, fmt.Errorf("listen: %q is not an address and a port, such as 127.0.0.1:8080", s.Listen))
	}
	if (s.TLS.Certificate == "") != (s.TLS.Key == "") {
		errs = append(errs, errors.New("tls: needs both certificate and key"))
	}
	if ip := net.ParseIP(host); splitErr == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()) && s.TLS.Certificate == "" {
		warnings = append(warnings, fmt.Sprintf("listen: %s is reachable from outside, without TLS: keys and texts travel unencrypted", s.Listen))
	}
	for name, v := range map[string]int64{"max_request_bytes": s.MaxRequestBytes, "max_upload_bytes": s.MaxUploadBytes} {
		if v < 1<<10 {
			errs = append(errs, fmt.Errorf("%s: at least 1024, not %d", name, v))
		}
	}
	for name, d := range map[string]time.Duration{"header_timeout": s.HeaderTimeout, "idle_timeout": s.IdleTimeout, "drain": s.Drain} {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("%s: must be more than zero", name))
		}
	}
	return warnings, errors.Join(errs...)
}
