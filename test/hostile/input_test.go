package hostile

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"airfield/internal/api/admin"
	"airfield/internal/api/anthropic"
	"airfield/internal/api/openai"

	"github.com/danielgtaylor/huma/v2"
)

// values are JSON, and what pretends to be, for any field.
func values() map[string]string {
	long := make([]byte, 12<<10) // random, so that no database makes it short
	for i := range long {
		long[i] = 'a' + byte(rand.N(26))
	}
	return map[string]string{
		"null": `null`, "a list": `[]`, "an object": `{}`, "a boolean": `true`, "a fraction": `1.5`, "below zero": `-1`, "no number": `NaN`, "infinite": `1e400`,
		"the largest integer": `9223372036854775807`, "one more": `9223372036854775808`, "empty": `""`, "NUL": `"a\u0000b"`, "half a pair": `"\ud800"`, "no UTF-8": "\"\xff\xfe\"",
		"a way up": `"../../x"`, "a drive": `"C:\\x"`, "an absolute path": `"/etc/passwd"`, "right to left": "\"\u202egnp.exe \U0001F600\"", "a list of NUL": `["\u0000"]`,
		"a list of null": `[null]`, "an object of NUL": `{"a\u0000":"b\u0000"}`, "deep": strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000),
		"deep objects": strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000), "long": `"` + string(long) + `"`, "a deep filter": strings.Repeat(`{"type":"and","filters":[`, 2000) + strings.Repeat("]}", 2000),
	}
}

// segments stand where a path or a query has a name.
var segments = []string{"%00", "a%00b", "%ff%fe", "..%2f..%2fx", "C:%5Cx", "%0a", "%25", "%E2%80%AE", "-1", "9223372036854775808", strings.Repeat("x", 5000)}

// bodies are valid requests, of which one field at a time is replaced.
var bodies = map[string]map[string]string{
	"/v1/chat/completions":                  {"model": `"builtin-answer"`, "messages": `[{"role":"user","content":"hi"}]`, "stream": `false`, "max_tokens": `5`, "n": `1`, "stream_options": `{}`},
	"/v1/embeddings":                        {"model": `"builtin-embed"`, "input": `"hi"`},
	"/v1/answers":                           {"question": `"hi"`, "collection": `"papers"`, "collections": `["papers"]`, "model": `"builtin-answer"`, "limit": `5`, "filters": `{"type":"eq","key":"a","value":"b"}`, "max_tokens": `10`},
	"/v1/vector_stores":                     {"name": `"x"`, "description": `"d"`, "file_ids": `[]`, "metadata": `{}`, "chunking_strategy": `{"type":"auto"}`, "expires_after": `null`},
	"/v1/vector_stores/papers":              {"name": `"x"`, "metadata": `{}`},
	"/v1/vector_stores/papers/search":       {"query": `"hi"`, "max_num_results": `5`, "filters": `{"type":"eq","key":"a","value":"b"}`, "ranking_options": `{"score_threshold":0}`, "mode": `"hybrid"`},
	"/v1/vector_stores/papers/files":        {"file_id": `"file_1"`, "attributes": `{"a":"b"}`},
	"/v1/vector_stores/papers/files/file_1": {"attributes": `{"a":1}`},
	"/v1/vector_stores/papers/file_batches": {"file_ids": `["file_1"]`, "files": `[]`, "attributes": `{}`},
	"/api/keys":                             {"name": `"k"`, "role": `"workflow"`, "workflow": `"team"`, "clearance": `"public"`, "expires_at": `"2130-01-01T00:00:00Z"`},
	"/api/versions":                         {"ids": `["ver_1"]`},
}

func object(fields map[string]string, over, value string) []byte {
	var parts []string
	for name, v := range fields {
		if name == over {
			v = value
		}
		parts = append(parts, `"`+name+`":`+v)
	}
	return []byte("{" + strings.Join(parts, ",") + "}")
}

func TestNoInputIsAnErrorOfTheServer(t *testing.T) {
	described := admin.OpenAPI().Paths
	each(t, func(t *testing.T, s *server) {
		for path, fields := range bodies {
			for _, value := range values() {
				s.send("POST", path, []byte(value))
				for name := range fields {
					s.send("POST", path, object(fields, name, value))
				}
			}
			s.send("POST", path, []byte{})
			s.send("POST", path, []byte(`{}{}`))
		}
		for _, route := range routes() {
			method, path, _ := strings.Cut(route, " ")
			if path == "/api/backup" || path == "/api/reload" {
				continue // read nothing of the request
			}
			for _, segment := range segments {
				s.send(method, fill(path, segment)+"?"+strings.ReplaceAll(parameters, "@", segment), []byte(`{"file_id":"x","file_ids":["x"],"name":"x","query":"x"}`))
				if method == "GET" {
					for parameter := range strings.SplitSeq(parameters, "&") {
						if reads(described, path, strings.TrimRight(parameter, "=@.")) {
							s.send(method, fill(path, "papers")+"?"+strings.ReplaceAll(parameter, "@", segment), nil)
						}
					}
				}
			}
		}
		for _, value := range values() {
			if len(value) < 20<<10 && !strings.ContainsAny(value, "\n\r\x00") {
				s.send("POST", "/api/collections/papers/documents?name=m.txt", []byte("text"), "Airfield-Metadata", value, "Content-Type", "text/plain")
				s.send("POST", "/api/collections/papers/documents?name=m.txt", []byte("text"), "Airfield-Metadata", `{"k":`+value+`,"title":`+value+`,"tags":`+value+`}`, "Content-Type", "text/plain")
			}
		}
		s.send("POST", "/v1/chat/completions", object(bodies["/v1/chat/completions"], "", ""), "X-Airfield-Tags", "a=\xff", "X-Airfield-User", strings.Repeat("\xff", 300), "Traceparent", "00-"+strings.Repeat("\xff", 32)+"-x-01")

		// The log goes on: everything is in the database, nothing broke on the way.
		s.send("POST", "/api/flush", []byte{})
		if log := s.Log(); strings.Contains(log, `"level":"ERROR"`) || strings.Contains(log, "panic") {
			t.Error("the server's log has errors")
		}
	})
}

