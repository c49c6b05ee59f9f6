package bedrock

import "encoding/json"

// The parts of Converse's requests and answers that are written or read, as
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html has them. A block has one of its fields.

type block struct {
	Text       *string     `json:"text,omitempty"`
	Image      *media      `json:"image,omitempty"`
	Audio      *media      `json:"audio,omitempty"`
	Document   *document   `json:"document,omitempty"`
	ToolUse    *toolUse    `json:"toolUse,omitempty"`
	ToolResult *toolResult `json:"toolResult,omitempty"`
	Reasoning  *reasoning  `json:"reasoningContent,omitempty"`
	CachePoint *cachePoint `json:"cachePoint,omitempty"`
	Cited      *cited      `json:"citationsContent,omitempty"` // in answers only
}

type media struct {
	Format string `json:"format"`
	Source source `json:"source"`
}

type document struct {
	Format string `json:"format"`
	Name   string `json:"name"`
	Source source `json:"source"`
}

type source struct {
	Bytes string `json:"bytes"` // base64
}

type toolUse struct {
	ID    string          `json:"toolUseId"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

type toolResult struct {
	ID      string  `json:"toolUseId"`
	Content []block `json:"content"`
	Status  string  `json:"status,omitempty"`
}

type reasoning struct {
	Text     *reasoningText `json:"reasoningText,omitempty"`
	Redacted string         `json:"redactedContent,omitempty"` // base64
}

type reasoningText struct {
	Text      string `json:"text"`
	Signature string `json:"signature,omitempty"`
}

type cachePoint struct {
	Type string `json:"type"`
	TTL  string `json:"ttl,omitempty"`
}

type cited struct {
	Content []struct {
		Text string `json:"text"`
	} `json:"content"`
}

type message struct {
	Role    string  `json:"role"`
	Content []block `json:"content"`
}

type request struct {
	Messages   []message      `json:"messages"`
	System     []block        `json:"system,omitempty"`
	Inference  *inference     `json:"inferenceConfig,omitempty"`
	Tools      *toolConfig    `json:"toolConfig,omitempty"`
	Output     *outputConfig  `json:"outputConfig,omitempty"`
	Service    *serviceTier   `json:"serviceTier,omitempty"`
	Additional map[string]any `json:"additionalModelRequestFields,omitempty"` // in the words of the model's maker
	Wanted     []string       `json:"additionalModelResponseFieldPaths,omitempty"`
}

type inference struct {
	MaxTokens   int64    `json:"maxTokens,omitempty"`
	Temperature *float64 `json:"temperature,omitempty"`
	TopP        *float64 `json:"topP,omitempty"`
	Stop        []string `json:"stopSequences,omitempty"`
}

type toolConfig struct {
	Tools  []tool      `json:"tools"`
	Choice *toolChoice `json:"toolChoice,omitempty"`
}

type tool struct {
	Spec       *toolSpec   `json:"toolSpec,omitempty"`
	CachePoint *cachePoint `json:"cachePoint,omitempty"`
}

type toolSpec struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Schema      struct {
		JSON json.RawMessage `json:"json"`
	} `json:"inputSchema"`
	Strict bool `json:"strict,omitempty"`
}

type toolChoice struct {
	Auto *struct{} `json:"auto,omitempty"`
	Any  *struct{} `json:"any,omitempty"`
	Tool *named    `json:"tool,omitempty"`
}

type named struct {
	Name string `json:"name"`
}

type outputConfig struct {
	Effort string      `json:"effort,omitempty"`
	Format *textFormat `json:"textFormat,omitempty"`
}

type textFormat struct {
	Type      string `json:"type"`
	Structure struct {
		Schema struct {
			Schema      string `json:"schema"` // JSON in a string
			Name        string `json:"name,omitempty"`
			Description string `json:"description,omitempty"`
		} `json:"jsonSchema"`
	} `json:"structure"`
}

type serviceTier struct {
	Type string `json:"type"`
}

// whole is an answer as the provider gives it to the dialect.
type whole struct {
	Head   head   `json:"head"`
	Answer answer `json:"answer"`
}

type answer struct {
	Output struct {
		Message *message `json:"message"`
	} `json:"output"`
	StopReason string       `json:"stopReason"`
	Usage      *usage       `json:"usage"`
	Service    *serviceTier `json:"serviceTier"`
	Additional additional   `json:"additionalModelResponseFields"`
}

// additional is what was asked for with additionalModelResponseFieldPaths.
type additional struct {
	Sequence string
}

// UnmarshalJSON takes whatever a model's maker writes there.
func (a *additional) UnmarshalJSON(b []byte) error {
	var read struct {
		Sequence *string `json:"stop_sequence"`
	}
	if json.Unmarshal(b, &read) == nil && read.Sequence != nil {
		a.Sequence = *read.Sequence
	}
	return nil
}

type usage struct {
	Input      int64 `json:"inputTokens"` // without those of the cache
	Output     int64 `json:"outputTokens"`
	CacheRead  int64 `json:"cacheReadInputTokens"`
	CacheWrite int64 `json:"cacheWriteInputTokens"`
	Details    []struct {
		Tokens int64  `json:"inputTokens"`
		TTL    string `json:"ttl"`
	} `json:"cacheDetails"` // of what was written
}
