// Package matrix asks every surface, with its official client, for the models of every kind of provider, and compares what
// the client understood and what the log says with what is recorded that the provider said.
package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"airfield/test/binary"
)

func TestMain(m *testing.M) { binary.Main(m) }

// surfaces are the doors of the matrix.
var surfaces = map[string]asker{"chat": askChat, "responses": askResponses, "messages": askMessages}

// provider is a column of the matrix.
type provider struct {
	config  string // of airfield.yaml; ADDRESS is where it is
	folder  string // of what is recorded, below internal/gateway/provider
	written bool   // it says how much was written to its cache
	silent  bool   // it does not tell its thoughts
}

var providers = map[string]provider{
	"openai":     {config: `{kind: openai, base_url: "ADDRESS/v1", api_key: "env:PATH"}`, folder: "openai/testdata"},
	"compatible": {config: `{kind: openai, base_url: "ADDRESS/v1"}`, folder: "openai/testdata"},
	"azure":      {config: `{kind: azure, base_url: "ADDRESS/openai/v1", api_key: "env:PATH"}`, folder: "azure/testdata", silent: true},
	"anthropic":  {config: `{kind: anthropic, base_url: "ADDRESS/v1", api_key: "env:PATH"}`, folder: "anthropic/testdata", written: true},
	"gemini":     {config: `{kind: gemini, base_url: "ADDRESS/v1beta", api_key: "env:PATH"}`, folder: "gemini/testdata"},
	"bedrock":    {config: `{kind: bedrock, base_url: "ADDRESS", region: us-east-1, api_key: "env:PATH"}`, folder: "bedrock/testdata", written: true},
}

// expected is what every provider is recorded to say in a case.
var expected = map[string]heard{
	"plain":            {Text: "Hello from the model.", Stop: "end", Input: 12, Output: 6},
	"stream":           {Text: "Hello from the model.", Stop: "end", Input: 12, Output: 6, Pieces: 3},
	"tools":            {Text: "I will look.", Stop: "tools", Calls: weather, Input: 40, Output: 30},
	"tools_stream":     {Text: "I will look.", Stop: "tools", Calls: weather, Input: 40, Output: 30},
	"tools_result":     {Text: "Oslo has 4 degrees.", Stop: "end", Input: 70, Output: 8},
	"schema":           {Text: `{"name":"blue"}`, Stop: "end", Input: 20, Output: 5},
	"image":            {Text: "A dot.", Stop: "end", Input: 90, Output: 4},
	"cached":           {Text: "Hello from the model.", Stop: "end", Input: 2000, CacheRead: 1500, Output: 6},
	"length":           {Text: "Hello from", Stop: "length", Input: 12, Output: 64},
	"reasoning":        {Text: "Hello from the model.", Thought: "A greeting is due.", Stop: "end", Input: 12, Output: 26},
	"reasoning_stream": {Text: "Hello from the model.", Thought: "A greeting is due.", Stop: "end", Input: 12, Output: 26},
	"error":            {Status: 429, Message: "Slow down."},
	"invalid":          {Status: 400, Message: "max_tokens is too large."},
}

var weather = []called{{"get_weather", `{"city":"Oslo"}`}, {"get_weather", `{"city":"Rome"}`}}

func TestWhatComesOutOfEverySurfaceIsWhatTheProviderSaid(t *testing.T) {
	server := install(t)
	key := server.Key("team")
	for _, surface := range slices.Sorted(maps.Keys(surfaces)) {
		for _, name := range slices.Sorted(maps.Keys(providers)) {
			for _, kase := range slices.Sorted(maps.Keys(expected)) {
				t.Run(surface+"/"+name+"/"+kase, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					body, err := os.ReadFile(filepath.Join("testdata", surface, kase+".json"))
					if err != nil {
						t.Fatal(err)
					}
					body = []byte(strings.ReplaceAll(string(body), `"MODEL"`, fmt.Sprintf("%q", name+"-"+kase+"-"+surface)))
					got := surfaces[surface](ctx, server.Local.URL, key, body, strings.Contains(string(body), `"stream": true`))
					compare(t, providers[name], expected[kase], got)
					if got.Status == 0 && got.CallID != "" {
						logged(t, server, got.CallID, name, kase)
					}
				})
			}
		}
	}
}

func compare(t *testing.T, p provider, want, got heard) {
	t.Helper()
	if want.Status > 0 {
		if got.Status != want.Status || !strings.Contains(got.Message, want.Message) {
			t.Errorf("refused with %d %q", got.Status, got.Message)
		}
		return
	}
	if p.silent {
		want.Thought = ""
	}
	if want.Pieces > 0 && got.Pieces < want.Pieces {
		t.Errorf("the text came in %d pieces", got.Pieces)
	}
	if got.CallID == "" {
		t.Error("no call id")
	}
	got.Pieces, want.Pieces, got.CallID = 0, 0, ""
	if a, b := shown(want), shown(got); a != b {
		t.Errorf("\n got %s\nwant %s", b, a)
	}
}

func shown(h heard) string {
	b, _ := json.Marshal(h) // plain fields
	return string(b)
}

// logged compares the row of a call.
func logged(t *testing.T, server *binary.Server, id, name, kase string) {
	t.Helper()
	var row struct {
		Provider, Outcome, Surface string
		Source                     string `json:"usage_source"`
		Input                      int64  `json:"input_tokens"`
		CacheRead                  int64  `json:"cache_read_tokens"`
		CacheWrite                 int64  `json:"cache_write_tokens"`
		Output                     int64  `json:"output_tokens"`
	}
	server.Await("the call's row", func() bool {
		answer, err := server.Ask(context.Background(), "GET", "/api/calls/"+id, nil)
		return err == nil && answer.Status == 200 && json.Unmarshal(answer.Body, &row) == nil && row.Outcome != ""
	})
	want := expected[kase]
	written := int64(0)
	if kase == "cached" && providers[name].written {
		written = 200
	}
	if row.Outcome != "ok" || row.Provider != name || row.Source != "reported" || row.Input != want.Input || row.CacheRead != want.CacheRead || row.CacheWrite != written || row.Output != want.Output {
		t.Errorf("the log has %+v", row)
	}
}

// install is a server with a model of each provider for each case.
func install(t *testing.T) *binary.Server {
	t.Helper()
	var config strings.Builder
	config.WriteString("routing: {attempts: 1, queue: {wait: 0s}, breaker: {failures: 1000}}\nproviders:\n")
	for name, p := range providers {
		r := record(t, filepath.Join("..", "..", "internal", "gateway", "provider", p.folder))
		fmt.Fprintf(&config, "  %s: %s\n", name, strings.ReplaceAll(p.config, "ADDRESS", r.URL))
	}
	config.WriteString("models:\n")
	for name := range providers {
		for kase := range expected {
			for surface := range surfaces { // a deployment each: one that refused is left alone for a while
				fmt.Fprintf(&config, "  %s-%s-%s: {context_tokens: 200000, deployments: [{provider: %s, model: case-%s.%s}]}\n", name, kase, surface, name, kase, surface)
			}
		}
	}
	config.WriteString("business_units: {product: {}}\nworkflows: {team: {business_unit: product, clearance: internal}}\n")
	server := binary.Install(t, config.String())
	server.Start()
	return server
}
