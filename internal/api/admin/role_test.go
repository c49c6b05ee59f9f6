package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/caller"
	"airfield/internal/fault"
)

// opens is the decision which roles open which route, besides admin, in letters: Operator, Auditor, Viewer, Workflow.
// A route that is not here fails the test: somebody has to decide.
var opens = map[string]string{
	"DELETE /api/collections/{name}":                        "OW",
	"DELETE /api/documents/{id}":                            "OW",
	"DELETE /api/prices":                                    "",
	"GET /api/audit":                                        "A",
	"GET /api/audit/head":                                   "A",
	"GET /api/audit/verify":                                 "A",
	"GET /api/batches":                                      "OW",
	"GET /api/batches/{batch}":                              "OW",
	"POST /api/batches/{batch}/cancel":                      "OW",
	"GET /api/budgets":                                      "OAV",
	"GET /api/calls":                                        "OAV",
	"GET /api/calls/follow":                                 "OAV",
	"GET /api/calls/{id}":                                   "OAV",
	"GET /api/calls/{id}/body":                              "A", // what was asked and answered
	"GET /api/collections":                                  "OAVW",
	"GET /api/collections/{name}":                           "OAVW",
	"GET /api/collections/{name}/documents":                 "OAVW",
	"GET /api/costs":                                        "OAV",
	"GET /api/dead-letters":                                 "OAVW",
	"GET /api/dead-letters/{run}":                           "OAVW",
	"GET /api/documents/{id}":                               "OAVW",
	"GET /api/documents/{id}/chunks":                        "OW", // what a document says, like its content
	"GET /api/documents/{id}/content":                       "OW",
	"POST /api/collections/{name}/erasures":                 "OW",
	"GET /api/erasures/{id}":                                "OAW",
	"GET /api/lineage":                                      "OAVW",
	"GET /api/pauses":                                       "OAV",
	"POST /api/pause":                                       "O",
	"POST /api/resume":                                      "O",
	"POST /api/cancel":                                      "O",
	"GET /api/holds":                                        "OA",
	"POST /api/documents/{id}/hold":                         "O", // must bind those whose documents they are
	"POST /api/documents/{id}/release":                      "O",
	"POST /api/collections/{name}/hold":                     "O",
	"POST /api/collections/{name}/release":                  "O",
	"GET /api/documents/{id}/proof":                         "OAW",
	"GET /api/documents/{id}/versions":                      "OAVW",
	"GET /api/keys":                                         "",
	"GET /api/notify":                                       "OAV",
	"POST /api/notify/test":                                 "O",
	"GET /api/route":                                        "OAV",
	"GET /api/prices":                                       "OAV",
	"GET /api/prompts":                                      "OAV",
	"GET /api/prompts/{name}/history":                       "OAV",
	"GET /api/prompts/{name}/versions/{version}":            "OA", // what it says
	"POST /api/prompts/{name}/labels/{label}":               "O",
	"POST /api/prompts/{name}/labels/{label}/rollback":      "O",
	"POST /api/prompts/{name}/render":                       "OA",
	"POST /api/prompts/{name}/replay":                       "", // shows what was asked and answered, and spends
	"POST /api/prompts/{name}/versions":                     "O",
	"GET /api/sources":                                      "OAV",
	"GET /api/status":                                       "OAV",
	"GET /api/traces/{id}":                                  "OAV",
	"GET /api/why":                                          "OAVW",
	"POST /api/backup":                                      "",
	"POST /api/budgets/write-off":                           "",
	"POST /api/collections/{name}/documents":                "OW",
	"POST /api/collections/{name}/sources/{source}/confirm": "O",
	"POST /api/collections/{name}/sources/{source}/scan":    "O",
	"POST /api/collections/{name}/sources/{source}/events":  "O",
	"GET /api/collections/{name}/refresh":                   "O", // queries of its gate are headings
	"POST /api/collections/{name}/refresh":                  "O", // spends
	"POST /api/collections/{name}/refresh/cancel":           "O",
	"POST /api/collections/{name}/refresh/plan":             "O",
	"POST /api/collections/{name}/refresh/rollback":         "O",
	"POST /api/collections/{name}/refresh/switch":           "O",
	"POST /api/dead-letters/replay":                         "O",
	"POST /api/dead-letters/{run}/discard":                  "OW",
	"POST /api/dead-letters/{run}/replay":                   "OW",
	"POST /api/flush":                                       "O",
	"POST /api/keys":                                        "",
	"POST /api/keys/{id}/revoke":                            "",
	"POST /api/prices/import":                               "",
	"POST /api/prices/reprice":                              "",
	"POST /api/reload":                                      "O",
	"POST /api/route/explain":                               "OAV",
	"POST /api/versions":                                    "OAVW",
}

