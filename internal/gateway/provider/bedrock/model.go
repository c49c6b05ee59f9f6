package bedrock

import (
	"strings"

	"airfield/internal/gateway/neutral"
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
	nova, claude := strings.Contains(q.Model, "amazon.nova"), strings.Contains(q.Model, "anthropic.claude")
	switch {
	case q.TopK == nil:
	case nova:
		add("inferenceConfig", map[string]int64{"topK": *q.TopK})
	default:
		add("top_k", *q.TopK)
	}
	effort := effortOf(q)
	switch {
	case effort == "":
	case nova:
		if effort == "xhigh" {
			effort = "high"
		}
		add("reasoningConfig", map[string]string{"type": "enabled", "maxReasoningEffort": effort})
	case strings.Contains(q.Model, "openai.gpt-oss"):
		if effort == "xhigh" {
			effort = "high"
		}
		add("reasoning_effort", effort)
	case claude && budgeted(q.Model):
		if budget := thinkingBudget(q, effort); budget > 0 {
			add("thinking", map[string]any{"type": "enabled", "budget_tokens": budget})
		}
	default:
		if claude {
			thinking := map[string]string{"type": "adaptive"}
			if q.Summary {
				thinking["display"] = "summarized"
			}
			add("thinking", thinking)
		}
		if out.Output == nil {
			out.Output = &outputConfig{}
		}
		out.Output.Effort = effort
	}
}

// effortOf is how hard to think in Bedrock's words: low, medium, high, xhigh; empty where the model is not to be told.
func effortOf(q *neutral.Request) string {
	switch q.Effort {
	case "none":
		return ""
	case "minimal":
		return "low"
	case "":
		switch n := q.Thinking; {
		case n <= 0:
			return ""
		case n <= budgets["low"]:
			return "low"
		case n <= budgets["medium"]:
			return "medium"
		}
		return "high"
	}
	return q.Effort
}

// budgeted are the Claude models that are told how hard to think in tokens, and refuse to be told otherwise.
// https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html
func budgeted(model string) bool {
	_, name, _ := strings.Cut(model, "anthropic.claude-")
	for _, prefix := range []string{"3-", "opus-4-2", "sonnet-4-2", "opus-4-1", "opus-4-5", "sonnet-4-5", "haiku-4-5"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

var budgets = map[string]int64{"low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768}

const leastBudget = 1024 // that is taken

// thinkingBudget is how many tokens a thought may have: as many as the caller said, or as the effort is worth, but at most
// half of the whole output where the caller did not say. 0 where there is no room for a thought.
func thinkingBudget(q *neutral.Request, effort string) int64 {
	if q.Thinking > 0 {
		return q.Thinking
	}
	budget := budgets[effort]
	if budget == 0 {
		budget = budgets["medium"]
	}
	if q.MaxOutput > 0 {
		budget = min(budget, q.MaxOutput/2)
	}
	if budget < leastBudget {
		return 0
	}
	return budget
}
