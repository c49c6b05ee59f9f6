package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/config"
	"airfield/internal/ingest"
	"airfield/internal/ingest/extract"
)

// The test's binary stands for ours where documents are read in a process of their own.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "extract-child" {
		if extract.Child(os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const mcpConfig = `
business_units:
  sales: {}
workflows:
  pilot: {business_unit: sales, clearance: restricted, collections: [handbook]}
  other: {business_unit: sales, clearance: restricted}
collections:
  handbook: {description: How we work, defaults: {tier: internal}}
  secrets: {description: Not for the pilot}
`

// office is an installation with documents of two tiers, and the door of the gateway's role before it.
type office struct {
	*httptest.Server
	parts     *parts
	documents map[string]string // ids, by file
	keys      map[string]string // by what they are
}

func newOffice(t *testing.T, more ...string) *office {
	dir := t.TempDir()
	path := filepath.Join(dir, "airfield.yaml")
	if err := os.WriteFile(path, []byte(mcpConfig+strings.Join(more, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	p, err := build(ctx, c, log)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{options: Options{Role: "gateway", Version: "test"}, parts: p, log: log, started: time.Now()}
	s.config.Store(c)
	if err := s.syncCollections(ctx, c); err != nil {
		t.Fatal(err)
	}
	p.ingest.Register(p.jobs)
	work, stop := context.WithCancel(ctx)
	done := make(chan error, 3)
	for _, run := range []func(context.Context) error{p.jobs.Run, p.feed.Run, p.drain.Run} {
		go func() { done <- run(work) }()
	}
	o := &office{Server: httptest.NewServer(s.handler(p.keys.Authenticate)), parts: p, documents: map[string]string{}, keys: map[string]string{}}
	t.Cleanup(func() {
		o.Server.Close()
		stop()
		for range 3 {
			<-done
		}
		p.close()
	})
	admin := caller.With(ctx, &caller.Caller{Role: caller.Admin, Clearance: caller.Restricted})
	var versions []string
	for name, d := range map[string]struct {
		collection, text string
		tier             caller.Tier
	}{
		"leave.md":  {"handbook", "# Leave\n\n## Notice\n\nThe notice period is thirty days.", caller.Internal},
		"salary.md": {"handbook", "# Salaries\n\n## Board\n\nThe salary of the chair is nine zlotys.", caller.Restricted},
		"long.md":   {"handbook", "# Long\n\n" + strings.Repeat("The rules of the canteen are many and are read by few. ", 1500), caller.Public},
		"codes.md":  {"secrets", "# Codes\n\nThe code of the vault is 1234.", caller.Public},
	} {
		r, err := p.ingest.Upload(admin, d.collection, ingest.Upload{Name: name, Reader: strings.NewReader(d.text), Metadata: ingest.Metadata{Tier: d.tier}})
		if err != nil {
			t.Fatal(err)
		}
		o.documents[name], versions = r.DocumentID, append(versions, r.VersionID)
	}
	ended, err := p.ingest.Wait(admin, versions, nil)
	if err != nil || slices.ContainsFunc(ended, func(v ingest.Version) bool { return v.State != ingest.Live }) {
		t.Fatalf("%+v %v", ended, err)
	}
	for name, n := range map[string]access.New{
		"cleared": {Role: caller.Workflow, Workflow: "pilot"}, "internal": {Role: caller.Workflow, Workflow: "pilot", Clearance: caller.Internal},
		"other": {Role: caller.Workflow, Workflow: "other"}, "auditor": {Role: caller.Auditor},
	} {
		n.Name = name
		_, key, err := p.keys.Create(admin, n)
		if err != nil {
			t.Fatal(err)
		}
		o.keys[name] = key
	}
	return o
}

// bearer shows a key with every request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func (o *office) connect(t *testing.T, key string) *sdk.ClientSession {
	t.Helper()
	client := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &sdk.StreamableClientTransport{Endpoint: o.URL + "/mcp", HTTPClient: &http.Client{Transport: bearer(o.keys[key])}, DisableStandaloneSSE: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// use calls a tool and reads what it gives; an error of the tool comes as its text.
func use[Out any](t *testing.T, s *sdk.ClientSession, tool string, arguments map[string]any) (out Out, text string, failed bool) {
	t.Helper()
	res, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	for _, c := range res.Content {
		text += c.(*sdk.TextContent).Text
	}
	if res.IsError {
		return out, text, true
	}
	b, err := json.Marshal(res.StructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%s: %v: %s", tool, err, b)
	}
	return out, text, false
}

type anyPassages struct {
	Passages []struct {
		DocumentID string `json:"document_id"`
		Title      string `json:"title"`
		Heading    []string
		Score      float64
		Text       string
	}
	Next int
}

func TestAnAssistantFindsReadsAndIsAnsweredWithinItsClearance(t *testing.T) {
	o := newOffice(t)
	s := o.connect(t, "internal")

	tools, err := s.ListTools(t.Context(), nil)
	if err != nil || len(tools.Tools) != 5 {
		t.Fatal(tools, err)
	}
	for _, tool := range tools.Tools {
		if tool.Annotations == nil || !tool.Annotations.ReadOnlyHint || tool.OutputSchema == nil || tool.Description == "" {
			t.Errorf("%+v", tool)
		}
	}

	collections, text, _ := use[struct {
		Collections []struct{ Name, Description string }
	}](t, s, "list_collections", nil)
	if len(collections.Collections) != 1 || collections.Collections[0].Name != "handbook" || !strings.Contains(text, "handbook: How we work") || strings.Contains(text, "secrets") {
		t.Errorf("%+v %s", collections, text)
	}

	found, text, _ := use[anyPassages](t, s, "search", map[string]any{"query": "how long is the notice period?", "limit": 2})
	if len(found.Passages) == 0 || found.Passages[0].DocumentID != o.documents["leave.md"] || found.Passages[0].Score <= 0 || !slices.Contains(found.Passages[0].Heading, "Notice") || !strings.Contains(text, "[1] Leave › ") {
		t.Errorf("%+v %s", found, text)
	}

	answer, text, _ := use[struct {
		Text      string
		Found     bool
		Citations []struct {
			DocumentID string `json:"document_id"`
			Quote      string
		}
		CallID string `json:"call_id"`
		Cost   string `json:"cost_usd"`
	}](t, s, "answer", map[string]any{"question": "What is the notice period?", "collections": []string{"handbook"}})
	if !answer.Found || len(answer.Citations) == 0 || answer.Citations[0].DocumentID != o.documents["leave.md"] || !strings.Contains(answer.Text, "thirty days") || answer.Cost != "0" || !strings.Contains(text, "“The notice period is thirty days.”") {
		t.Errorf("%+v %s", answer, text)
	}
	o.logged(t, answer.CallID)

	documents, _, _ := use[struct {
		Documents []struct{ Title, URI, State string }
		Next      string
	}](t, s, "list_documents", map[string]any{"collection": "handbook"})
	if len(documents.Documents) != 2 || documents.Next != "" || documents.Documents[0].State != "live" {
		t.Errorf("%+v", documents)
	}
	resource, err := s.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "airfield://documents/" + o.documents["leave.md"]})
	if err != nil || !strings.Contains(resource.Contents[0].Text, "thirty days") || resource.CacheScope != "private" {
		t.Error(resource, err)
	}

	parts, size := 0, 0
	for from := 0; ; parts++ {
		part, _, failed := use[anyPassages](t, s, "get_document", map[string]any{"document_id": o.documents["long.md"], "from": from})
		for _, p := range part.Passages {
			size += len(p.Text)
		}
		if failed || parts > 20 {
			t.Fatalf("%+v", part)
		}
		if from = part.Next; from == 0 {
			break
		}
	}
	if parts < 2 || size < 80_000 {
		t.Errorf("%d bytes in %d parts", size, parts+1)
	}
}

// logged waits until a call is in the log, and is its workflow's.
func (o *office) logged(t *testing.T, callID string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		call, err := o.parts.store.Call(t.Context(), callID)
		if err == nil {
			if call.Workflow != "pilot" || call.Outcome != "ok" || call.Usage.Source == "" {
				t.Errorf("%+v", call)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(callID, err)
		}
	}
}

func TestWhatAKeyIsNotClearedForIsNotThere(t *testing.T) {
	o := newOffice(t)
	secret := o.documents["salary.md"]
	ask := func(t *testing.T, s *sdk.ClientSession) string {
		var all strings.Builder
		for _, c := range []struct {
			tool string
			args map[string]any
		}{
			{"list_collections", nil}, {"search", map[string]any{"query": "salary of the chair"}}, {"search", map[string]any{"query": "salary", "filters": map[string]any{"type": "eq", "key": "tier", "value": "restricted"}}},
			{"answer", map[string]any{"question": "What is the salary of the chair?"}}, {"list_documents", map[string]any{"collection": "handbook"}}, {"get_document", map[string]any{"document_id": secret}},
		} {
			out, text, failed := use[json.RawMessage](t, s, c.tool, c.args)
			fmt.Fprintln(&all, c.tool, string(out), text, failed)
		}
		r, err := s.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "airfield://documents/" + secret})
		b, _ := json.Marshal(r)
		fmt.Fprintln(&all, "resource", string(b), err)
		return all.String()
	}
	if all := ask(t, o.connect(t, "cleared")); strings.Count(all, "nine zlotys") < 5 {
		t.Errorf("a key that is cleared sees it: %s", all)
	}
	for _, key := range []string{"internal", "other"} {
		all := ask(t, o.connect(t, key))
		if strings.Contains(all, "zlotys") || strings.Contains(all, "salary.md") || strings.Contains(all, "Salaries") {
			t.Errorf("the key %s is told of it: %s", key, all)
		}
		if !strings.Contains(all, "document_not_found") {
			t.Errorf("the key %s: %s", key, all)
		}
	}
}

func TestMistakesAreToldToTheAssistantAndSayWhatToDo(t *testing.T) {
	o := newOffice(t)
	s := o.connect(t, "internal")
	for want, c := range map[string]struct {
		tool string
		args map[string]any
	}{
		"query_missing":               {"search", map[string]any{"query": " "}},
		`missing properties: ["quer`:  {"search", map[string]any{}},
		"collection_not_found":        {"search", map[string]any{"query": "x", "collections": []string{"secrets"}}},
		`no collection "no-such"`:     {"answer", map[string]any{"question": "x", "collections": []string{"no-such"}}},
		"limit must be between":       {"search", map[string]any{"query": "x", "limit": 1_000_000}},
		"not a filter":                {"search", map[string]any{"query": "x", "filters": map[string]any{"nonsense": 1}}},
		"additional":                  {"search", map[string]any{"query": "x", "clearance": "restricted"}},
		"GET /v1/models lists":        {"answer", map[string]any{"question": "What is the notice period?", "model": "gpt-99"}},
		"document_not_found":          {"get_document", map[string]any{"document_id": "doc_none"}},
		"there is none with the numb": {"get_document", map[string]any{"document_id": o.documents["leave.md"], "from": 99}},
		"between 1 and 200":           {"list_documents", map[string]any{"collection": "handbook", "limit": -1}},
	} {
		if _, text, failed := use[json.RawMessage](t, s, c.tool, c.args); !failed || !strings.Contains(text, want) {
			t.Errorf("%s %v: %t %s, not %q", c.tool, c.args, failed, text, want)
		}
	}
}

func TestTheDoorForAssistantsTakesNothingElse(t *testing.T) {
	o := newOffice(t)
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	post := func(change func(*http.Request)) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.URL+"/mcp", strings.NewReader(list))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + o.keys["internal"]}}
		change(r)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	body := func(text string) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		}
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
		says   string
	}{
		"as it should be":        {func(*http.Request) {}, 200, "list_collections"},
		"no key":                 {func(r *http.Request) { r.Header.Del("Authorization") }, 401, "key"},
		"a wrong key":            {func(r *http.Request) { r.Header.Set("Authorization", "Bearer af_no") }, 401, "key"},
		"a key of another role":  {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+o.keys["auditor"]) }, 403, "role_denied"},
		"a page of another site": {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403, "origin_denied"},
		"a name that points here": {func(r *http.Request) {
			r.Host = "evil.example"
			r.Header.Set("Origin", "http://evil.example")
		}, 403, "origin_denied"},
		"a proxy on this machine":   {func(r *http.Request) { r.Host = "airfield.example" }, 200, "list_collections"},
		"GET":                       {func(r *http.Request) { r.Method, r.Body, r.ContentLength = http.MethodGet, nil, 0 }, 405, ""},
		"a list of messages":        {body(" [" + list + "]"), 400, "batch_unsupported"},
		"too large":                 {body(`{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("x", 1<<20) + `"}`), 413, "request_too_large"},
		"no JSON":                   {body("hello"), 400, ""},
		"JSON that is no message":   {body(`{"a":1}`), 400, ""},
		"deep JSON":                 {body(strings.Repeat(`{"a":`, 200_000)), 400, ""},
		"an unknown method":         {body(`{"jsonrpc":"2.0","id":1,"method":"tools/steal"}`), 0, ""},
		"an unknown tool":           {body(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"steal"}}`), 200, "error"},
		"arguments of another kind": {body(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":[1]}}`), 200, ""},
	} {
		status, text := post(c.change)
		if c.status == 0 && status >= 500 || c.status > 0 && status != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if status, text := post(func(*http.Request) {}); status != 200 || !bytes.Contains([]byte(text), []byte("readOnlyHint")) {
		t.Errorf("afterwards: %d %s", status, text)
	}
}
