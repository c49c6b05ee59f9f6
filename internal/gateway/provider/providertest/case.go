package providertest

import (
	"encoding/json"

	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

// Case is one exchange that is said the same way to every provider. Its recording is testdata/NAME.txtar of the provider.
type Case struct {
	Name    string
	What    string           // it shows, for people
	Request *neutral.Request // without its model
	Answer  neutral.Answer   // what comes of it; nothing where it is refused or fails
	Refused *neutral.Error   // what the provider says in place of an answer; nil where it answers
	Torn    bool             // the provider says in mid-stream that it failed
}

// Whole reports whether the case brings a whole answer.
func (c *Case) Whole() bool { return c.Refused == nil && !c.Torn }

// Embeddings is the recording of the one case that is no chat: two texts, "first" and "second", for two vectors.
const Embeddings = "embeddings"

var (
	half  = 0.5
	hello = []neutral.Part{{Kind: neutral.Text, Text: "Hello from the model."}}
	used  = llm.Usage{Input: 12, Output: 6, Source: llm.Reported}

	colour = json.RawMessage(`{"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false}`)
	city   = json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`)

	oslo = neutral.Part{Kind: neutral.ToolCall, ID: "call_1", Name: "get_weather", Text: `{"city":"Oslo"}`}
	rome = neutral.Part{Kind: neutral.ToolCall, ID: "call_2", Name: "get_weather", Text: `{"city":"Rome"}`}

	look = []neutral.Part{{Kind: neutral.Text, Text: "I will look."}, oslo, rome}
)

// Cases are all of them, in the order in which they are told.
func Cases() []Case {
	greeting := neutral.Answer{Parts: hello, Stop: neutral.EndTurn, Usage: used}
	looking := neutral.Answer{Parts: look, Stop: neutral.CalledTools, Usage: llm.Usage{Input: 40, Output: 30, Source: llm.Reported}}
	thought := neutral.Answer{
		Parts: []neutral.Part{{Kind: neutral.Reasoning, Text: "A greeting is due.", Signature: "c2ln"}, hello[0]}, Stop: neutral.EndTurn,
		Usage: llm.Usage{Input: 12, Output: 6, Reasoning: 20, Source: llm.Reported},
	}
	slow := &neutral.Error{Status: 429, Type: "rate_limit_error", Message: "Slow down."}
	wrong := &neutral.Error{Status: 400, Type: "invalid_request_error", Message: "max_tokens is too large."}
	return []Case{
		{Name: "plain", What: "a system text and a question, answered as a whole", Request: greet(), Answer: greeting},
		{Name: "stream", What: "the same as a stream", Request: streamed(greet()), Answer: greeting},
		{Name: "tools", What: "two calls of a tool after a text", Request: weather(), Answer: looking},
		{Name: "tools_stream", What: "the same as a stream", Request: streamed(weather()), Answer: looking},
		{Name: "tools_result", What: "what the tools gave, one of them an error", Request: weatherFound(), Answer: neutral.Answer{
			Parts: []neutral.Part{{Kind: neutral.Text, Text: "Oslo has 4 degrees."}}, Stop: neutral.EndTurn, Usage: llm.Usage{Input: 70, Output: 8, Source: llm.Reported},
		}},
		{Name: "schema", What: "an answer that follows a JSON Schema", Request: &neutral.Request{
			Messages: said("Name a colour."), Format: &neutral.Format{Name: "colour", Schema: colour, Strict: true},
		}, Answer: neutral.Answer{
			Parts: []neutral.Part{{Kind: neutral.Text, Text: `{"name":"blue"}`}}, Stop: neutral.EndTurn, Usage: llm.Usage{Input: 20, Output: 5, Source: llm.Reported},
		}},
		{Name: "image", What: "a picture in the question", Request: &neutral.Request{Messages: []neutral.Message{{Role: neutral.User, Parts: []neutral.Part{
			{Kind: neutral.Text, Text: "What is this?"}, {Kind: neutral.Image, Media: "image/png", Data: "iVBORw0KGgo="},
		}}}}, Answer: neutral.Answer{
			Parts: []neutral.Part{{Kind: neutral.Text, Text: "A dot."}}, Stop: neutral.EndTurn, Usage: llm.Usage{Input: 90, Output: 4, Source: llm.Reported},
		}},
		{Name: "cached", What: "a prompt of which a part came from the provider's cache", Request: greet(), Answer: neutral.Answer{
			Parts: hello, Stop: neutral.EndTurn, Usage: llm.Usage{Input: 300, CacheRead: 1500, CacheWrite: 200, Output: 6, Source: llm.Reported},
		}},
		{Name: "reasoning", What: "a thought before the answer", Request: think(), Answer: thought},
		{Name: "reasoning_stream", What: "the same as a stream", Request: streamed(think()), Answer: thought},
		{Name: "length", What: "an answer that met the bound of its output", Request: greet(), Answer: neutral.Answer{
			Parts: []neutral.Part{{Kind: neutral.Text, Text: "Hello from"}}, Stop: neutral.MaxTokens, Usage: llm.Usage{Input: 12, Output: 64, Source: llm.Reported},
		}},
		{Name: "error", What: "a refusal because of the provider's limits, with when to come back", Request: greet(), Refused: slow},
		{Name: "invalid", What: "a refusal of the request", Request: greet(), Refused: wrong},
		{Name: "stream_error", What: "an error in the middle of a stream", Request: streamed(greet()), Torn: true},
	}
}

func said(text string) []neutral.Message {
	return []neutral.Message{{Role: neutral.User, Parts: []neutral.Part{{Kind: neutral.Text, Text: text}}}}
}

func greet() *neutral.Request {
	return &neutral.Request{System: []neutral.Part{{Kind: neutral.Text, Text: "You are brief."}}, Messages: said("Say hello."), MaxOutput: 64, Temperature: &half}
}

func think() *neutral.Request {
	q := greet()
	q.MaxOutput, q.Temperature, q.Effort, q.Summary = 0, nil, "medium", true
	return q
}

func weather() *neutral.Request {
	return &neutral.Request{
		Messages: said("What is the weather in Oslo and in Rome?"),
		Tools:    []neutral.Tool{{Name: "get_weather", Description: "The weather in a city.", Schema: city}},
		Choice:   neutral.ToolChoice{Mode: "auto"},
	}
}

func weatherFound() *neutral.Request {
	q := weather()
	q.Messages = append(q.Messages, neutral.Message{Role: neutral.Assistant, Parts: look}, neutral.Message{Role: neutral.User, Parts: []neutral.Part{
		{Kind: neutral.ToolResult, ID: "call_1", Name: "get_weather", Parts: []neutral.Part{{Kind: neutral.Text, Text: "4 degrees"}}},
		{Kind: neutral.ToolResult, ID: "call_2", Name: "get_weather", Parts: []neutral.Part{{Kind: neutral.Text, Text: "no such city"}}, Failed: true},
	}})
	return q
}

func streamed(q *neutral.Request) *neutral.Request {
	q.Stream = true
	return q
}
