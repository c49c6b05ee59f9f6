package page

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestThePageHoldsNothingAndRunsOnlyItsOwnScript(t *testing.T) {
	for path, want := range map[string]string{"/": "<title>Airfield</title>", "/assets/status.js": "sessionStorage", "/assets/status.css": "[hidden]"} {
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: status %d, no %q", path, w.Code, want)
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest("GET", "/assets/../page.go", nil))
	if w.Code == 200 {
		t.Errorf("served %s", w.Body.String()[:40])
	}
}
