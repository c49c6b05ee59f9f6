package cost

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"airfield/internal/fault"
	"airfield/internal/llm"
	"airfield/internal/money"
)

const someMap = `{
  "sample_spec": {"input_cost_per_token": "what it costs", "litellm_provider": "one of…"},
  "gpt-x": {"litellm_provider": "openai", "mode": "chat", "max_tokens": 128000,
    "input_cost_per_token": 2.5e-06, "input_cost_per_token_batches": 1.25e-06, "input_cost_per_token_priority": 4.25e-06, "cache_read_input_token_cost": 0.00000125,
    "cache_read_input_token_cost_priority": 2.125e-06, "output_cost_per_token": 1e-05, "output_cost_per_token_batches": 5e-06, "output_cost_per_token_priority": 1.7e-05,
    "input_cost_per_token_above_272k_tokens": 5e-06, "output_cost_per_token_above_272k_tokens": 15e-06, "input_cost_per_token_above_272k_tokens_priority": 8.5e-06,
    "search_context_cost_per_query": {"search_context_size_high": 0.03}, "source": "https://example.com/prices"},
  "claude-x": {"litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 3.0000000000000001e-06, "output_cost_per_token": 1.5e-05,
    "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06, "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
    "input_cost_per_token_above_200k_tokens": 6e-06, "output_cost_per_token_above_200k_tokens": 2.25e-05},
  "gemini/gemini-x": {"litellm_provider": "gemini", "mode": "chat", "input_cost_per_token": 3e-07, "output_cost_per_token": 2.5e-06, "input_cost_per_audio_token": 1e-06, "output_cost_per_reasoning_token": 3.5e-06, "output_cost_per_image": 0.039},
  "vertex-gemini-x": {"litellm_provider": "vertex_ai-language-models", "input_cost_per_token": 3e-07, "output_cost_per_token": 2.5e-06},
  "xai/grok-x": {"litellm_provider": "xai", "mode": "chat", "input_cost_per_token": 2e-7, "output_cost_per_token": 5e-7},
  "image-x": {"litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 0.04},
  "embed-x": {"litellm_provider": "openai", "mode": "embedding", "input_cost_per_token": 2e-08, "output_cost_per_token": 0.0},
  "whisper-x": {"litellm_provider": "openai", "mode": "audio_transcription", "input_cost_per_second": 0.0001},
  "tts-x": {"litellm_provider": "openai", "mode": "audio_speech", "input_cost_per_character": 1.5e-05},
  "picture-x": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_token": 5e-06, "input_cost_per_image_token": 1e-05, "output_cost_per_image_token": 4e-05},
  "pixel-x": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_pixel": 1e-08},
  "free-x": {"litellm_provider": "openrouter", "mode": "chat", "input_cost_per_token": 0, "output_cost_per_token": 0},
  "half-x": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06},
  "nobody-x": {"mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}
}`

