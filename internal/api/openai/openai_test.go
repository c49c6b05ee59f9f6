package openai

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"airfield/internal/api"
	"airfield/internal/fault"
)

func TestABodyThatCannotBeReadIsToldInWordsOfTheRequest(t *testing.T) {
	for body, want := range map[string]string{
		`{"query":"a","max_num_results":3}`:    "",
		`{"query":["a","b"]}`:                  "",
		``:                                     "the request has no body",
		`{"query":`:                            "the JSON of the request's body ends too early",
		`{"query":"a"} {"query":"b"}`:          "something follows the JSON of the request's body",
		`[]`:                                   "the request's body must be a JSON object, not a list",
		`"a"`:                                  "the request's body must be a JSON object, not a text",
		`{"query":1}`:                          "query must be a text or a list of texts",
		`{"max_num_results":"x"}`:              "the field max_num_results must be a whole number, not a text",
		`{"ranking_options":[]}`:               "the field ranking_options must be an object, not a list",
		`{"query":x}`:                          "the request's body is not valid JSON at byte 10: invalid character 'x' looking for beginning of value",
		`{"query":"` + strings.Repeat("a", 99): "the request has more than the 64 bytes allowed",
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(body))
		api.Bound(w, r, 64)
		var q searchRequest
		err := decode(r, &q)
		got := ""
		if err != nil {
			got = fault.As(err).Text
		}
		if got != want {
			t.Errorf("%s: %q, not %q", body, got, want)
		}
	}
}

func TestARouteIsKnownByItsMethod(t *testing.T) {
	for path, want := range map[string]int{"/v1/chat/completions": 405, "/v1/files/file_1/content": 405, "/v1/nothing": 404} {
		w := httptest.NewRecorder()
		mux := http.NewServeMux()
		d := &Door{}
		for _, r := range d.routes() {
			mux.HandleFunc(r.Method+" "+r.Path, r.handler)
		}
		mux.Handle("/v1/", api.Unknown(mux, "/v1/", func(w http.ResponseWriter, _ *http.Request, err error) { w.WriteHeader(fault.KindOf(err).Status()) }, ""))
		mux.ServeHTTP(w, httptest.NewRequest("PUT", path, nil))
		if w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
