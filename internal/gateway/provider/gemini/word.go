package gemini

import "encoding/json"

// The words of a request and of an answer, as far as they are used (https://ai.google.dev/api/generate-content).

type request struct {
	Contents   []content   `json:"contents"`
	System     *content    `json:"systemInstruction,omitempty"`
	Tools      []toolbox   `json:"tools,omitempty"`
	ToolConfig *toolConfig `json:"toolConfig,omitempty"`
	Config     *generation `json:"generationConfig,omitempty"`
}

type content struct {
	Role  string `json:"role,omitempty"` // user or model
	Parts []part `json:"parts"`
}

type part struct {
	Text      *string         `json:"text,omitempty"`
	Thought   bool            `json:"thought,omitempty"`
	Signature string          `json:"thoughtSignature,omitempty"`
	Inline    *blob           `json:"inlineData,omitempty"`
	File      *file           `json:"fileData,omitempty"`
	Call      *functionCall   `json:"functionCall,omitempty"`
	Result    *functionResult `json:"functionResponse,omitempty"`
}

type blob struct {
	Media string `json:"mimeType"`
	Data  string `json:"data"`
}

type file struct {
	Media string `json:"mimeType,omitempty"`
	URI   string `json:"fileUri"`
}

type functionCall struct {
	ID   string          `json:"id,omitempty"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args,omitempty"`
}

type functionResult struct {
	ID       string            `json:"id,omitempty"`
	Name     string            `json:"name"`
	Response map[string]string `json:"response"`
	Parts    []part            `json:"parts,omitempty"`
}

type toolbox struct {
	Functions []function `json:"functionDeclarations"`
}

type function struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"parametersJsonSchema,omitempty"`
}

type toolConfig struct {
	Calling calling `json:"functionCallingConfig"`
}

type calling struct {
	Mode    string   `json:"mode"`
	Allowed []string `json:"allowedFunctionNames,omitempty"`
}

type generation struct {
	MaxOutput        int64           `json:"maxOutputTokens,omitempty"`
	Temperature      *float64        `json:"temperature,omitempty"`
	TopP             *float64        `json:"topP,omitempty"`
	TopK             *int64          `json:"topK,omitempty"`
	FrequencyPenalty *float64        `json:"frequencyPenalty,omitempty"`
	PresencePenalty  *float64        `json:"presencePenalty,omitempty"`
	Seed             *int64          `json:"seed,omitempty"`
	Stop             []string        `json:"stopSequences,omitempty"`
	Media            string          `json:"responseMimeType,omitempty"`
	Schema           json.RawMessage `json:"responseJsonSchema,omitempty"`
	Thinking         *thinking       `json:"thinkingConfig,omitempty"`
}

type thinking struct {
	Include bool   `json:"includeThoughts,omitempty"`
	Budget  *int64 `json:"thinkingBudget,omitempty"`
	Level   string `json:"thinkingLevel,omitempty"`
}

type answer struct {
	ID         string      `json:"responseId"`
	Model      string      `json:"modelVersion"`
	Created    string      `json:"createTime"`
	Candidates []candidate `json:"candidates"`
	Prompt     *struct {
		Blocked string `json:"blockReason"`
	} `json:"promptFeedback"`
	Usage *usage   `json:"usageMetadata"`
	Error *problem `json:"error"`
}

type candidate struct {
	Content *content `json:"content"`
	Finish  string   `json:"finishReason"`
	Message string   `json:"finishMessage"`
}

type problem struct {
	Code    json.RawMessage `json:"code"` // 429
	Message json.RawMessage `json:"message"`
	Status  json.RawMessage `json:"status"` // RESOURCE_EXHAUSTED
	Details []struct {
		Reason string `json:"reason"`     // of google.rpc.ErrorInfo
		Delay  string `json:"retryDelay"` // of google.rpc.RetryInfo
	} `json:"details"`
}
