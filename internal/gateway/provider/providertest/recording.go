package providertest

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// recording is an exchange in a provider's own words.
type recording struct {
	source  string // what its comment says
	request []byte
	answer  []byte
	kind    string // of the answer: json, sse, events
	status  int
	header  http.Header
}

// read takes a file of recorded exchanges apart: request.json, answer.json, answer.sse or answer.events, and where the
// answer is no simple one status and headers. The comment says where the format is documented.
func read(path string) (*recording, error) {
	a, err := txtar.ParseFile(path)
	if err != nil {
		return nil, err
	}
	r := &recording{source: string(bytes.TrimSpace(a.Comment)), status: http.StatusOK, header: http.Header{}}
	for _, f := range a.Files {
		text := strings.TrimSpace(string(f.Data))
		switch name, kind, _ := strings.Cut(f.Name, "."); {
		case f.Name == "request.json":
			r.request = f.Data
		case name == "answer" && r.answer == nil && (kind == "json" || kind == "sse" || kind == "events"):
			r.answer, r.kind = f.Data, kind
		case f.Name == "status":
			if r.status, err = strconv.Atoi(text); err != nil {
				return nil, fmt.Errorf("%s: status: %w", path, err)
			}
		case f.Name == "headers":
			for line := range strings.Lines(text) {
				field, value, ok := strings.Cut(line, ":")
				if !ok {
					return nil, fmt.Errorf("%s: headers: %q is none", path, line)
				}
				r.header.Add(strings.TrimSpace(field), strings.TrimSpace(value))
			}
		default:
			return nil, fmt.Errorf("%s: %s is not a file of a recording, or the second of its kind", path, f.Name)
		}
	}
	switch {
	case r.request == nil || r.answer == nil:
		return nil, fmt.Errorf("%s lacks its request or its answer", path)
	case !strings.Contains(r.source, "https://"):
		return nil, fmt.Errorf("%s does not say where its format is documented", path)
	}
	return r, nil
}

// Recorded lists the cases that a provider's folder has a recording of, in the order of Cases.
func Recorded(folder string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "testdata", "*.txtar"))
	if err != nil {
		return nil, err
	}
	have := map[string]bool{}
	for _, f := range files {
		have[strings.TrimSuffix(filepath.Base(f), ".txtar")] = true
	}
	var names []string
	for _, c := range Cases() {
		if have[c.Name] {
			names = append(names, c.Name)
		}
	}
	if have[Embeddings] {
		names = append(names, Embeddings)
	}
	return names, nil
}
