package bedrock

import (
	"strings"

	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/neutral/messages"
)

// particular says what Converse leaves to the makers of models: how hard to think, and top_k. A model whose maker the id
// does not tell, such as an application inference profile, is asked in Converse's own words.
func (out *request) particular(q *neutral.Request) {
	add := func(name string, value any) {
		if out.Additional == nil {
			out.Additional = map[string]any{}
		}
		out.Additional[name] = value
	}
	try := func(effort string) {
		if effort == "" {
			return
		}
		if out.Output == nil {
			out.Output = &outputConfig{}
		}
		out.Output.Effort = effort
	}
	nova := strings.Contains(q.Model, "amazon.nova")
	switch {
	case q.TopK == nil:
	case nova:
		add("inferenceConfig", map[string]int64{"topK": *q.TopK})
	default:
		add("top_k", *q.TopK)
	}
	effort := effortOf(q)
	switch {
	case strings.Contains(q.Model, "anthropic.claude"):
		thinking, effort := messages.Think(q)
		if thinking != nil {
			add("thinking", thinking)
		}
		try(effort)
	case effort == "":
	case nova:
		add("reasoningConfig", map[string]string{"type": "enabled", "maxReasoningEffort": atMostHigh(effort)})
	case strings.Contains(q.Model, "openai.gpt-oss"):
		add("reasoning_effort", atMostHigh(effort))
	default:
		try(effort)
	}
}

// effortOf is how hard to think in Bedrock's words: low, medium, high, xhigh; empty where the model is not to be told.
func effortOf(q *neutral.Request) string {
	switch n := q.Thinking; {
	case q.Effort == "none":
		return ""
	case q.Effort == "minimal":
		return "low"
	case q.Effort != "":
		return q.Effort
	case n <= 0:
		return ""
	case n <= 2048:
		return "low"
	case n <= 8192:
		return "medium"
	}
	return "high"
}

func atMostHigh(effort string) string {
	if effort == "xhigh" {
		return "high"
	}
	return effort
}
