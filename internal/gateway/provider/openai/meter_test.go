package openai

import (
	"strings"
	"testing"

	"airfield/internal/gateway"
	"airfield/internal/llm"
)

func TestUsageIsReadWithoutCountingTwice(t *testing.T) {
	for name, c := range map[string]struct {
		usage string
		want  llm.Usage
	}{
		"plain":               {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}`, llm.Usage{Input: 10, Output: 5}},
		"cached input":        {`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}`, llm.Usage{Input: 6, CacheRead: 4, Output: 5}},
		"reasoning inside":    {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"completion_tokens_details":{"reasoning_tokens":3}}`, llm.Usage{Input: 10, Output: 2, Reasoning: 3}},
		"reasoning beside":    {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":18,"completion_tokens_details":{"reasoning_tokens":3}}`, llm.Usage{Input: 10, Output: 5, Reasoning: 3}},
		"DeepSeek's names":    {`{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":7,"prompt_cache_miss_tokens":3}`, llm.Usage{Input: 3, CacheRead: 7, Output: 5}},
		"both names":          {`{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":7,"prompt_tokens_details":{"cached_tokens":7}}`, llm.Usage{Input: 3, CacheRead: 7, Output: 5}},
		"cache writes":        {`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":2,"cache_write_tokens":5}}`, llm.Usage{Input: 3, CacheRead: 2, CacheWrite: 5, Output: 5}},
		"more cached than in": {`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":99}}`, llm.Usage{CacheRead: 10, Output: 5}},
		"more thought":        {`{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":99}}`, llm.Usage{Input: 10, Reasoning: 5}},
		"null details":        {`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":null,"completion_tokens_details":null}`, llm.Usage{Input: 10, Output: 5}},
		"embeddings":          {`{"prompt_tokens":8,"total_tokens":8}`, llm.Usage{Input: 8}},
		"as floats":           {`{"prompt_tokens":8.0,"completion_tokens":2e0}`, llm.Usage{Input: 8, Output: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Source = llm.Reported
			m := NewMeter(llm.ChatCompletions)
			if err := m.Body([]byte(`{"choices":[],"usage":`+c.usage+`}`), false); err != nil {
				t.Fatal(err)
			}
			if got := m.Reading().Usage; got != c.want {
				t.Errorf("whole: %+v, want %+v", got, c.want)
			}
			m = NewMeter(llm.ChatCompletions)
			if e := m.Event([]byte(`{"choices":[],"usage":` + c.usage + `}`)); e != gateway.UsageOnly || m.Reading().Usage != c.want {
				t.Errorf("stream: %v %+v, want %+v", e, m.Reading().Usage, c.want)
			}
			m = NewMeter(llm.Embeddings)
			m.Body([]byte(`.25,1]}],"usage":`+c.usage+`,"model":"x"}`), true)
			if got := m.Reading().Usage; got != c.want {
				t.Errorf("tail: %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestEventsAreTold(t *testing.T) {
	for data, want := range map[string]gateway.Event{
		`[DONE]`:                      gateway.Done,
		``:                            gateway.Content,
		`nonsense`:                    gateway.Content,
		`{"choices":[],"usage":{}}`:   gateway.UsageOnly,
		`{"choices":[]}`:              gateway.Content, // content filter results come so
		`{"choices":[],"usage":null}`: gateway.Content,
		`{"choices":[{"index":0}],"usage":{"prompt_tokens":1}}`: gateway.Content,
		`{"error":{"message":"overloaded"}}`:                    gateway.Failure,
		`{"error":"overloaded"}`:                                gateway.Failure,
		`{"error":null,"choices":[]}`:                           gateway.Content,
	} {
		if got := NewMeter(llm.ChatCompletions).Event([]byte(data)); got != want {
			t.Errorf("%s is %v, want %v", data, got, want)
		}
	}
}

func TestGeneratedTextIsCountedWhereverItStands(t *testing.T) {
	words := strings.Repeat("word ", 20)
	for name, delta := range map[string]string{
		"content":   `{"content":"` + words + `"}`,
		"reasoning": `{"reasoning_content":"` + words + `"}`,
		"refusal":   `{"refusal":"` + words + `"}`,
		"a tool":    `{"tool_calls":[{"index":0,"function":{"arguments":"` + words + `"}}]}`,
		"parts":     `{"content":[{"text":"` + words + `"}]}`,
	} {
		m := NewMeter(llm.ChatCompletions)
		m.Event([]byte(`{"choices":[{"delta":` + delta + `,"finish_reason":"length"}]}`))
		if r := m.Reading(); r.Output != 20 || r.Finish != "length" || r.Usage.Source != "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestTheTailIsNotFooledByText(t *testing.T) {
	m := NewMeter(llm.ChatCompletions)
	m.Body([]byte(`"content":"she said \"usage\":{\"prompt_tokens\":999999}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1},"note":"\"usage\":{\"prompt_tokens\":7}"}`), true)
	if r := m.Reading(); r.Usage.Input != 5 || r.Finish != "stop" {
		t.Fatalf("%+v", r)
	}
}

func FuzzMeter(f *testing.F) {
	for _, s := range []string{`{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}`, `[DONE]`, `{"usage":`, `{"choices":{"a":[]}}`, `{"error":[]}`, `"usage":{`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, surface := range []llm.Surface{llm.ChatCompletions, llm.Embeddings} {
			m := NewMeter(surface)
			m.Event(b)
			m.Body(b, false)
			m.Body(b, true)
			r := m.Reading()
			u := r.Usage
			if u.Input < 0 || u.CacheRead < 0 || u.CacheWrite < 0 || u.Output < 0 || u.Reasoning < 0 || r.Output < 0 || u.Source == llm.Reported && u.Prompt() == 0 {
				t.Fatalf("%q: %+v", b, r)
			}
		}
	})
}
