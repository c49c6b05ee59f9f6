package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/app"
	"airfield/internal/config"
	"airfield/internal/fault"
)

// initial is what the template of airfield.yaml is filled with.
type initial struct {
	OpenAI bool
	Ollama string // a chat model that the local Ollama has; empty where there is none
	Listen string
}

func initCommand(env *environment) *cobra.Command {
	var listen string
	var force bool
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write airfield.yaml, make the first keys and show how to use them",
		Long: `Writes DIR/airfield.yaml, a commented configuration that works as it is, and DIR/documents, a watched folder; makes an
admin key and a key for the workflow "pilot" and prints them once. Nothing is overwritten.

Where OPENAI_API_KEY is set, or an Ollama answers on this machine, the file has a model on it ready to be used.`,
		Example: "  airfield init my-pilot\n  airfield serve --config my-pilot/airfield.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return env.init(cmd.Context(), dir, initial{Listen: listen}, force)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address and port to write into the file")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite an airfield.yaml that is there (keys and data are kept)")
	return cmd
}

func (e *environment) init(ctx context.Context, dir string, with initial, force bool) error {
	if _, _, err := net.SplitHostPort(with.Listen); err != nil {
		return usage("--listen is an address and a port, such as 127.0.0.1:8080, not %q", with.Listen)
	}
	path := filepath.Join(dir, "airfield.yaml")
	if _, err := os.Stat(path); err == nil && !force {
		return fault.New(fault.Conflict, "config_exists", "%s is there already", path).Hinted("choose another folder, or give --force to write it anew")
	}
	if err := os.MkdirAll(filepath.Join(dir, "documents"), 0o755); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	with.OpenAI = os.Getenv("OPENAI_API_KEY") != ""
	with.Ollama = localOllama(ctx)
	var text strings.Builder
	if err := initialConfig.Execute(&text, with); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if err := ignoreData(dir); err != nil {
		return err
	}
	c, _, err := config.Load(path)
	if err != nil {
		return err
	}
	keys, err := app.FirstKeys(ctx, c, "pilot")
	if err != nil {
		return err
	}
	result := struct {
		Config      string `json:"config"`
		URL         string `json:"url"`
		AdminKey    string `json:"admin_key,omitempty"`
		WorkflowKey string `json:"workflow_key,omitempty"`
	}{path, "http://" + c.Server.Listen, keys.Admin, keys.Workflow}
	return e.show(result, func() {
		e.printf("wrote %s\n", path)
		if keys.Admin == "" {
			e.printf("the data folder has keys already; airfield keys create makes more\n")
			return
		}
		e.printf("\nTwo keys, shown this once:\n  admin          %s\n  workflow pilot %s\n\nStart:\n  airfield serve --config %s\n\n", keys.Admin, keys.Workflow, quoted(path))
		e.printf("Drop documents into %s; then, from %s:\n  airfield ask \"…\"\n", filepath.Join(dir, "documents"), dir)
		snippets.Execute(e.out, map[string]string{"URL": result.URL, "Key": keys.Workflow})
		if with.OpenAI {
			e.printf("\nOPENAI_API_KEY is set: the models gpt-4o-mini and text-embedding-3-small are ready. To answer with it, set answer_model: gpt-4o-mini.\n")
		}
		if with.Ollama != "" {
			e.printf("\nAn Ollama answers on this machine: its model %s is ready. To answer with it, set answer_model: %s.\n", with.Ollama, with.Ollama)
		}
	})
}

// ignoreData keeps the data folder out of the git repository that airfield.yaml belongs in.
func ignoreData(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, ".gitignore"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write .gitignore: %w", err)
	}
	if _, err := f.WriteString("/data/\n"); err != nil {
		f.Close()
		return fmt.Errorf("write .gitignore: %w", err)
	}
	return f.Close()
}

// localOllama names a model of an Ollama on this machine, or nothing. It is asked briefly and only on loopback.
func localOllama(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:11434/api/tags", nil)
	if err != nil {
		return ""
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	var tags struct {
		Models []struct {
			Name string `json:"name"`
		} `json:"models"`
	}
	if json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<20)).Decode(&tags) != nil {
		return ""
	}
	for _, m := range tags.Models {
		if !strings.Contains(m.Name, "embed") && printable(m.Name) == m.Name && !strings.ContainsAny(m.Name, "\"'\\{}#") {
			return m.Name
		}
	}
	return ""
}

