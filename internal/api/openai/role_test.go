package openai

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/fault"
)

// Who uses models and documents has a key of a workflow; the other roles run or watch the place.
func TestTheModelAPIOpensToWorkflowsAndOperatorsOnly(t *testing.T) {
	for _, route := range Routes() {
		for _, role := range append([]caller.Role{""}, caller.Roles...) {
			want := role == caller.Admin || role == caller.Operator || role == caller.Workflow
			if got := lets(route, role); got != want {
				t.Errorf("%s %s lets in %q: %v", route.Method, route.Path, role, got)
			}
		}
	}
}

// lets asks a door behind which there is nothing: who gets past it falls, or is told what is wrong with the request.
func lets(route Route, role caller.Role) (in bool) {
	d := &Door{Log: slog.New(slog.DiscardHandler), MaxRequest: 1 << 10, MaxUpload: 1 << 10, Authentication: func(context.Context, string) (*caller.Caller, error) {
		if !slices.Contains(caller.Roles, role) {
			return nil, fault.New(fault.Unauthenticated, "key_missing", "this needs a key")
		}
		return &caller.Caller{Role: role, Workflow: "w", Clearance: caller.Restricted}, nil
	}}
	path := strings.NewReplacer("{model...}", "m", "{store}", "s", "{file}", "file_1", "{batch}", "b", "{response}", "resp_1").Replace(route.Path)
	defer func() { in = in || recover() != nil }()
	w := httptest.NewRecorder()
	d.Handler().ServeHTTP(w, httptest.NewRequest(route.Method, path, strings.NewReader(`{}`)))
	return w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden
}
