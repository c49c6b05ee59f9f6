package gemini

import "airfield/internal/llm"

// usage is what an answer used, or did until now: the prompt includes what came from the cache, the candidates do not
// include what was thought (https://ai.google.dev/api/generate-content#UsageMetadata).
type usage struct {
	Prompt     int64      `json:"promptTokenCount"`
	Cached     int64      `json:"cachedContentTokenCount"`
	Candidates int64      `json:"candidatesTokenCount"`
	Thoughts   int64      `json:"thoughtsTokenCount"`
	ToolUse    int64      `json:"toolUsePromptTokenCount"`
	PromptOf   []modality `json:"promptTokensDetails"`
	AnswerOf   []modality `json:"candidatesTokensDetails"`
}

type modality struct {
	Modality string `json:"modality"`
	Tokens   int64  `json:"tokenCount"`
}

const mostTokens = 100 << 20 // of one request: no model reads or writes so many

// read divides the figures into buckets that do not overlap. What cannot be true is not charged by.
func (u *usage) read(into *llm.Usage) {
	for _, n := range []int64{u.Prompt, u.Cached, u.Candidates, u.Thoughts, u.ToolUse} {
		if n < 0 || n > mostTokens {
			return
		}
	}
	if u.Prompt == 0 { // nothing costs no input
		return
	}
	cached := min(u.Cached, u.Prompt)
	heard := min(sound(u.PromptOf), u.Prompt-cached)
	spoken := min(sound(u.AnswerOf), u.Candidates)
	*into = llm.Usage{
		Input: u.Prompt - cached - heard + u.ToolUse, CacheRead: cached, AudioInput: heard,
		Output: u.Candidates - spoken, AudioOutput: spoken, Reasoning: u.Thoughts, Source: llm.Reported,
	}
}

func sound(list []modality) (n int64) {
	for _, m := range list {
		if m.Modality == "AUDIO" && m.Tokens > 0 && m.Tokens <= mostTokens {
			n += m.Tokens
		}
	}
	return min(n, mostTokens)
}
