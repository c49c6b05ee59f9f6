package cost

import (
	"strings"
	"testing"
	"time"

	"airfield/internal/llm"
	"airfield/internal/money"
)

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestPricesAreFoundByNameAndDate(t *testing.T) {
	p, err := NewPrices()
	if err != nil {
		t.Fatal(err)
	}
	million := llm.Usage{Input: 1_000_000}
	for _, c := range []struct {
		name, provider, model, at string
		known                     bool
		dollars                   string // for a million tokens in
	}{
		{"the exact name", "openai", "gpt-4o-mini", "2026-01-01", true, "0.15"},
		{"a name with a date", "openai", "gpt-4o-mini-2024-07-18", "2026-01-01", true, "0.15"},
		{"a date in the other form", "anthropic", "claude-haiku-4-5-20251001", "2026-01-01", true, "1"},
		{"a dated name whose long prompts cost more", "anthropic", "claude-sonnet-4-5-20250929", "2026-01-01", true, "6"},
		{"a dated name with a price of its own", "openai", "gpt-4o-2024-05-13", "2026-01-01", true, "5"},
		{"before a price fell", "openai", "o3", "2025-06-09", true, "10"},
		{"on the day it fell", "openai", "o3", "2025-06-10", true, "2"},
		{"before the price that we know", "deepseek", "deepseek-chat", "2025-01-01", false, "0"},
		{"a model of another provider", "groq", "gpt-4o-mini", "2026-01-01", false, "0"},
		{"a longer name is another model", "openai", "gpt-4o-mini-search-preview", "2026-01-01", false, "0"},
		{"what is not a date", "openai", "gpt-4o-2024-13-41", "2026-01-01", false, "0"},
		{"a model that nobody knows", "openai", "gpt-99", "2026-01-01", false, "0"},
		{"one whose long prompts cost more", "google", "gemini-2.5-pro", "2026-01-01", true, "2.50"},
		{"Bedrock anywhere", "bedrock", "global.anthropic.claude-haiku-4-5-20251001-v1:0", "2026-01-01", true, "1"},
		{"Bedrock within a geography", "bedrock", "eu.anthropic.claude-haiku-4-5-20251001-v1:0", "2026-01-01", true, "1.10"},
		{"the same by its ARN", "bedrock", "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0", "2026-01-01", true, "1.10"},
		{"a model of Bedrock by its ARN", "bedrock", "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0", "2026-01-01", true, "0.02"},
		{"an account's own profile", "bedrock", "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2", "2026-01-01", false, "0"},
		{"our own, which costs nothing", "builtin", "builtin-answer", "2026-01-01", true, "0"},
	} {
		price, known := p.Price(c.provider, c.model, day(c.at))
		want, _ := money.Parse(c.dollars)
		if known != c.known || price.Cost(million) != want {
			t.Errorf("%s: %v %s", c.name, known, price.Cost(million))
		}
		if known && !strings.HasPrefix(price.ID, c.provider+"/") {
			t.Errorf("%s: id %q", c.name, price.ID)
		}
	}
	if n := len(p.List()); n < 80 {
		t.Error("only", n)
	}
}