var initialConfig = template.Must(template.New("airfield.yaml").Parse(`# airfield.yaml: the whole structure of this environment. Keep it in git; secrets are references (env:NAME, file:PATH).
# Every key: docs/reference/configuration.md, or airfield config --all. What is not said here has a default.

environment: dev                    # dev, staging, prod: one deployment each, nothing shared

server:
  listen: {{.Listen}}            # loopback only; for others to reach it: 0.0.0.0:8080, with tls
  # tls: {certificate: tls.crt, key: tls.key}

# data: data                        # everything that is kept, beside this file: database, documents, index, journal
# database:
#   url: postgres://airfield@localhost/airfield
{{if or .OpenAI .Ollama}}
providers:
{{- if .OpenAI}}
  openai:
    kind: openai
    base_url: https://api.openai.com/v1
    api_key: env:OPENAI_API_KEY
{{- end}}
{{- if .Ollama}}
  ollama:
    kind: openai
    base_url: http://127.0.0.1:11434/v1
{{- end}}

models:                             # the names that callers use, and who serves them, tried in this order
{{- if .OpenAI}}
  gpt-4o-mini:
    tier: economy
    deployments:
      - provider: openai
  text-embedding-3-small:
    dimensions: 1536
    deployments:
      - provider: openai
{{- end}}
{{- if .Ollama}}
  "{{.Ollama}}":
    tier: economy
    deployments:
      - provider: ollama
        prices: {input: 0, output: 0}   # your own hardware: no price per token
{{- end}}
{{else}}
# providers:                        # any OpenAI-compatible endpoint; the builtin models need none
#   openai:
#     kind: openai
#     base_url: https://api.openai.com/v1
#     api_key: env:OPENAI_API_KEY
#
# models:                           # the names that callers use, and who serves them, tried in this order
#   gpt-4o-mini:
#     tier: economy
#     deployments:
#       - provider: openai
{{end}}
business_units:                     # who pays
  product: {description: The team that builds the pilot}

workflows:                          # the AI workloads that make calls; each has keys, a clearance, a business unit
  pilot:
    business_unit: product
    clearance: internal             # sees public and internal documents
    collections: ["*"]
    # limits: {requests_per_minute: 300, parallel: 20}   # what is beyond waits in a queue; key_limits is for each key
    # cache: {ttl: 10m}             # the same request gets the same answer

# budgets:
#   pilot-month: {scope: workflow, of: pilot, usd: 50, period: month, hard: true}   # never more; airfield budgets
#
# notify:                           # who is told of budgets, and of models that fail
#   on-call: {webhook: https://alerts.example.com/airfield}

collections:                        # documents, and how they are cut, embedded and answered from
  documents:
    description: The pilot's documents
    embedding_model: builtin-embed  # lexical, needs no network; a real one finds what is said in other words
    answer_model: builtin-answer    # extractive: answers with the documents' own sentences, and says so
    defaults:
      tier: internal                # public, internal, confidential, restricted; a sidecar FILE.meta.yaml says otherwise
      business_unit: product
    sources:
      folder:
        folder: documents           # watched: what is added, changed, renamed or deleted there follows here
`))

var snippets = template.Must(template.New("snippets").Parse(`
curl:
  curl {{.URL}}/v1/chat/completions -H "Authorization: Bearer {{.Key}}" -H "Content-Type: application/json" \
    -d '{"model": "builtin-answer", "messages": [{"role": "user", "content": "What can you do?"}]}'

Python (pip install openai):
  from openai import OpenAI
  client = OpenAI(base_url="{{.URL}}/v1", api_key="{{.Key}}")
  for hit in client.vector_stores.search("documents", query="notice period"):
      print(hit.filename, hit.score, hit.content[0].text[:80])

TypeScript (npm install openai):
  import OpenAI from "openai";
  const client = new OpenAI({ baseURL: "{{.URL}}/v1", apiKey: "{{.Key}}" });
  for await (const hit of client.vectorStores.search("documents", { query: "notice period" }))
    console.log(hit.filename, hit.score, hit.content[0].text.slice(0, 80));
`))
