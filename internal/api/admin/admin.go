// Package admin is the door for running the place: the API under /api that the command line and the console use. It is
// described by OpenAPI 3.1 at /api/openapi.json; errors are RFC 9457 problems.
package admin

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"airfield/internal/access"
	"airfield/internal/api"
	"airfield/internal/batch"
	"airfield/internal/caller"
	"airfield/internal/cost"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/index"
	"airfield/internal/ingest"
	"airfield/internal/notify"
	"airfield/internal/observe"
	"airfield/internal/observe/body"
	"airfield/internal/prompt"
)

// Door serves /api.
type Door struct {
	Keys           *access.Keys
	Audit          *access.Audit
	Ingest         *ingest.Pipeline
	Calls          *observe.Store
	Bodies         *body.Store
	Costs          *cost.Ledger
	Gateway        *gateway.Gateway
	Notify         *notify.Notifier
	Budgets        *cost.Budgets
	Prices         Prices
	Batches        *batch.Batches
	Prompts        *prompt.Registry
	Replays        *prompt.Replayer
	IndexSize      func(ctx context.Context, collectionID string) (index.Stats, error)
	System         System
	MaxUpload      int64
	Version        string
	Authentication api.Authenticate
	Log            *slog.Logger
}

// System is the process itself, as the wiring knows it.
type System interface {
	// Status says how the process and each of its parts are.
	Status(ctx context.Context) ServerStatus
	// Flush waits until every call that ended before is in the database.
	Flush(ctx context.Context) error
	// Scan compares a source with what is there, now.
	Scan(ctx context.Context, collection, source string) error
	// Wake has a source looked at soon, because somebody says that something there has changed.
	Wake(ctx context.Context, collection, source string) error
	// Backup writes a consistent copy of the installation as a tar stream.
	Backup(ctx context.Context, w http.ResponseWriter) error
	// Reload takes over the configuration file as it is now.
	Reload(ctx context.Context) ([]string, error)
}

// ServerStatus is the state of a process.
type ServerStatus struct {
	Environment string        `json:"environment"`
	Version     string        `json:"version"`
	Role        string        `json:"role"`
	Started     time.Time     `json:"started"`
	Ready       bool          `json:"ready"`
	Parts       []Part        `json:"parts"`
	Uptime      time.Duration `json:"uptime_ns"`
}

// Part is one part's health.
type Part struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// The roles that open routes, besides admin.
var (
	everybody  = []caller.Role{caller.Viewer, caller.Operator, caller.Auditor, caller.Workflow}
	readers    = []caller.Role{caller.Viewer, caller.Operator, caller.Auditor}
	documents  = []caller.Role{caller.Operator, caller.Workflow} // what belongs to whom is ingest's to decide
	proofs     = []caller.Role{caller.Operator, caller.Auditor, caller.Workflow}
	operators  = []caller.Role{caller.Operator}
	auditors   = []caller.Role{caller.Auditor}
	texts      = []caller.Role{caller.Operator, caller.Auditor} // what prompts say
	adminsOnly = []caller.Role{}
)

// Handler returns the routes. All of them ask for a key, except the description of the API.
func (d *Door) Handler() http.Handler {
	mux := http.NewServeMux()
	a := New(mux)
	d.register(a)
	for _, s := range d.streams() {
		mux.Handle(s.method+" "+s.path, d.stream(s.roles, s.handler))
	}
	mux.Handle("/api/", api.Unknown(mux, "/api/", api.WriteProblem, "GET /api/openapi.json describes what there is"))
	guarded := api.Guard(d.Authentication, api.WriteProblem, everybody, mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && (r.URL.Path == "/api/openapi.json" || r.URL.Path == "/api/openapi.yaml") {
			mux.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// New makes an empty API on a mux; the generator of the reference uses it too.
func New(mux *http.ServeMux) huma.API {
	c := huma.DefaultConfig("Airfield admin API", "1")
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "/api/openapi", "", ""
	c.CreateHooks = nil // no $schema links in the answers
	c.Transformers = append(c.Transformers, problemOf)
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"key": {Type: "http", Scheme: "bearer"}}
	c.Security = []map[string][]string{{"key": {}}}
	return humago.New(mux, c)
}

// OpenAPI is the description of the API, for the generator of the reference.
func OpenAPI() *huma.OpenAPI {
	a := New(http.NewServeMux())
	(&Door{}).register(a)
	return a.OpenAPI()
}

// reply wraps an answer as huma wants it.
type reply[T any] struct{ Body T }

// none is the answer of what only succeeds.
type none struct{}

// route is one operation.
type route struct {
	method, path, id, summary string
	roles                     []caller.Role
}

func (r route) operation() huma.Operation {
	return huma.Operation{Method: r.method, Path: r.path, OperationID: r.id, Summary: r.summary, Description: "Roles: " + api.RoleNames(r.roles) + ".", MaxBodyBytes: 1 << 20}
}

// add registers an operation that only callers with one of the roles may do.
func add[In, Out any](a huma.API, log *slog.Logger, r route, fn func(ctx context.Context, in *In) (Out, error)) {
	op := r.operation()
	op.Middlewares = huma.Middlewares{r.admit} // before the request is looked into
	huma.Register(a, op,
		func(ctx context.Context, in *In) (*reply[Out], error) {
			out, err := fn(ctx, in)
			if err != nil {
				if fault.Is(err, fault.Internal) {
					log.Error("request failed", "operation", r.id, "error", err)
				}
				return nil, api.ProblemOf(err)
			}
			return &reply[Out]{Body: out}, nil
		})
}

// admit lets callers with one of the route's roles through.
func (r route) admit(ctx huma.Context, next func(huma.Context)) {
	if who := caller.From(ctx.Context()); !who.Is(r.roles...) {
		_, w := humago.Unwrap(ctx)
		api.WriteProblem(w, nil, api.Denied(who, r.roles))
		return
	}
	next(ctx)
}
