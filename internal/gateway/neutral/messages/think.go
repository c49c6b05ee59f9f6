package messages

import (
	"strings"

	"airfield/internal/gateway/neutral"
)

// manner is how a model is asked to think.
type manner int

const (
	adaptive manner = iota // it decides how much, and is told how hard to try
	budgeted               // it is given a number of tokens
	never
)

// mannerOf knows the models from before adaptive thinking by their names, which also stand inside of those that other
// clouds give them (https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking). A name that says nothing is
// taken for a newer model.
func mannerOf(model string) manner {
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(model, p) {
				return true
			}
		}
		return false
	}
	model = strings.ReplaceAll(strings.ToLower(model), ".", "-")
	switch {
	case has("claude-3-7", "opus-4-0", "opus-4-1", "opus-4-2025", "opus-4-5", "sonnet-4-0", "sonnet-4-2025", "sonnet-4-5", "haiku-4-5") || strings.HasSuffix(model, "opus-4") || strings.HasSuffix(model, "sonnet-4"):
		return budgeted
	case has("claude-3-", "claude-2", "claude-instant"):
		return never
	}
	return adaptive
}

// budgets are the tokens to think that stand for an effort.
var budgets = map[string]int64{"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768}

// smallest is the least that may be thought.
const smallest = 1024

// wanted are the tokens to think that a request asks for; 0 for none.
func wanted(q *neutral.Request) int64 {
	if q.Thinking > 0 {
		return max(q.Thinking, smallest)
	}
	return budgets[q.Effort]
}

// signed reports whether thinking may go on: in the middle of a tool loop the turn that called the tools must begin with
// its signed thoughts.
func signed(q *neutral.Request) bool {
	for i := len(q.Messages) - 1; i >= 0; i-- {
		m := &q.Messages[i]
		switch {
		case m.Role == neutral.Assistant:
			return !calls(m) || len(m.Parts) > 0 && sealed(&m.Parts[0])
		case m.Role == neutral.User && !answers(m):
			return true
		}
	}
	return true
}

func calls(m *neutral.Message) bool {
	for i := range m.Parts {
		if m.Parts[i].Kind == neutral.ToolCall {
			return true
		}
	}
	return false
}

func answers(m *neutral.Message) bool {
	for i := range m.Parts {
		if m.Parts[i].Kind == neutral.ToolResult {
			return true
		}
	}
	return false
}

// sealed reports whether a part is a thought that can be given back.
func sealed(p *neutral.Part) bool {
	return p.Kind == neutral.Reasoning && (p.Signature != "" || p.Data != "")
}

type thinking struct {
	Type    string `json:"type"`
	Budget  int64  `json:"budget_tokens,omitempty"`
	Display string `json:"display,omitempty"`
}

// think says how a request asks to think, how hard to try, and how many tokens the answer may have for it.
func think(q *neutral.Request) (t *thinking, effort string, most int64) {
	most = q.MaxOutput
	if most == 0 {
		most = max(q.Most, 0)
	}
	if most == 0 {
		most = defaultMost
	}
	how, tokens := mannerOf(q.Model), wanted(q)
	if how == adaptive {
		switch effort = q.Effort; effort {
		case "none":
			return &thinking{Type: "disabled"}, "", most
		case "minimal":
			effort = "low"
		}
	}
	if tokens == 0 || how == never || !signed(q) {
		return nil, effort, most
	}
	if q.MaxOutput == 0 {
		most += tokens // thoughts count as output
	}
	if how == adaptive {
		t = &thinking{Type: "adaptive"}
		if q.Summary {
			t.Display = "summarized"
		}
		if effort == "" {
			effort = effortOf(tokens)
		}
		return t, effort, most
	}
	if tokens = min(tokens, most-most/4); tokens < smallest {
		return nil, "", most // there is no room for it
	}
	return &thinking{Type: "enabled", Budget: tokens}, "", most
}

// defaultMost bounds an answer where nobody did: the API wants to be told.
const defaultMost = 4096

func effortOf(tokens int64) string {
	for _, e := range []string{"low", "medium", "high"} {
		if tokens <= budgets[e] {
			return e
		}
	}
	return "xhigh"
}
