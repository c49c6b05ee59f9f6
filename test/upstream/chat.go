package upstream

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// completion is how many tokens an answer has, over all choices.
func (p *reply) completion() int64 {
	of := p.u.options.CompletionTokens
	if p.b.Use > 0 {
		of = max(1, int64(p.b.Use*float64(p.x.Cap)))
	}
	if p.x.Cap > 0 {
		of = min(of, p.x.Cap)
	}
	return of * p.x.Choices
}

// finish is why each choice ends.
func (p *reply) finish() string {
	if p.x.Cap > 0 && p.completion() >= p.x.Cap*p.x.Choices {
		return "length"
	}
	return "stop"
}

type usage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"`
	Details          struct {
		CachedTokens int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// says is what the answer says of its tokens; nil for nothing.
func (p *reply) says() *usage {
	said := Usage{p.u.options.PromptTokens, p.u.options.CachedTokens, p.completion()}
	if p.b.Usage != nil {
		said = *p.b.Usage
	}
	if p.b.Kind == NoUsage {
		return nil
	}
	u := &usage{PromptTokens: said.Prompt, CompletionTokens: said.Completion, TotalTokens: said.Prompt + said.Completion}
	u.Details.CachedTokens = said.Cached
	return u
}

// chat answers a chat completion.
func (u *Upstream) chat(p *reply) End {
	p.account.bill(p.x, u.options.PromptTokens, u.options.CachedTokens, 0)
	if p.x.Stream {
		return p.stream()
	}
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	type choice struct {
		Index   int64   `json:"index"`
		Message message `json:"message"`
		Finish  string  `json:"finish_reason"`
	}
	answer := struct {
		ID      string   `json:"id"`
		Object  string   `json:"object"`
		Created int64    `json:"created"`
		Model   string   `json:"model"`
		Choices []choice `json:"choices"`
		Usage   *usage   `json:"usage,omitempty"`
	}{fmt.Sprintf("chatcmpl-%d", p.x.N), "chat.completion", 1, p.x.Model, nil, p.says()}
	content := text(p.completion() / p.x.Choices)
	if p.b.Kind == Giant {
		content = strings.Repeat("x", giantBytes)
	}
	for i := range p.x.Choices {
		answer.Choices = append(answer.Choices, choice{i, message{"assistant", content}, p.finish()})
	}
	return p.whole(answer, p.completion())
}

// stream answers with events.
func (p *reply) stream() End {
	p.head(http.StatusOK, "text/event-stream")
	if p.b.Kind == Empty {
		return Broken
	}
	total, events := p.completion(), p.u.options.Events
	line := "\n"
	if p.b.Kind == CRLF {
		line = "\r\n"
	}
	send := func(format string, args ...any) bool {
		data := fmt.Sprintf(format, args...)
		if p.b.Kind == Comments {
			fmt.Fprint(p.w, ": keep-alive\n\n\nid: 7\nevent: message\nretry: 1000\n")
		}
		if p.b.Kind != NoPrefix {
			data = "data: " + data
		}
		_, err := fmt.Fprint(p.w, data, line, line)
		return err == nil && http.NewResponseController(p.w).Flush() == nil && p.ctx.Err() == nil
	}
	head := fmt.Sprintf(`{"id":"chatcmpl-%d","object":"chat.completion.chunk","created":1,"model":%q,`, p.x.N, p.x.Model)
	delta := head + `"choices":[{"index":%d,"delta":{"content":%s},"finish_reason":null}]}`
	for i := range events {
		if i == p.b.goesWrong() {
			if end := p.wrong(send); end != Open {
				return end
			}
		}
		if !p.wait(p.b.Between) {
			return Left
		}
		tokens := total*int64(i+1)/int64(events) - total*int64(i)/int64(events)
		content := text(tokens) + " "
		if p.b.Kind == Giant && i == 0 {
			content = strings.Repeat("x", giantBytes)
		}
		quoted, _ := json.Marshal(content)
		p.account.bill(p.x, 0, 0, tokens)
		if !send(delta, int64(i)%p.x.Choices, quoted) {
			return Left
		}
	}
	if p.b.goesWrong() >= events {
		if end := p.wrong(send); end != Open {
			return end
		}
	}
	return p.last(send, head)
}

// last writes what comes after the text.
func (p *reply) last(send func(string, ...any) bool, head string) End {
	if p.b.Kind != NoFinish {
		for i := range p.x.Choices {
			if !send(head+`"choices":[{"index":%d,"delta":{},"finish_reason":%q}]}`, i, p.finish()) {
				return Left
			}
		}
	}
	if said := p.says(); said != nil && p.x.WantsUsage {
		text, _ := json.Marshal(said)
		if !send(head+`"choices":[],"usage":%s}`, text) {
			return Left
		}
	}
	if p.b.Kind == NoDone {
		return Broken
	}
	p.account.last(p.x)
	if !send("[DONE]") {
		return Left
	}
	if p.b.Kind == NoPrefix || p.b.Kind == NoFinish {
		return Broken
	}
	return Whole
}

// wrong is what goes wrong in mid-stream; Open where nothing does, or the stream goes on after it.
func (p *reply) wrong(send func(string, ...any) bool) End {
	switch p.b.Kind {
	case HangMid, DieMid, CutMid:
		return p.middle()
	case BrokenJSON:
		send(`{"id":"chatcmpl-%d","choices":[{"index":0,"delta":{"content":"wor`, p.x.N)
		return Broken
	case HalfEvent:
		fmt.Fprint(p.w, `data: {"id":"chatcmpl-1","object":"chat.compl`)
		return Broken
	case ErrorEvent:
		send("%s", upstreamError)
		return Broken
	}
	return Open
}
