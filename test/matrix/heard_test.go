package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	anthropicstream "github.com/anthropics/anthropic-sdk-go/packages/ssestream"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
)

// heard is what the official client of a surface understood.
type heard struct {
	Text, Thought string
	Calls         []called
	Stop          string // end, length or tools
	Input         int64  // every token, cached or not
	CacheRead     int64
	Output        int64 // every token, thoughts included
	Pieces        int   // of text, of a stream
	Status        int   // of a refusal
	Message       string
	RetryAfter    string
	CallID        string
}

type called struct{ Name, Arguments string }

// asker asks one surface with its official client.
type asker func(ctx context.Context, url, key string, body []byte, stream bool) heard

// client counts on nothing but the answer: no retries.
func openaiClient(url, key string) openai.Client {
	return openai.NewClient(option.WithBaseURL(url+"/v1"), option.WithAPIKey(key), option.WithMaxRetries(0))
}

func askChat(ctx context.Context, url, key string, body []byte, stream bool) (h heard) {
	client, res := openaiClient(url, key), (*http.Response)(nil)
	var answer openai.ChatCompletion
	if stream {
		err := client.Post(ctx, "chat/completions", json.RawMessage(body), &res)
		if h.refused(err) {
			return h
		}
		events, sum := ssestream.NewStream[openai.ChatCompletionChunk](ssestream.NewDecoder(res), nil), openai.ChatCompletionAccumulator{}
		defer events.Close()
		for events.Next() {
			chunk := events.Current()
			if !sum.AddChunk(chunk) {
				h.Message = "a chunk does not fit: " + chunk.RawJSON()
				return h
			}
			if len(chunk.Choices) > 0 {
				h.Thought += field(chunk.Choices[0].Delta.RawJSON(), "reasoning_content")
				if chunk.Choices[0].Delta.Content != "" {
					h.Pieces++
				}
			}
		}
		if h.broke(events.Err()) {
			return h
		}
		answer = sum.ChatCompletion
	} else if h.refused(client.Post(ctx, "chat/completions", json.RawMessage(body), &answer, option.WithResponseInto(&res))) {
		return h
	}
	h.CallID = res.Header.Get("X-Airfield-Call-Id")
	if len(answer.Choices) != 1 {
		h.Message = fmt.Sprintf("%d choices", len(answer.Choices))
		return h
	}
	c := answer.Choices[0]
	h.Text = c.Message.Content
	if !stream {
		h.Thought = field(c.Message.RawJSON(), "reasoning_content")
	}
	for _, call := range c.Message.ToolCalls {
		h.Calls = append(h.Calls, called{call.Function.Name, compact(call.Function.Arguments)})
	}
	h.Stop = map[string]string{"stop": "end", "length": "length", "tool_calls": "tools"}[c.FinishReason]
	h.Input, h.CacheRead, h.Output = answer.Usage.PromptTokens, answer.Usage.PromptTokensDetails.CachedTokens, answer.Usage.CompletionTokens
	return h
}

func askResponses(ctx context.Context, url, key string, body []byte, stream bool) (h heard) {
	client, res := openaiClient(url, key), (*http.Response)(nil)
	var answer responses.Response
	if stream {
		if h.refused(client.Post(ctx, "responses", json.RawMessage(body), &res)) {
			return h
		}
		events := ssestream.NewStream[responses.ResponseStreamEventUnion](ssestream.NewDecoder(res), nil)
		defer events.Close()
		var text strings.Builder
		for last := int64(-1); events.Next(); {
			e := events.Current()
			if e.SequenceNumber != last+1 {
				h.Message = fmt.Sprintf("event %s has number %d after %d", e.Type, e.SequenceNumber, last)
				return h
			}
			last = e.SequenceNumber
			switch e.Type {
			case "response.output_text.delta":
				h.Pieces++
				text.WriteString(e.Delta)
			case "response.completed", "response.incomplete":
				answer = e.Response
			case "error", "response.failed":
				h.Message = e.RawJSON()
				return h
			}
		}
		if h.broke(events.Err()) {
			return h
		}
		if answer.ID == "" {
			h.Message = "the stream ended without a response"
			return h
		}
		if text.String() != answer.OutputText() {
			h.Message = fmt.Sprintf("the pieces say %q and the response %q", text.String(), answer.OutputText())
			return h
		}
	} else if h.refused(client.Post(ctx, "responses", json.RawMessage(body), &answer, option.WithResponseInto(&res))) {
		return h
	}
	h.CallID = res.Header.Get("X-Airfield-Call-Id")
	h.Text, h.Stop = answer.OutputText(), "end"
	for _, item := range answer.Output {
		switch item.Type {
		case "function_call":
			h.Calls, h.Stop = append(h.Calls, called{item.Name, compact(item.Arguments.OfString)}), "tools"
		case "reasoning":
			for _, s := range item.Summary {
				h.Thought += s.Text
			}
		}
	}
	if answer.Status == "incomplete" && answer.IncompleteDetails.Reason == "max_output_tokens" {
		h.Stop = "length"
	}
	h.Input, h.CacheRead, h.Output = answer.Usage.InputTokens, answer.Usage.InputTokensDetails.CachedTokens, answer.Usage.OutputTokens
	return h
}

