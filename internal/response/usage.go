package response

import "encoding/json"

// usage adds up what the calls of one response used.
type usage struct {
	Input   int64 `json:"input_tokens"`
	Details struct {
		Cached int64 `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	Output  int64 `json:"output_tokens"`
	Thought struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	Total int64 `json:"total_tokens"`
}

func (u *usage) add(raw json.RawMessage) {
	var more usage
	if json.Unmarshal(raw, &more) != nil {
		return
	}
	u.Input, u.Output, u.Total = u.Input+more.Input, u.Output+more.Output, u.Total+more.Total
	u.Details.Cached, u.Thought.Reasoning = u.Details.Cached+more.Details.Cached, u.Thought.Reasoning+more.Thought.Reasoning
}
