// Package providertest is the conformance suite of the gateway's providers: what is said to one, and what it says, is the
// same for all of them, whatever words it uses. Each provider's own test runs it over its recorded exchanges, which are
// written from the provider's documentation and served on loopback. No provider is asked over a network.
package providertest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/secret"
)

// Options say what is particular to a kind of provider.
type Options struct {
	Model   string                   // as the recorded requests name it; "model" where it is left out
	Config  gateway.ProviderConfig   // everything but the address; without any key of its own it gets one
	Base    string                   // what follows the host in base_url: /v1
	Path    func(stream bool) string // where requests of a chat must arrive, with the query; nil where that does not matter
	Headers map[string]string        // that must arrive with every request
	Surface llm.Surface              // of the recordings; the dialect's own where it is left out
	Lacks   map[string]string        // cases that are not recorded, and why

	ThoughtsInOutput bool // the provider does not say how many tokens of the output were thoughts
	ThoughtsUntold   bool // nor what was thought
	NoCacheWrites    bool // it does not say what was written to its cache
	Secrets          []string

	// StreamType and Encode are for providers whose streams are no server-sent events: Encode makes of answer.events what
	// they send.
	StreamType string
	Encode     func(events []byte) ([]byte, error)
}

// Key is the api_key that providers get whose options have none.
const Key = "sk-provider-secret-of-the-suite"

// bench is one provider under test.
type bench struct {
	Options
	kind     gateway.Kind
	provider gateway.Provider
	config   gateway.ProviderConfig
	upstream *upstream
}

// Run asks a provider of the kind for every case of the test's own testdata, and does to it what networks do.
func Run(t *testing.T, kind gateway.Kind, o Options) {
	b := &bench{Options: o, kind: kind, upstream: newUpstream(t), config: o.Config}
	if b.Model == "" {
		b.Model = "model"
	}
	b.config.BaseURL = b.upstream.URL + o.Base
	b.config.Timeouts = gateway.Timeouts{Connect: 10 * time.Second, FirstByte: 20 * time.Second, BetweenChunks: 20 * time.Second, Total: time.Minute}
	if b.config.APIKey.Empty() && len(b.config.SecretHeaders) == 0 && len(b.Secrets) == 0 {
		b.config.APIKey = secret.New(Key)
	}
	for _, v := range append([]secret.Value{b.config.APIKey}, secretHeaders(b.config)...) {
		if !v.Empty() {
			b.Secrets = append(b.Secrets, v.Reveal())
		}
	}
	if len(b.Secrets) == 0 {
		t.Fatal("the suite does not know what the provider must keep to itself")
	}
	b.provider = b.open(t, b.config)
	dialect := b.provider.Dialect()
	if b.Surface == "" {
		if dialect == nil {
			t.Fatal("the suite does not know what the recordings speak")
		}
		b.Surface = dialect.Surface()
	}
	if dialect == nil && !b.provider.Takes(b.Surface) {
		t.Fatalf("it neither takes %s nor speaks it", b.Surface)
	}
	recorded := b.recordings(t)
	if dialect != nil && dialect.Surface() == b.Surface {
		t.Run("dialect", func(t *testing.T) { b.translated(t, recorded) })
	}
	if b.provider.Takes(b.Surface) {
		t.Run("as_it_is", func(t *testing.T) { b.passed(t, recorded) })
	}
	if b.provider.Takes(llm.Embeddings) {
		t.Run("embeddings", b.embeddings)
	}
	t.Run("network", func(t *testing.T) { b.network(t, recorded) })
}

func secretHeaders(c gateway.ProviderConfig) (all []secret.Value) {
	for _, v := range c.SecretHeaders {
		all = append(all, v)
	}
	return all
}

func (b *bench) open(t *testing.T, c gateway.ProviderConfig) gateway.Provider {
	t.Helper()
	p, err := b.kind("up", c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// recordings reads every case; one that is neither there nor said to be lacking fails the test.
func (b *bench) recordings(t *testing.T) map[string]*recording {
	all, known := map[string]*recording{}, map[string]bool{Embeddings: true}
	for _, c := range Cases() {
		known[c.Name] = true
		if b.Lacks[c.Name] != "" {
			continue
		}
		r, err := read(filepath.Join("testdata", c.Name+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		if c.Request.Stream != (r.kind != "json") {
			t.Fatalf("%s is recorded as %s", c.Name, r.kind)
		}
		if c.Refused != nil && r.status != c.Refused.Status {
			t.Fatalf("%s is recorded with status %d", c.Name, r.status)
		}
		all[c.Name] = r
	}
	for name := range b.Lacks {
		if !known[name] {
			t.Errorf("there is no case %s that could be lacking", name)
		}
	}
	return all
}

func (b *bench) streamType() string {
	if b.StreamType != "" {
		return b.StreamType
	}
	return "text/event-stream"
}

// body is a recorded answer as it is sent.
func (b *bench) body(t *testing.T, r *recording) []byte {
	t.Helper()
	if r.kind != "events" {
		return r.answer
	}
	if b.Encode == nil {
		t.Fatal("answer.events needs Encode")
	}
	body, err := b.Encode(r.answer)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// came checks a request that arrived.
func (b *bench) came(t *testing.T, want []byte, path string) {
	t.Helper()
	got := b.upstream.last()
	if got == nil {
		t.Fatal("no request arrived")
	}
	if !sameJSON(got.body, want) {
		t.Errorf("what arrived\n%s\nis not what is recorded\n%s", got.body, want)
	}
	if path != "" && got.path != path {
		t.Errorf("it arrived at %s, not at %s", got.path, path)
	}
	for name, value := range b.Headers {
		if h := got.header.Get(name); h != value {
			t.Errorf("%s is %q, not %q", name, h, value)
		}
	}
}

func (b *bench) path(stream bool) string {
	if b.Path == nil {
		return ""
	}
	return b.Path(stream)
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return decode(a, &x) == nil && decode(b, &y) == nil && reflect.DeepEqual(x, y)
}

func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v)
}