func askMessages(ctx context.Context, url, key string, body []byte, stream bool) (h heard) {
	client := anthropic.NewClient(anthropicoption.WithBaseURL(url), anthropicoption.WithAPIKey(key), anthropicoption.WithMaxRetries(0))
	var answer anthropic.Message
	var res *http.Response
	if stream {
		if h.refused(client.Post(ctx, "v1/messages", json.RawMessage(body), &res)) {
			return h
		}
		events := anthropicstream.NewStream[anthropic.MessageStreamEventUnion](anthropicstream.NewDecoder(res), nil)
		defer events.Close()
		stopped := false
		for events.Next() {
			e := events.Current()
			if err := answer.Accumulate(e); err != nil {
				h.Message = "an event does not fit: " + err.Error()
				return h
			}
			if e.Type == "content_block_delta" && e.Delta.Type == "text_delta" {
				h.Pieces++
			}
			stopped = stopped || e.Type == "message_stop"
		}
		if h.broke(events.Err()) {
			return h
		}
		if !stopped {
			h.Message = "the stream ended without message_stop"
			return h
		}
	} else if h.refused(client.Post(ctx, "v1/messages", json.RawMessage(body), &answer, anthropicoption.WithResponseInto(&res))) {
		return h
	}
	h.CallID = res.Header.Get("X-Airfield-Call-Id")
	for _, block := range answer.Content {
		switch block.Type {
		case "text":
			h.Text += block.Text
		case "thinking":
			h.Thought += block.Thinking
		case "tool_use":
			h.Calls = append(h.Calls, called{block.Name, compact(string(block.Input))})
		}
	}
	h.Stop = map[string]string{"end_turn": "end", "max_tokens": "length", "tool_use": "tools"}[string(answer.StopReason)]
	u := answer.Usage
	h.Input, h.CacheRead, h.Output = u.InputTokens+u.CacheReadInputTokens+u.CacheCreationInputTokens, u.CacheReadInputTokens, u.OutputTokens
	return h
}

// refused reads a refusal.
func (h *heard) refused(err error) bool {
	var o *openai.Error
	var a *anthropic.Error
	switch {
	case err == nil:
		return false
	case errors.As(err, &o):
		h.Status, h.Message, h.RetryAfter = o.StatusCode, o.Message, o.Response.Header.Get("Retry-After")
	case errors.As(err, &a):
		var body struct {
			Error struct{ Type, Message string }
		}
		if json.Unmarshal([]byte(a.RawJSON()), &body) != nil || body.Error.Type == "" {
			body.Error.Message = "not an error of this API: " + a.RawJSON()
		}
		h.Status, h.Message, h.RetryAfter = a.StatusCode, body.Error.Message, a.Response.Header.Get("Retry-After")
	default:
		h.Message = err.Error()
	}
	return true
}

// broke reads an error in mid-stream.
func (h *heard) broke(err error) bool {
	if err == nil {
		return false
	}
	h.Message = "broke: " + err.Error()
	return true
}

func field(object, name string) string {
	var fields map[string]json.RawMessage
	var text string
	if json.Unmarshal([]byte(object), &fields) == nil && json.Unmarshal(fields[name], &text) == nil {
		return text
	}
	return ""
}

// compact is JSON without the spaces that providers put differently.
func compact(text string) string {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return text
	}
	b, _ := json.Marshal(v) // what was read can be written
	return string(b)
}