// parameters are those that any route reads.
const parameters = "after=@&limit=@&filter=@&purpose=@&order=@&state=@&source=@&version=@&document=@&collection=@&code=@&actor=@&action=@&action=@.&target=@&from=@&to=@&before=@&sequence=@&hash=@&workflow=@&model=@&outcome=@&trace=@&since=@&until=@&by=@&name=@&key=@"

// reads reports whether a route may look at a parameter: the admin API says so, the other takes any of a few.
func reads(paths map[string]*huma.PathItem, path, parameter string) bool {
	item := paths[path]
	if item == nil || item.Get == nil {
		return slices.Contains([]string{"after", "limit", "filter", "purpose", "order"}, parameter)
	}
	return slices.ContainsFunc(item.Get.Parameters, func(p *huma.Param) bool { return p.In == "query" && p.Name == parameter })
}

// routes are all of the doors.
func routes() (list []string) {
	for _, r := range openai.Routes() {
		list = append(list, r.Method+" "+r.Path)
	}
	for _, r := range anthropic.Routes() {
		list = append(list, r.Method+" "+r.Path)
	}
	slices.Sort(list)
	list = slices.Compact(list) // the models are in both
	for path, item := range admin.OpenAPI().Paths {
		for _, operation := range []*huma.Operation{item.Get, item.Post, item.Delete} {
			if operation != nil {
				list = append(list, operation.Method+" "+path)
			}
		}
	}
	slices.Sort(list)
	return list
}

// fill puts a name wherever a path has one.
func fill(path, name string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(path, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, path, _ = strings.Cut(rest, "}")
		b.WriteString(name)
	}
}

func TestFormsAreTakenWholeOrNotAtAll(t *testing.T) {
	const file, purpose = "Content-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n\r\nhello", "Content-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants"
	named := func(name string) string { return fmt.Sprintf(file, name) }
	each(t, func(t *testing.T, s *server) {
		form := func(parts ...string) answer {
			body := ""
			for _, p := range parts {
				body += "--B\r\n" + p + "\r\n"
			}
			return s.send("POST", "/v1/files", []byte(body+"--B--\r\n"), "Content-Type", "multipart/form-data; boundary=B")
		}
		files := func() (list []struct{ ID, Filename, Purpose string }) {
			var page struct {
				Data []struct{ ID, Filename, Purpose string }
			}
			s.send("GET", "/v1/files?limit=1000", nil).read(t, &page)
			return page.Data
		}
		for what, parts := range map[string][]string{
			"no part": {}, "no file": {purpose}, "no purpose": {named("a.txt")}, "no file name": {purpose, "Content-Disposition: form-data; name=\"file\"\r\n\r\nx"},
			"two files": {purpose, named("a.txt"), named("b.txt")}, "NUL in the name": {named("\x00.txt"), purpose}, "a broken header": {named("a\r\nb"), purpose}, "a name too long": {named(strings.Repeat("a", 5000)), purpose},
			"a long purpose behind": {named("a.txt"), strings.Replace(purpose, "assistants", strings.Repeat("z", 200), 1)},
		} {
			if a := form(parts...); a.status < 400 {
				t.Errorf("%s: %d %s", what, a.status, a.body)
			}
			if left := files(); len(left) != 0 {
				t.Fatalf("%s left %v", what, left)
			}
		}
		for name, want := range map[string]string{"../../x.txt": "x.txt", "/etc/passwd": "passwd", `C:\x\y.txt`: "y.txt", "\xff.txt": "\ufffd.txt"} {
			if a := form(named(strings.ReplaceAll(name, `\`, `\\`)), purpose); a.status != 200 {
				t.Errorf("%q: %d %s", name, a.status, a.body)
			}
			left := files()
			if len(left) != 1 || left[0].Filename != want || left[0].Purpose != "assistants" {
				t.Fatalf("%q became %+v", name, left)
			}
			s.send("DELETE", "/v1/files/"+left[0].ID, nil)
		}
		body, _ := json.Marshal(map[string]any{"name": "halfway", "file_ids": []string{"file_1"}})
		if a := s.send("POST", "/v1/vector_stores", body); a.status != 404 || s.send("GET", "/v1/vector_stores/halfway", nil).status != 404 {
			t.Errorf("a store was made for a file that is not there: %d %s", a.status, a.body)
		}
	})
}
