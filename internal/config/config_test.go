package config

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"airfield/internal/caller"
)

const full = `environment: staging
server:
  listen: 127.0.0.1:9000
access: {key_cache: 90s}
providers:
  openai: {kind: openai, base_url: "https://api.openai.com/v1", api_key: "env:TEST_OPENAI_KEY", secret_headers: {x-gate: "env:TEST_OPENAI_KEY"}}
models:
  gpt-4.1-mini:
    tier: economy
    deployments:
      - provider: openai
        prices: {input: 0.4, output: "1.6"}
business_units: {product: {}}
workflows:
  pilot: {business_unit: product, clearance: internal, collections: [handbook]}
collections:
  handbook:
    answer_model: gpt-4.1-mini
    defaults: {tier: confidential}
    sources:
      papers: {folder: docs}
`

func parseText(t *testing.T, text string, environ ...string) (*Config, []string, error) {
	t.Helper()
	return parse(filepath.Join("/srv/pilot", "airfield.yaml"), []byte(text), environ)
}

func TestAWholeFile(t *testing.T) {
	t.Setenv("TEST_OPENAI_KEY", "sk-123")
	c, warnings, err := parseText(t, full)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 0 {
		t.Errorf("warnings %v", warnings)
	}
	handbook := c.Collections["handbook"]
	switch {
	case c.Environment != "staging", c.Access.KeyCache != 90*time.Second, c.Access.KeyPoll != 2*time.Second:
		t.Errorf("scalars: %+v", c.Access)
	case c.Gateway.Providers["openai"].APIKey.Reveal() != "sk-123" || c.Gateway.Providers["openai"].SecretHeaders["x-gate"].Reveal() != "sk-123":
		t.Error("the secret was not read")
	case c.Gateway.Models["gpt-4.1-mini"].Deployments[0].Prices.Output != 1_600_000_000:
		t.Errorf("price %v", c.Gateway.Models["gpt-4.1-mini"].Deployments[0].Prices)
	case handbook.EmbeddingModel != "builtin-embed" || handbook.Defaults.Tier != caller.Confidential || handbook.Chunking.Tokens == 0:
		t.Errorf("a collection's own defaults are missing: %+v", handbook)
	case handbook.Sources["papers"].Folder != "/srv/pilot/docs", c.Database.URL != "sqlite:/srv/pilot/data/airfield.db", c.Data != "/srv/pilot/data":
		t.Errorf("paths: %s %s %s", handbook.Sources["papers"].Folder, c.Database.URL, c.Data)
	}
}