// valid is what a route needs to be asked at all.
var valid = map[string]struct{ query, body string }{
	"POST /api/collections/{name}/erasures":            {body: `{"where":{"a":"b"}}`},
	"POST /api/collections/{name}/hold":                {body: `{"where":{"a":"b"},"reason":"r"}`},
	"POST /api/collections/{name}/release":             {body: `{"where":{"a":"b"},"reason":"r"}`},
	"POST /api/documents/{id}/hold":                    {body: `{"reason":"r"}`},
	"POST /api/documents/{id}/release":                 {body: `{"reason":"r"}`},
	"POST /api/pause":                                  {body: `{"target":"c"}`},
	"POST /api/resume":                                 {body: `{"target":"c"}`},
	"POST /api/cancel":                                 {body: `{"target":"c"}`},
	"GET /api/lineage":                                 {query: "?of=doc_1"},
	"GET /api/why":                                     {query: "?document=doc_1"},
	"POST /api/budgets/write-off":                      {body: `{"lease":"l"}`},
	"DELETE /api/prices":                               {query: "?provider=p&model=m"},
	"POST /api/keys":                                   {body: `{"name":"x","role":"viewer"}`},
	"POST /api/route/explain":                          {body: `{"request":{"model":"x"}}`},
	"POST /api/prompts/{name}/labels/{label}":          {body: `{"version":1}`},
	"POST /api/prompts/{name}/labels/{label}/rollback": {body: `{}`},
	"POST /api/prompts/{name}/render":                  {body: `{}`},
	"POST /api/prompts/{name}/replay":                  {query: "?budget=1"},
	"POST /api/prompts/{name}/versions":                {body: `{"prompt":{"messages":[{"role":"user","content":"x"}]}}`},
	"POST /api/collections/{name}/refresh":             {body: `{}`},
	"POST /api/collections/{name}/refresh/plan":        {body: `{}`},
	"POST /api/collections/{name}/refresh/switch":      {body: `{}`},
	"POST /api/versions":                               {body: `{"ids":["ver_1"]}`},
	"POST /api/collections/{name}/documents":           {query: "?name=a.txt", body: "text"},
}

func TestEachRouteOpensToTheRolesThatWereDecided(t *testing.T) {
	seen := map[string]bool{}
	for path, item := range OpenAPI().Paths {
		for _, operation := range []*huma.Operation{item.Get, item.Post, item.Delete, item.Put, item.Patch} {
			if operation == nil {
				continue
			}
			route := operation.Method + " " + path
			seen[route] = true
			letters, decided := opens[route]
			if !decided {
				t.Errorf("nobody has decided who may %s", route)
				continue
			}
			for role, letter := range map[caller.Role]string{caller.Admin: "", caller.Operator: "O", caller.Auditor: "A", caller.Viewer: "V", caller.Workflow: "W"} {
				if got, want := lets(t, route, role), strings.Contains(letters, letter); got != want {
					t.Errorf("%s lets in %s: %v", route, role, got)
				}
			}
			if lets(t, route, "") {
				t.Errorf("%s lets in nobody", route)
			}
		}
	}
	for route := range opens {
		if !seen[route] {
			t.Errorf("%s is decided and not there", route)
		}
	}
}

// lets asks a door behind which there is nothing: who gets past it falls, or is told what is wrong with the request.
func lets(t *testing.T, route string, role caller.Role) (in bool) {
	t.Helper()
	d := &Door{Log: slog.New(slog.DiscardHandler), Authentication: func(context.Context, string) (*caller.Caller, error) {
		if !slices.Contains(caller.Roles, role) {
			return nil, fault.New(fault.Unauthenticated, "key_missing", "this needs a key")
		}
		return &caller.Caller{Role: role, Workflow: "w", Clearance: caller.Restricted}, nil
	}}
	method, path, _ := strings.Cut(route, " ")
	path = strings.NewReplacer("{name}", "c", "{id}", "i", "{run}", "r", "{source}", "s", "{version}", "1", "{label}", "live").Replace(path)
	r := httptest.NewRequest(method, path+valid[route].query, strings.NewReader(valid[route].body))
	if strings.HasPrefix(valid[route].body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				t.Error(p)
			}
			in = true
		}
	}()
	w := httptest.NewRecorder()
	d.Handler().ServeHTTP(w, r)
	if w.Code == http.StatusUnprocessableEntity {
		t.Fatalf("%s was not asked as it wants to be: %s", route, w.Body)
	}
	return w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden
}