func TestLiteLLMsMapIsRead(t *testing.T) {
	f, err := ReadFile([]byte(someMap), day("2026-03-01"))
	if err != nil || f.Format != "LiteLLM" || len(f.Bad) > 0 {
		t.Fatal(f, err)
	}
	got := map[string]llm.Price{}
	for _, r := range f.Rows {
		got[r.Provider+"/"+r.Model] = r.Row.price("")
		if r.AsOf.Format(time.DateOnly) != "2026-03-01" || !strings.HasPrefix(r.Source, "LiteLLM's price map") {
			t.Errorf("%+v", r)
		}
	}
	cents := func(f float64) money.PerMillion { return money.PerMillion(f*1e9 + 0.5) }
	want := map[string]llm.Price{
		"openai/gpt-x": {Rates: llm.Rates{Input: cents(2.5), CacheRead: cents(1.25), Output: cents(10)},
			Context: []llm.ContextTier{{Above: 272_000, Rates: llm.Rates{Input: cents(5), Output: cents(15)}}},
			Services: map[string]llm.Service{
				"batch":    {Rates: llm.Rates{Input: cents(1.25), Output: cents(5)}},
				"priority": {Rates: llm.Rates{Input: cents(4.25), CacheRead: cents(2.125), Output: cents(17)}, Context: []llm.ContextTier{{Above: 272_000, Rates: llm.Rates{Input: cents(8.5)}}}},
			}},
		"anthropic/claude-x": {Rates: llm.Rates{Input: cents(3), CacheWrite: cents(3.75), CacheWriteLong: cents(6), Output: cents(15)},
			Context: []llm.ContextTier{{Above: 200_000, Rates: llm.Rates{Input: cents(6), CacheWriteLong: cents(12), Output: cents(22.5)}}}},
		"google/gemini-x":           {Rates: llm.Rates{Input: cents(0.3), AudioInput: cents(1), Output: cents(2.5), Reasoning: cents(3.5)}},
		"vertex_ai/vertex-gemini-x": {Rates: llm.Rates{Input: cents(0.3), Output: cents(2.5)}},
		"xai/grok-x":                {Rates: llm.Rates{Input: cents(0.2), Output: cents(0.5)}},
		"openai/image-x":            {Rates: llm.Rates{Images: cents(0.04) * 1_000_000}},
		"openai/whisper-x":          {Rates: llm.Rates{Seconds: cents(0.0001) * 1_000_000}},
		"openai/tts-x":              {Rates: llm.Rates{Characters: cents(15)}},
		"openai/picture-x":          {Rates: llm.Rates{Input: cents(5), ImageInput: cents(10), Output: cents(40)}},
		"openai/embed-x":            {Rates: llm.Rates{Input: cents(0.02)}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if len(f.Skipped) != 4 || fmt.Sprint(f.Skipped) != "[{no cost, or a cost of 0 that does not say that it is free 1} {a chat model without a cost for input and for output 1} {no litellm_provider 1} {charged by pixels, pages, queries or what else is not counted here 1}]" {
		t.Error(f.Skipped)
	}
}

func TestAWrongNumberInLiteLLMsMapIsNamed(t *testing.T) {
	for cost, want := range map[string]string{
		`-1e-06`: "is negative", `"free"`: "is not a number", `1.1`: "is more than anybody charges", `1e999`: "is not a number", `[1]`: "is not a number", `{"a":1}`: "is not a number",
		`true`: "is not a number", strings.Repeat("1", 70): "is not a number",
	} {
		f, err := ReadFile([]byte(`{"m":{"litellm_provider":"openai","output_cost_per_token":1e-6,"input_cost_per_token":`+cost+`}}`), day("2026-03-01"))
		if err != nil || len(f.Bad) != 1 || f.Bad[0].Where != "m" || !strings.Contains(f.Bad[0].Reason, "input_cost_per_token: ") || !strings.Contains(f.Bad[0].Reason, want) {
			t.Errorf("%s: %+v %v", cost, f, err)
		}
	}
	f, err := ReadFile([]byte(`{"gemini/m":{"litellm_provider":"gemini","input_cost_per_token":1e-6,"output_cost_per_token":1e-6},"google/m":{"litellm_provider":"google","input_cost_per_token":2e-6,"output_cost_per_token":1e-6},"x":[]}`), day("2026-03-01"))
	if err != nil || len(f.Rows) != 1 || len(f.Bad) != 2 || !strings.Contains(f.Bad[0].Reason, "another price in this file") || !strings.Contains(f.Bad[1].Reason, "not an object") {
		t.Errorf("%+v %v", f, err)
	}
}

func TestOurOwnFileIsReadAndItsBadRowsAreNamed(t *testing.T) {
	rows := []string{
		`{"provider":"p","model":"m","input":0.1,"output":"0.2","source":"s"}`,
		`{"provider":"p","model":"n","input":0.1,"inptu":1,"source":"s","as_of":"2026-01-01"}`,
		`{"provider":"p","model":"o","input":-1,"source":"s","as_of":"2026-01-01"}`,
		`{"provider":"p","model":"q","input":0.00000000001,"source":"s","as_of":"2026-01-01"}`,
		`{"provider":"p","model":"r","from":"2026-02-30","input":1,"source":"s","as_of":"2026-01-01"}`,
		`{"provider":"p","model":"s","source":"s","as_of":"2026-01-01"}`,
		`7`,
		`{"provider":"p","model":"t","input":1,"layer":"deployment","source":"s","as_of":"2026-01-01"}`,
	}
	for _, text := range []string{`{"prices":[` + strings.Join(rows, ",") + `]}`, "\xef\xbb\xbf [" + strings.Join(rows, ",") + `]`} {
		f, err := ReadFile([]byte(text), day("2026-03-01"))
		if err != nil || f.Format != "airfield" || len(f.Rows) != 1 || len(f.Bad) != 6 || len(f.Skipped) != 1 {
			t.Fatalf("%+v %v", f, err)
		}
		if r := f.Rows[0]; r.AsOf.Format(time.DateOnly) != "2026-03-01" || r.Output != 200_000_000 || r.Where != "1 (p/m)" {
			t.Errorf("%+v", r)
		}
		for i, want := range []string{`"inptu"`, "negative", "nine decimals", "2026-02-30", "free", "cannot unmarshal"} {
			if b := f.Bad[i]; !strings.Contains(b.Reason, want) || !strings.HasPrefix(b.Where, fmt.Sprint(i+2)) {
				t.Errorf("%+v, want %s", b, want)
			}
		}
	}
	for _, text := range []string{``, `null`, `7`, `[]`, `{}`, `{"prices":{}}`, `{"a":{"b":1}}`, `[`, `{"prices":[]}`, `"x"`} {
		if _, err := ReadFile([]byte(text), day("2026-03-01")); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What the list prints can be imported, and says the same.
func TestTheListIsAFileToImport(t *testing.T) {
	p, err := NewPrices()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"prices": p.List()})
	if err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile(text, day("2026-03-01"))
	if err != nil || len(f.Bad) > 0 || len(f.Rows) != len(p.List()) {
		t.Fatal(f.Bad, err)
	}
	for i, q := range p.List() {
		if !f.Rows[i].charges(q.Row) || !f.Rows[i].AsOf.Equal(q.AsOf.Time) {
			t.Errorf("%+v became %+v", q.Row, f.Rows[i].Row)
		}
		if back := RowOf(q.Provider, q.Model, q.Row.price("")); !sameRates(back.price(""), q.Row.price("")) {
			t.Errorf("%+v became %+v", q.Row, back)
		}
	}
}

func FuzzReadFile(f *testing.F) {
	f.Add([]byte(someMap))
	f.Add([]byte(`{"prices":[{"provider":"p","model":"m","input":"1e-9","context":[{"above":1}],"services":{"batch":{"input":1}},"source":"s","as_of":"2026-01-01"}]}`))
	f.Add([]byte(`[{"provider":"p","model":"m","free":true,"source":"s"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := ReadFile(text, day("2026-03-01"))
		if err != nil {
			return
		}
		if slices.ContainsFunc(file.Rows, func(r Placed) bool { return r.Row.Check() != nil }) {
			t.Fatalf("a bad row was taken: %+v", file.Rows)
		}
	})
}
