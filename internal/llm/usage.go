package llm

import "airfield/internal/money"

// Usage is what a call used, in tokens and in what else is charged for. The buckets do not overlap: Input is what was billed
// at the full price, without the cached part, audio and pictures, and Output is without reasoning and audio.
type Usage struct {
	Input      int64 `json:"input_tokens"`
	CacheRead  int64 `json:"cache_read_tokens,omitempty"`
	CacheWrite int64 `json:"cache_write_tokens,omitempty"`
	// CacheWriteLong is what was written to the provider's cache to stay for an hour, at a price of its own.
	CacheWriteLong int64       `json:"cache_write_long_tokens,omitempty"`
	AudioInput     int64       `json:"audio_input_tokens,omitempty"`
	Output         int64       `json:"output_tokens"`
	Reasoning      int64       `json:"reasoning_tokens,omitempty"`
	AudioOutput    int64       `json:"audio_output_tokens,omitempty"`
	Images         int64       `json:"images,omitempty"` // made, where they are charged by the piece
	ImageInput     int64       `json:"image_input_tokens,omitempty"`
	Characters     int64       `json:"characters,omitempty"` // that were spoken, where they are charged
	Seconds        int64       `json:"seconds,omitempty"`    // of sound that was heard, begun ones whole, where they are charged
	Source         UsageSource `json:"usage_source,omitempty"`
}

// Prompt is every token that went in, cached or not. Like the other sums it saturates, and counts less than none as none.
func (u Usage) Prompt() int64 {
	return sum(u.Input, u.CacheRead, u.CacheWrite, u.CacheWriteLong, u.AudioInput, u.ImageInput)
}

// Completion is every token that came out, reasoning included.
func (u Usage) Completion() int64 { return sum(u.Output, u.Reasoning, u.AudioOutput) }

// Total is every token.
func (u Usage) Total() int64 { return sum(u.Prompt(), u.Completion()) }

// Empty reports whether nothing was used: no token, and nothing else that is charged for.
func (u Usage) Empty() bool {
	return u.Total() == 0 && u.Images <= 0 && u.Characters <= 0 && u.Seconds <= 0
}

func sum(parts ...int64) int64 {
	total := money.Nanos(0)
	for _, n := range parts {
		total = total.Add(money.Nanos(max(n, 0)))
	}
	return int64(total)
}

// Add returns the sum, saturating; the weaker source of the two stands for both.
func (u Usage) Add(v Usage) Usage {
	add := func(a, b int64) int64 { return int64(money.Nanos(a).Add(money.Nanos(b))) }
	u.Input, u.CacheRead, u.CacheWrite = add(u.Input, v.Input), add(u.CacheRead, v.CacheRead), add(u.CacheWrite, v.CacheWrite)
	u.CacheWriteLong, u.AudioInput = add(u.CacheWriteLong, v.CacheWriteLong), add(u.AudioInput, v.AudioInput)
	u.Output, u.Reasoning = add(u.Output, v.Output), add(u.Reasoning, v.Reasoning)
	u.AudioOutput, u.Images = add(u.AudioOutput, v.AudioOutput), add(u.Images, v.Images)
	u.ImageInput, u.Characters, u.Seconds = add(u.ImageInput, v.ImageInput), add(u.Characters, v.Characters), add(u.Seconds, v.Seconds)
	if u.Source == "" || v.Source == Estimated || (v.Source == Counted && u.Source == Reported) {
		u.Source = v.Source
	}
	return u
}
