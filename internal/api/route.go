package api

import (
	"net/http"
	"strings"

	"airfield/internal/fault"
)

// Unknown answers what none of a router's routes takes, and is itself its route for everything else: the path is not
// there (404), or is there for other methods (405, with Allow).
func Unknown(mux *http.ServeMux, own string, refuse func(http.ResponseWriter, *http.Request, error), hint string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var offered []string
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			other := *r
			other.Method = method
			if _, pattern := mux.Handler(&other); pattern != own && pattern != "" {
				offered = append(offered, method)
			}
		}
		if len(offered) == 0 {
			refuse(w, r, fault.New(fault.NotFound, "route_unknown", "there is no %s %s here", r.Method, r.URL.Path).Hinted("%s", hint))
			return
		}
		w.Header().Set("Allow", strings.Join(offered, ", "))
		refuse(w, r, fault.New(fault.NotOffered, "method_unknown", "%s takes %s, not %s", r.URL.Path, strings.Join(offered, " or "), r.Method))
	})
}
