package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/api/admin"
	"airfield/internal/gateway"
	"airfield/test/binary"
	"airfield/test/upstream"
)

func TestMain(m *testing.M) { binary.Main(m) }

const team = `
business_units: {product: {}}
`

// quick is routing that does not keep a test waiting.
const quick = "routing: {deadline: 20s, backoff: 20ms, max_backoff: 50ms, breaker: {failures: 1000}}\n"

// polite makes a question as long as an upstream bills it.
const polite = " please please please please please please"

// site is a server and the key of its workflow, team.
type site struct {
	*binary.Server
	key string
}

// open installs and starts a server whose configuration names the workflow team.
func open(t *testing.T, config string) *site {
	t.Helper()
	s := &site{Server: binary.Install(t, config)}
	s.Start()
	s.key = s.Key("team")
	return s
}

// ask makes one call as the workflow and returns its row as well.
func (s *site) ask(body []byte, header ...string) (binary.Exchange, admin.Call) {
	s.T.Helper()
	e, err := s.Chat(context.Background(), body, append(binary.As(s.key), header...)...)
	if err != nil || e.ID == "" {
		s.T.Fatalf("%d %s %v", e.Status, e.Text, err)
	}
	return e, s.row(e.ID)
}

// row is a call in the log.
func (s *site) row(id string) (row admin.Call) {
	s.T.Helper()
	s.Call(http.MethodPost, "/api/flush", nil, nil)
	s.Call(http.MethodGet, "/api/calls/"+id, nil, &row)
	return row
}

// rows are all calls of the workflow, the newest first.
func (s *site) rows() (all []admin.Call) {
	s.T.Helper()
	s.Call(http.MethodPost, "/api/flush", nil, nil)
	for before := ""; ; {
		var page admin.CallPage
		s.Call(http.MethodGet, "/api/calls?workflow=team&limit=1000&before="+before, nil, &page)
		if all, before = append(all, page.Calls...), page.Next; before == "" {
			return all
		}
	}
}

// routes is what the command airfield route status says.
func (s *site) routes() (state gateway.RouteState) {
	s.T.Helper()
	cmd := exec.Command(binary.Build(s.T), "route", "status", "--json")
	cmd.Dir, cmd.Env = s.Dir, []string{"HOME=" + s.Dir}
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &state)
	}
	if err != nil {
		s.T.Fatalf("airfield route status: %v in %s", err, out)
	}
	return state
}

// deployment is how one of them is.
func (s *site) deployment(name string) gateway.DeploymentState {
	s.T.Helper()
	for _, d := range s.routes().Deployments {
		if d.Deployment == name {
			return d
		}
	}
	s.T.Fatalf("there is no deployment %s", name)
	return gateway.DeploymentState{}
}

// question is a chat request to a model.
func question(model string, stream bool, text string, more ...string) []byte {
	fields := append([]string{fmt.Sprintf(`"model":%q,"stream":%t`, model, stream)}, more...)
	quoted, _ := json.Marshal(text)
	return fmt.Appendf(nil, `{%s,"messages":[{"role":"user","content":%s}]}`, strings.Join(fields, ","), quoted)
}

// model is an entry among models: its further keys, and its deployments as provider and the provider's name of the model.
func model(name, more string, deployments ...string) string {
	var list []string
	for i := 0; i < len(deployments); i += 2 {
		list = append(list, fmt.Sprintf("{provider: %s, model: %q, prices: {input: 1, output: 2}}", deployments[i], deployments[i+1]))
	}
	return fmt.Sprintf("  %q: {%sdeployments: [%s]}\n", name, more, strings.Join(list, ", "))
}

// well is an upstream that is, until a test says otherwise.
func well(t *testing.T) *upstream.Upstream { return upstream.New(t, upstream.Options{}) }

// always answers everything alike.
func always(name string) func(*upstream.Request) upstream.Behaviour {
	return upstream.Sequence(upstream.Named[name])
}

// statement is what a stream says of its call at the end.
func statement(text string) (said struct {
	Degraded, Cache string
	CallID          string `json:"call_id"`
}) {
	if _, after, ok := strings.Cut(text, ": airfield "); ok {
		json.NewDecoder(strings.NewReader(after)).Decode(&said)
	}
	return said
}

// event is what a receiver of notifications hears.
type event struct {
	Kind, Key, Severity, Title, Text string
	Resolved                         bool
	Fields                           map[string]string
}

// receiver is who people are told through.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	heard []event
}

func receive(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		var e event
		var body bytes.Buffer
		body.ReadFrom(req.Body)
		if err := json.Unmarshal(body.Bytes(), &e); err != nil {
			t.Errorf("an event is not JSON: %s", body.Bytes())
		}
		r.mu.Lock()
		r.heard = append(r.heard, e)
		r.mu.Unlock()
	}))
	t.Cleanup(r.Close)
	return r
}

// config is the receiver's entry.
func (r *receiver) config() string {
	return fmt.Sprintf("notify: {people: {webhook: %q}}\n", r.URL)
}

// of are the events of a kind and a key.
func (r *receiver) of(kind, key string) (list []event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.heard {
		if e.Kind == kind && e.Key == key {
			list = append(list, e)
		}
	}
	return list
}

// await waits until so many events of a kind and a key were heard.
func (s *site) await(r *receiver, kind, key string, n int) []event {
	s.T.Helper()
	s.AwaitFor(20*time.Second, 20*time.Millisecond, fmt.Sprintf("%d events %s of %s", n, kind, key), func() bool { return len(r.of(kind, key)) >= n })
	return r.of(kind, key)
}