func TestWhatIsWrongIsSaidWithItsPlace(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"an unknown key at the top", "enviroment: dev\n", `airfield.yaml:1:1: enviroment: there is no such key; did you mean "environment"?`},
		{"an unknown key inside", "server:\n  lissten: x\n", `:2:3: server.lissten: there is no such key; did you mean "listen"?`},
		{"an unknown key under a chosen name", "workflows:\n  a: {clearence: public}\n", `:2:7: workflows.a.clearence: there is no such key; did you mean "clearance"?`},
		{"a wrong type", "server: {drain: soon}\n", `:1:17: server.drain: is not a duration`},
		{"a wrong tier", "workflows:\n  a: {clearance: secret}\n", `is not an access tier`},
		{"broken YAML", "server: [\n", `airfield.yaml:1:`},
		{"a literal secret", "providers:\n  a: {kind: openai, base_url: \"https://x/v1\", api_key: sk-abcdef}\n", `env:NAME or file:PATH`},
		{"a provider that is not there", "models:\n  m:\n    deployments: [{provider: nobody}]\n", `:3:20: models.m.deployments.0.provider`},
		{"a business unit that is not there", "workflows:\n  a:\n    clearance: public\n    business_unit: x\n", `:4:5: workflows.a.business_unit: "x" is not among business_units`},
		{"a name with a dot", "models:\n  gpt-4.1:\n    tier: cheap\n    deployments: [{provider: builtin}]\n", `:3:5: models.gpt-4.1.tier`},
		{"an embedding model that is not there", "collections:\n  a:\n    embedding_model: x\n", `:3:5: collections.a.embedding_model: "x" is not among models`},
		{"a value out of range", "journal:\n  segment_bytes: 1\n", `:2:3: journal.segment_bytes: at least`},
		{"a budget without an amount", "budgets:\n  b:\n    scope: workflow\n    period: day\n", `:2:3: budgets.b.usd: say either usd or tokens`},
		{"a budget of nobody", "budgets:\n  b: {scope: workflow, of: x, usd: 1.5, period: day}\n", `budgets.b.of: "x" is not among workflows`},
		{"a budget of no scope", "budgets:\n  b: {scope: team, usd: 1, period: day}\n", `budgets.b.scope: "team" is not environment`},
		{"a budget of an unknown place", "budgets:\n  b: {scope: user, usd: 1, period: day, time_zone: Berlin}\n", `budgets.b.time_zone: "Berlin" is not known`},
		{"a hard budget that moves calls", "budgets:\n  b: {scope: user, usd: 1, period: day, hard: true, economy_at: 50}\n", `budgets.b.economy_at: is for budgets that are not hard`},
		{"a budget whose name is a path", "budgets:\n  a/b: {scope: user, usd: 1, period: day}\n", `cannot be a budget's name`},
		{"two documents", "environment: a\n---\nenvironment: b\n", `second document`},
		{"a key twice", "environment: a\nenvironment: b\n", `environment`},
		{"half of TLS", "server:\n  tls: {certificate: a}\n", `server.tls: needs both`},
		{"a list where keys belong", "- a\n", `keys and values`},
	} {
		_, _, err := parseText(t, c.text)
		var problems Problems
		if !errors.As(err, &problems) {
			t.Errorf("%s: %v (%T) is not a list of problems", c.name, err, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n  got  %s\n  want %s", c.name, err, c.want)
		}
		if strings.Contains(err.Error(), "sk-abcdef") {
			t.Errorf("%s: the secret was repeated", c.name)
		}
	}
}

func TestEverythingWrongIsSaidAtOnce(t *testing.T) {
	_, _, err := parseText(t, "serverr: {}\nworkflows:\n  a: {clearanc: public}\n")
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Fatalf("%v", err)
	}
}

func TestTheEnvironmentOverridesAKey(t *testing.T) {
	c, _, err := parseText(t, "environment: dev\n", "AIRFIELD_SERVER_LISTEN=127.0.0.1:1", "AIRFIELD_ACCESS_KEY_CACHE=2m", "AIRFIELD_JOURNAL_SYNC=true", "AIRFIELD_URL=http://x", "HOME=/")
	if err != nil {
		t.Fatal(err)
	}
	if c.Server.Listen != "127.0.0.1:1" || c.Access.KeyCache != 2*time.Minute || !c.Journal.Sync {
		t.Errorf("%+v", c.Server)
	}
	if _, _, err := parseText(t, "environment: dev\n", "AIRFIELD_SERVER_DRAIN=soon"); err == nil || !strings.Contains(err.Error(), "AIRFIELD_SERVER_DRAIN") {
		t.Error(err)
	}
}

func TestAnEmptyFileIsTheDefault(t *testing.T) {
	c, _, err := parseText(t, "# nothing\n")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.resolvePaths("/srv/pilot")
	if d := Diff(&want, c); len(d) != 0 {
		t.Errorf("%v", d)
	}
}