// A slip of a digit in the list would be a factor of ten or more.
func TestEveryPriceIsPlausible(t *testing.T) {
	p, err := NewPrices()
	if err != nil {
		t.Fatal(err)
	}
	const cent, most = 10_000_000, 600_000_000_000 // a million tokens
	for _, q := range p.List() {
		if q.Provider == "builtin" {
			continue
		}
		p := q.Row.price("")
		in, out, read, write := p.Input, p.Output, p.CacheRead, p.CacheWrite
		for name, s := range p.Services {
			if ratio := float64(s.Input) / float64(in); ratio < 0.4 || ratio > 2.5 || s.Output == 0 || float64(s.Output)/float64(out)/ratio > 1.1 || float64(s.Output)/float64(out)/ratio < 0.9 || len(s.Context) > 0 {
				t.Errorf("%s/%s: %s %+v", q.Provider, q.Model, name, s)
			}
		}
		for _, c := range p.Context {
			if c.Input != 2*in || c.Output < out*3/2 || c.Output > 2*out || c.Above < 100_000 {
				t.Errorf("%s/%s: %+v", q.Provider, q.Model, c)
			}
		}
		if p.CacheWriteLong > 0 && p.CacheWriteLong != 2*in || p.AudioInput > 0 && (p.AudioInput < in || p.AudioInput > 100*in) || p.AudioOutput > 0 && p.AudioOutput != 2*p.AudioInput {
			t.Errorf("%s/%s: %+v", q.Provider, q.Model, p.Rates)
		}
		if in < cent || in > most || out > most || (out > 0 && (out < in || out > 10*in)) || (read > 0 && (read >= in || read < in/20)) || (write > 0 && (write < in || write > 2*in)) {
			t.Errorf("%s/%s: %+v", q.Provider, q.Model, q.Row)
		}
		if q.AsOf.IsZero() || q.Source == "" {
			t.Errorf("%s/%s: no source", q.Provider, q.Model)
		}
	}
}

func TestABadListIsRefused(t *testing.T) {
	const rest = `"source":"s","as_of":"2025-01-01"`
	for name, text := range map[string]string{
		"two prices at one time":     `[{"provider":"p","model":"m","input":1,` + rest + `},{"provider":"p","model":"m","input":2,"from":"2025-01-01",` + rest + `}]`,
		"nothing, in silence":        `[{"provider":"p","model":"m",` + rest + `}]`,
		"free, with a price":         `[{"provider":"p","model":"m","free":true,"input":1,` + rest + `}]`,
		"a context tier of nothing":  `[{"provider":"p","model":"m","input":1,"context":[{"above":5}],` + rest + `}]`,
		"context tiers out of order": `[{"provider":"p","model":"m","input":1,"context":[{"above":5,"input":2},{"above":5,"input":3}],` + rest + `}]`,
		"a tier below one":           `[{"provider":"p","model":"m","input":1,"context":[{"above":0,"input":2}],` + rest + `}]`,
		"a service of nothing":       `[{"provider":"p","model":"m","input":1,"services":{"batch":{}},` + rest + `}]`,
		"a service that is usual":    `[{"provider":"p","model":"m","input":1,"services":{"default":{"input":1}},` + rest + `}]`,
		"more than anybody charges":  `[{"provider":"p","model":"m","input":1000001,` + rest + `}]`,
		"free, with a service":       `[{"provider":"p","model":"m","free":true,"services":{"batch":{"input":1}},` + rest + `}]`,
		"a name twice":               `[{"provider":"p","model":"m","aliases":["m"],"input":1,` + rest + `}]`,
		"no time at all":             `[{"provider":"p","model":"m","from":"2025-01-01","until":"2025-01-01","input":1,` + rest + `}]`,
		"a year of another age":      `[{"provider":"p","model":"m","from":"0001-01-01","input":1,` + rest + `}]`,
		"a negative price":           `[{"provider":"p","model":"m","input":-1,` + rest + `}]`,
		"no source":                  `[{"provider":"p","model":"m","input":1,"as_of":"2025-01-01"}]`,
		"an impossible day":          `[{"provider":"p","model":"m","input":1,"source":"s","as_of":"2025-02-30"}]`,
		"a field that means nothing": `[{"provider":"p","model":"m","inputs":1,` + rest + `}]`,
	} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := parse([]byte(`[{"provider":"p","model":"m","input":1,"until":"2025-01-01",` + rest + `},{"provider":"p","model":"m","input":2,"from":"2025-01-01",` + rest + `}]`)); err != nil {
		t.Error("one after the other:", err)
	}
}

func BenchmarkPrice(b *testing.B) {
	p, err := NewPrices()
	if err != nil {
		b.Fatal(err)
	}
	at := day("2026-01-01")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := p.Price("openai", "gpt-4o-mini-2024-07-18", at); !ok {
			b.Fatal("unknown")
		}
	}
}
