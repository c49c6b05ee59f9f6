package gateway

import (
	"encoding/json"

	"airfield/internal/fault"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/neutral/chat"
	"airfield/internal/gateway/neutral/messages"
	"airfield/internal/gateway/neutral/responses"
	"airfield/internal/llm"
)

// shape is what a surface's requests and answers look like, as far as the gateway looks into them.
type shape struct {
	content [3]string // the fields that hold what goes in
	caps    [2]string // those that bound what comes out; the first is the usual one
	choices bool      // the field n asks for several answers
	options bool      // usage of a stream is asked for in stream_options
	hosted  bool      // tools may run at the provider, at a price of their own
	free    bool      // nothing is charged for it

	// generates says that the answer is text whose length a model chooses: it may stream, has a bound, falls under
	// cost tiers, and may be translated.
	generates bool
	streams   bool            // the answer may stream though its length is not the model's to choose
	medium    medium          // what it is charged for besides text
	form      bool            // a request is a form (multipart/form-data), not JSON
	usual     string          // the model where a request names none
	fresh     bool            // an answer is never given again: who asks once more wants another, or it is large
	flows     bool            // an answer that does not stream is passed on while it comes
	neutral   neutral.Surface // how it is translated; nil where it cannot be

	requestID string // the header in which its clients look for the id of an exchange; empty where that is none of ours

	marks  []mark                         // what in a request needs an ability
	remote []string                       // what in a request stands for something that its bytes do not hold
	errs   func(f *fault.Fault) []byte    // a fault as its clients read it
	torn   func(b, problem []byte) []byte // appends the event that tells that a stream ends here and is not whole
}

const (
	maxTokens           = "max_tokens"
	maxCompletionTokens = "max_completion_tokens"
)

var shapes = map[llm.Surface]*shape{
	llm.ChatCompletions: {
		content: [3]string{"messages", "tools"}, caps: [2]string{maxTokens, maxCompletionTokens}, choices: true, options: true, generates: true, hosted: true,
		marks: chatMarks, remote: []string{"image_url", "video_url", "audio_url", "input_video", "file", "file_id", "file_url"}, errs: ErrorBody, torn: tornData, neutral: chat.Surface{},
	},
	llm.Responses: {
		content: [3]string{"input", "instructions", "tools"}, caps: [2]string{"max_output_tokens"}, generates: true,
		marks: responseMarks, remote: []string{"image_url", "input_file", "file_id", "file_url", "item_reference", "prompt", "previous_response_id"},
		hosted: true, neutral: responses.Surface{}, errs: ErrorBody, torn: tornResponse,
	},
	llm.Messages: {
		content: [3]string{"messages", "system", "tools"}, caps: [2]string{maxTokens}, generates: true, hosted: true, requestID: "Request-Id",
		marks: messageMarks, remote: []string{"image", "document"}, errs: MessageError, torn: tornEvent, neutral: messages.Surface{},
	},
	llm.CountTokens: {content: [3]string{"messages", "system", "tools"}, free: true, requestID: "Request-Id", errs: MessageError, neutral: messages.Surface{}},
	llm.Embeddings:  {content: [3]string{"input"}, errs: ErrorBody},
	llm.Moderations: {content: [3]string{"input"}, usual: "omni-moderation-latest", errs: ErrorBody},

	llm.Images:     {content: [3]string{"prompt"}, choices: true, streams: true, medium: pictures, fresh: true, errs: ErrorBody, torn: tornData},
	llm.ImageEdits: {content: [3]string{"prompt"}, choices: true, streams: true, medium: pictures, form: true, fresh: true, errs: ErrorBody, torn: tornData},
	llm.Speech: {
		content: [3]string{"input", "instructions"}, streams: true, medium: speech, fresh: true, flows: true, errs: ErrorBody, torn: tornData,
	},
	llm.Transcriptions: {content: [3]string{"prompt"}, streams: true, medium: sound, form: true, fresh: true, errs: ErrorBody, torn: tornData},
	llm.Translations:   {content: [3]string{"prompt"}, medium: sound, form: true, fresh: true, errs: ErrorBody},
}

// shapeOf is the shape of a surface; one that is not known is treated as one that is passed through.
func shapeOf(s llm.Surface) *shape {
	if known := shapes[s]; known != nil {
		return known
	}
	return &passed
}

var passed = shape{content: [3]string{"input", "prompt"}, errs: ErrorBody}

func tornData(b, problem []byte) []byte {
	return append(append(append(b, "data: "...), problem...), "\n\n"...)
}

func tornEvent(b, problem []byte) []byte { return tornData(append(b, "event: error\n"...), problem) }

// tornResponse moves what stands under error to the event itself, where the clients of responses look for it.
func tornResponse(b, problem []byte) []byte {
	var read struct {
		Error struct {
			Message string          `json:"message"`
			Code    string          `json:"code"`
			Param   *string         `json:"param"`
			Detail  json.RawMessage `json:"airfield,omitempty"`
		} `json:"error"`
	}
	if json.Unmarshal(problem, &read) != nil {
		return tornEvent(b, problem)
	}
	e := read.Error
	said, err := json.Marshal(map[string]any{"type": "error", "message": e.Message, "code": e.Code, "param": e.Param})
	if err != nil {
		return tornEvent(b, problem)
	}
	return tornEvent(b, said)
}
