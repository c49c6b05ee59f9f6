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
		"plain":                       {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}`, llm.Usage{Input: 10, Output: 5}},
		"cached input":                {`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}`, llm.Usage{Input: 6, CacheRead: 4, Output: 5}},
		"reasoning inside":            {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"completion_tokens_details":{"reasoning_tokens":3}}`, llm.Usage{Input: 10, Output: 2, Reasoning: 3}},
		"reasoning beside":            {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":18,"completion_tokens_details":{"reasoning_tokens":3}}`, llm.Usage{Input: 10, Output: 5, Reasoning: 3}},
		"DeepSeek's names":            {`{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":7,"prompt_cache_miss_tokens":3}`, llm.Usage{Input: 3, CacheRead: 7, Output: 5}},
		"both names":                  {`{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":7,"prompt_tokens_details":{"cached_tokens":7}}`, llm.Usage{Input: 3, CacheRead: 7, Output: 5}},
		"cache writes":                {`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":2,"cache_write_tokens":5}}`, llm.Usage{Input: 3, CacheRead: 2, CacheWrite: 5, Output: 5}},
		"more cached than in":         {`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":99}}`, llm.Usage{CacheRead: 10, Output: 5}},
		"more thought":                {`{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":99}}`, llm.Usage{Input: 10, Reasoning: 5}},
		"null details":                {`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":null,"completion_tokens_details":null}`, llm.Usage{Input: 10, Output: 5}},
		"embeddings":                  {`{"prompt_tokens":8,"total_tokens":8}`, llm.Usage{Input: 8}},
		"sound in and out":            {`{"prompt_tokens":20,"completion_tokens":30,"total_tokens":50,"prompt_tokens_details":{"audio_tokens":12,"cached_tokens":4,"text_tokens":8},"completion_tokens_details":{"audio_tokens":21,"reasoning_tokens":2,"text_tokens":7}}`, llm.Usage{Input: 4, CacheRead: 4, AudioInput: 12, Output: 7, Reasoning: 2, AudioOutput: 21}},
		"sound that was cached":       {`{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"audio_tokens":10,"cached_tokens":6}}`, llm.Usage{CacheRead: 6, AudioInput: 4, Output: 1}},
		"more sound than out":         {`{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"audio_tokens":99,"reasoning_tokens":2}}`, llm.Usage{Input: 10, Reasoning: 2, AudioOutput: 3}},
		"predictions that failed":     {`{"prompt_tokens":10,"completion_tokens":9,"completion_tokens_details":{"rejected_prediction_tokens":4,"accepted_prediction_tokens":2}}`, llm.Usage{Input: 10, Output: 9}},
		"writes for an hour":          {`{"prompt_tokens":100,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":20,"cache_creation_tokens":50,"cache_creation_token_details":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":30}}}`, llm.Usage{Input: 30, CacheRead: 20, CacheWrite: 20, CacheWriteLong: 30, Output: 5}},
		"Anthropic's names beside":    {`{"prompt_tokens":100,"completion_tokens":5,"cache_creation_input_tokens":50,"cache_read_input_tokens":20,"cache_creation":{"ephemeral_1h_input_tokens":50}}`, llm.Usage{Input: 30, CacheRead: 20, CacheWriteLong: 50, Output: 5}},
		"more for an hour than in":    {`{"prompt_tokens":10,"completion_tokens":5,"cache_creation":{"ephemeral_1h_input_tokens":50}}`, llm.Usage{CacheWriteLong: 10, Output: 5}},
		"Moonshot's name":             {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"cached_tokens":8}`, llm.Usage{Input: 2, CacheRead: 8, Output: 5}},
		"thoughts left out, unnamed":  {`{"prompt_tokens":20,"completion_tokens":198,"total_tokens":623}`, llm.Usage{Input: 20, Output: 198, Reasoning: 405}},
		"thoughts alone":              {`{"prompt_tokens":21,"completion_tokens":0,"total_tokens":81,"completion_tokens_details":{"reasoning_tokens":60}}`, llm.Usage{Input: 21, Reasoning: 60}},
		"a total that explains none":  {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":40,"completion_tokens_details":{"reasoning_tokens":3}}`, llm.Usage{Input: 10, Output: 2, Reasoning: 3}},
		"an absurd total":             {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":99999999}`, llm.Usage{Input: 10, Output: 5}},
		"a total that is too small":   {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":3}`, llm.Usage{Input: 10, Output: 5}},
		"negative parts":              {`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":-4,"audio_tokens":-1},"completion_tokens_details":{"reasoning_tokens":-3}}`, llm.Usage{Input: 10, Output: 5}},
		"absurd parts":                {`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":1e300},"completion_tokens_details":{"reasoning_tokens":"3"}}`, llm.Usage{Input: 10, Output: 5}},
		"details of another shape":    {`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":[1],"completion_tokens_details":"x","cache_creation":7}`, llm.Usage{Input: 10, Output: 5}},
		"no completion, said as null": {`{"prompt_tokens":10,"completion_tokens":null}`, llm.Usage{Input: 10}},
		"as floats":                   {`{"prompt_tokens":8.0,"completion_tokens":2e0}`, llm.Usage{Input: 8, Output: 2}},
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

// What cannot be true is not charged by, and not taken for nothing either: the gateway estimates instead.
func TestUsageThatCannotBeTrueIsNotTaken(t *testing.T) {
	for name, usage := range map[string]string{
		"a negative prompt":     `{"prompt_tokens":-10,"completion_tokens":5}`,
		"a negative completion": `{"prompt_tokens":10,"completion_tokens":-5}`,
		"an absurd prompt":      `{"prompt_tokens":1000000000000,"completion_tokens":5}`,
		"an absurd completion":  `{"prompt_tokens":10,"completion_tokens":1e15}`,
		"beyond all numbers":    `{"prompt_tokens":10,"completion_tokens":1e999}`,
		"half a token":          `{"prompt_tokens":10.5,"completion_tokens":5}`,
		"a number as a text":    `{"prompt_tokens":"10","completion_tokens":5}`,
		"nothing went in":       `{"prompt_tokens":0,"completion_tokens":5}`,
		"no numbers":            `{}`,
	} {
		m := NewMeter(llm.ChatCompletions)
		m.Event([]byte(`{"choices":[],"usage":` + usage + `}`))
		if u := m.Reading().Usage; u != (llm.Usage{}) {
			t.Errorf("%s: %+v", name, u)
		}
	}
	m := NewMeter(llm.ChatCompletions)
	m.Event([]byte(`{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}`))
	m.Event([]byte(`{"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":5}}`))
	if u := m.Reading().Usage; u.Input != 10 || u.Output != 5 {
		t.Errorf("a wrong total undid the one before: %+v", u)
	}
}

func TestTheServiceTierIsReadWhereverItStands(t *testing.T) {
	for text, want := range map[string]string{
		`{"choices":[],"service_tier":"priority"}`:                        "priority",
		`{"choices":[],"service_tier":"on_demand"}`:                       "on_demand",
		`{"choices":[],"service_tier":null}`:                              "",
		`{"choices":[],"service_tier":7}`:                                 "",
		`{"choices":[],"service_tier":"a b\n"}`:                           "",
		`{"choices":[],"service_tier":"` + strings.Repeat("x", 33) + `"}`: "",
	} {
		whole, stream, tail := NewMeter(llm.ChatCompletions), NewMeter(llm.ChatCompletions), NewMeter(llm.ChatCompletions)
		whole.Body([]byte(text), false)
		stream.Event([]byte(text))
		tail.Body([]byte(text[5:]), true)
		for way, m := range map[string]gateway.Meter{"whole": whole, "stream": stream, "tail": tail} {
			if got := m.Reading().Service; got != want {
				t.Errorf("%s, %s: %q", text, way, got)
			}
		}
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
			if min(u.Input, u.CacheRead, u.CacheWrite, u.CacheWriteLong, u.AudioInput, u.Output, u.Reasoning, u.AudioOutput, u.Images, r.Output) < 0 || u.Total() > 2*100<<20+1<<20 || u.Source == llm.Reported && u.Prompt() == 0 {
				t.Fatalf("%q: %+v", b, r)
			}
		}
	})
}