func TestDiffSaysWhatChangedAndHidesSecrets(t *testing.T) {
	t.Setenv("TEST_OPENAI_KEY", "sk-123")
	a, _, err := parseText(t, full)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := parseText(t, strings.NewReplacer("clearance: internal", "clearance: public", "127.0.0.1:9000", "127.0.0.1:9001").Replace(full))
	if err != nil {
		t.Fatal(err)
	}
	d := Diff(a, b)
	if len(d) != 2 || d[0].Key != "server.listen" || d[1].Key != "workflows.pilot.clearance" || d[1].String() != "workflows.pilot.clearance: public (was internal)" {
		t.Fatalf("%v", d)
	}
	if fixed := Restart(d); len(fixed) != 1 || fixed[0].Key != "server.listen" {
		t.Errorf("%v", fixed)
	}
	base := Default()
	text, _ := json.Marshal(Diff(&base, a))
	if strings.Contains(string(text), "sk-123") || !strings.Contains(string(text), "env:TEST_OPENAI_KEY") {
		t.Errorf("%s", text)
	}
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	raw, err := json.Marshal(Schema())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("airfield.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("airfield.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestTheIndexIsWhereItCanBe(t *testing.T) {
	for text, want := range map[string]string{
		"index: {url: database}": "index.url: \"database\" needs a PostgreSQL as database.url",
		"index: {url: pgvector}": "index.url: \"pgvector\" is neither empty, nor \"database\", nor postgres://",
		"index: {schema: public, url: database}\ndatabase: {url: \"postgres://a@b/c\"}": "index.schema: \"public\" cannot be",
		"index: {max_connections: 0}":       "index.max_connections: at least 1",
		"index: {timeout: 1ms}":             "index.timeout: between 100ms and 10m",
		"index: {adress: x}":                "adress",
		"index: {url: \"sqlite:index.db\"}": "is neither empty",
	} {
		if _, _, err := parseText(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, warned := range map[string]string{
		"database: {url: \"postgres://a@b/c\"}\nindex: {url: database}":                      "",
		"index: {url: \"postgres://a@b/c\"}":                                                 "",
		"index: {url: \"postgres://a:hunter2@b/c\"}":                                         "index.url: holds a password",
		"database: {url: \"postgres://a@b/c\"}\nindex: {url: database, password: \"env:P\"}": "index.password: is not used",
	} {
		_, warnings, err := parseText(t, text)
		if all := strings.Join(warnings, "\n"); err != nil || strings.Contains(all, "hunter2") || warned == "" && all != "" || !strings.Contains(all, warned) {
			t.Errorf("%s: %v, %v", text, warnings, err)
		}
	}
}

func TestTheExampleIsGoodAndShowsEverySection(t *testing.T) {
	const path = "../../airfield.example.yaml"
	t.Setenv("OPENAI_API_KEY", "x")
	t.Setenv("GPU_KEY", "x")
	t.Setenv("AZURE_OPENAI_API_KEY", "x")
	t.Setenv("GEMINI_API_KEY", "x")
	for _, name := range []string{"DATABASE_PASSWORD", "REDIS_PASSWORD", "ALERTS_KEY"} {
		t.Setenv(name, "x")
	}
	if _, warnings, err := Load(path); err != nil || len(warnings) > 0 {
		t.Fatalf("%v %v", err, warnings)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	for _, f := range Fields(Default()) {
		if _, ok := tree[f.Path[0]]; !ok {
			t.Errorf("it does not show %s", f.Path[0])
		}
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiledSchema(t).Validate(doc); err != nil {
		t.Error(err)
	}
}

func TestTheSchemaAcceptsTheFileAndRefusesUnknownKeys(t *testing.T) {
	schema := compiledSchema(t)
	good := map[string]any{"environment": "dev", "workflows": map[string]any{"a": map[string]any{"clearance": "public"}}, "access": map[string]any{"key_cache": "90s"}}
	if err := schema.Validate(good); err != nil {
		t.Error(err)
	}
	for _, bad := range []map[string]any{{"enviroment": "dev"}, {"workflows": map[string]any{"a": map[string]any{"clearance": "none"}}}, {"access": map[string]any{"key_cache": "soon"}}} {
		if schema.Validate(bad) == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestEveryKeyIsExplained(t *testing.T) {
	for _, f := range Fields(Default()) {
		if f.Doc == "" && f.Path[len(f.Path)-1] != "*" {
			t.Errorf("%s has no doc tag", f.Dotted())
		}
	}
	if r := Reference(); !strings.Contains(r, "| `workflows.*.clearance` | access tier |") || !strings.Contains(r, "`collections.*.sources.*.folder`") {
		t.Error("the reference lacks keys below chosen names")
	} else if !strings.Contains(r, "| `collections.*.answer_model` | text | `builtin-answer` |") || !strings.Contains(r, "| `providers.*.timeouts.connect` | duration | `10s` |") {
		t.Error("the reference lacks what entries are by default")
	}
}

func TestAMissingFileIsSaid(t *testing.T) {
	if _, _, err := Load(filepath.Join(t.TempDir(), "airfield.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(full)
	f.Add("a: &x {b: *x}\n")
	f.Add("collections: {a: {sources: {b: 1}}}")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4<<10 {
			t.Skip()
		}
		parse("airfield.yaml", []byte(text), nil)
	})
}

func TestAVariableOfNoKeyIsToldUnlessItIsSomebodyElses(t *testing.T) {
	_, warnings, err := parseText(t, "", "AIRFIELD_SERVER_LISSTEN=x", "AIRFIELD_PORT_8080_TCP=tcp://10.0.0.1", "AIRFIELD_SERVER_LISTEN=127.0.0.1:9000", "AIRFIELD_URL=x")
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "AIRFIELD_SERVER_LISSTEN") {
		t.Errorf("warnings %v, error %v", warnings, err)
	}
}

func TestTheBaselineLeavesOutWhatACollectionHasByDefault(t *testing.T) {
	c, _, err := parseText(t, "collections:\n  handbook:\n    keep_versions: 9\n    sources: {papers: {folder: docs}}\n")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, d := range Diff(Baseline(c), c) {
		keys = append(keys, d.Key)
	}
	if got := strings.Join(keys, " "); got != "bucket.url collections.handbook.keep_versions collections.handbook.sources.papers.folder data database.url" {
		t.Error(got)
	}
}

func TestAPasswordInTheAddressIsNotShown(t *testing.T) {
	c, warnings, err := parseText(t, "database: {url: \"postgres://u:hunter2@h/d\"}\n")
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "database.url: ") {
		t.Fatalf("warnings %v, error %v", warnings, err)
	}
	text, _ := json.Marshal(Diff(Baseline(c), c))
	if strings.Contains(string(text)+warnings[0], "hunter2") || !strings.Contains(string(text), "postgres://u:xxxxx@h/d") {
		t.Error(string(text))
	}
}

func TestLimitsThatProcessesDoNotShareAreWarnedAbout(t *testing.T) {
	shared := "database: {url: \"postgres://airfield@db/airfield\"}\nmodels: {m: {limits: {parallel: 3}, deployments: [{provider: builtin, model: builtin-answer}]}}\n"
	for text, warned := range map[string]bool{shared: true, shared + "redis: {url: \"redis://cache:6379\"}\n": false, strings.ReplaceAll(shared, "parallel: 3", "parallel: 0"): false} {
		_, warnings, err := parse("airfield.yaml", []byte(text), nil)
		if err != nil || strings.Contains(strings.Join(warnings, "\n"), "each counts limits for itself") != warned {
			t.Errorf("%s: %v %v", text, warnings, err)
		}
	}
}

func TestABudgetOfAUserWhoIsCountedByAnotherNameIsWarnedAbout(t *testing.T) {
	const budget = "budgets:\n  jane: {scope: user, of: jane@example.com, usd: 1, period: day}\n"
	_, warnings, err := parseText(t, budget)
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "counted as [email_") {
		t.Error(warnings, err)
	}
	_, warnings, err = parseText(t, budget+"redaction: {allow: [\"*@example.com\"]}\n")
	if err != nil || len(warnings) != 0 {
		t.Error(warnings, err)
	}
	if _, _, err = parseText(t, "redaction: {classes: {names: true}}\n"); err == nil || !strings.Contains(err.Error(), "redaction.classes") {
		t.Error(err)
	}
}
