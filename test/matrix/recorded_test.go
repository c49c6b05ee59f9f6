package matrix

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"golang.org/x/tools/txtar"
)

// recorded is a provider that answers with what is recorded of it. Which case is meant the name of the model says, which
// stands in the request's body or its path.
type recorded struct {
	*httptest.Server
	cases map[string]map[string][]byte
}

func record(t *testing.T, folder string) *recorded {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing is recorded in %s: %v", folder, err)
	}
	also, err := filepath.Glob(filepath.Join(folder, "responses", "*.txtar")) // what it says where it is asked for responses
	if err != nil {
		t.Fatal(err)
	}
	r := &recorded{cases: map[string]map[string][]byte{}}
	for _, file := range append(files, also...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := map[string][]byte{}
		for _, f := range txtar.Parse(text).Files {
			parts[f.Name] = f.Data
		}
		name, err := filepath.Rel(folder, file)
		if err != nil {
			t.Fatal(err)
		}
		r.cases[strings.TrimSuffix(filepath.ToSlash(name), ".txtar")] = parts
	}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// named finds the case in the name of a model, whatever a provider makes of it.
var named = regexp.MustCompile(`case-([a-z_]+)`)

func (r *recorded) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	found := named.FindStringSubmatch(q.URL.Path)
	if found == nil {
		found = named.FindStringSubmatch(string(body))
	}
	name := ""
	if found != nil {
		if name = found[1]; strings.HasSuffix(q.URL.Path, "/responses") {
			name = "responses/" + name
		}
	}
	if r.cases[name] == nil {
		http.Error(w, `{"error":{"message":"no such case","type":"not_found"}}`, http.StatusNotFound)
		return
	}
	parts := r.cases[name]
	answer, mediaType := parts["answer.json"], "application/json"
	switch {
	case parts["answer.sse"] != nil:
		answer, mediaType = parts["answer.sse"], "text/event-stream"
	case parts["answer.events"] != nil:
		answer, mediaType = frames(parts["answer.events"]), "application/vnd.amazon.eventstream"
	}
	w.Header().Set("Content-Type", mediaType)
	for line := range strings.Lines(string(parts["headers"])) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			w.Header().Set(name, strings.TrimSpace(value))
		}
	}
	status := http.StatusOK
	if text := strings.TrimSpace(string(parts["status"])); text != "" {
		if status, err = strconv.Atoi(text); err != nil {
			panic(err)
		}
	}
	w.WriteHeader(status)
	w.Write(answer)
}

// frames are events as AWS sends them.
func frames(lines []byte) []byte {
	var out bytes.Buffer
	encoder := eventstream.NewEncoder()
	for line := range bytes.Lines(lines) {
		var e struct {
			Type      string
			Exception bool
			Payload   json.RawMessage
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if err := json.Unmarshal(line, &e); err != nil {
			panic(err)
		}
		kind, name := "event", ":event-type"
		if e.Exception || strings.HasSuffix(e.Type, "Exception") {
			kind, name = "exception", ":exception-type"
		}
		m := eventstream.Message{Payload: e.Payload}
		m.Headers.Set(":message-type", eventstream.StringValue(kind))
		m.Headers.Set(name, eventstream.StringValue(e.Type))
		m.Headers.Set(":content-type", eventstream.StringValue("application/json"))
		if err := encoder.Encode(&out, m); err != nil {
			panic(err)
		}
	}
	return out.Bytes()
}
