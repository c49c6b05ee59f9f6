package builtin

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"

	"airfield/internal/gateway"
	"airfield/internal/llm"
)

func send(t *testing.T, surface llm.Surface, model, body string, stream bool) (*gateway.Response, string) {
	t.Helper()
	p, err := New("builtin", gateway.ProviderConfig{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r, err := p.Send(context.Background(), &gateway.Attempt{Surface: surface, Model: model, Body: []byte(body), Stream: stream, CallID: "call_1"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil || r.Size != int64(len(raw)) {
		t.Fatal(r.Size, len(raw), err)
	}
	return r, string(raw)
}

const asked = `{"model":"builtin-answer","stream_options":{"include_usage":true},"messages":[{"role":"system","content":"rules"},
	{"role":"user","content":"<passages>\n<passage n=\"2\" document=\"Leave policy\">\nEvery employee has 28 days of annual leave in a calendar year.\n</passage>\n</passages>\n\nQuestion: How many days of annual leave are there?"}]}`

const answer = "Every employee has 28 days of annual leave in a calendar year. [2]"

func TestAChatAnswerHasTheShapeThatClientsRead(t *testing.T) {
	r, body := send(t, llm.ChatCompletions, "builtin-answer", asked, false)
	var got struct {
		ID, Object, Model string
		Created           int64
		Fingerprint       string `json:"system_fingerprint"`
		Choices           []struct {
			Message struct{ Role, Content string }
			Finish  string `json:"finish_reason"`
		}
		Usage struct {
			Prompt     int64 `json:"prompt_tokens"`
			Completion int64 `json:"completion_tokens"`
			Total      int64 `json:"total_tokens"`
		}
		Airfield struct{ Extractive bool }
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	c := got.Choices[0]
	if r.Status != 200 || got.ID != "chatcmpl-call_1" || got.Object != "chat.completion" || got.Model != "builtin-answer" || got.Created == 0 ||
		got.Fingerprint != AnswerFingerprint || c.Message.Role != "assistant" || c.Message.Content != answer || c.Finish != "stop" || !got.Airfield.Extractive {
		t.Error(body)
	}
	used := r.Meter.Reading()
	if used.Usage.Source != llm.Counted || used.Usage.Output != 13 || got.Usage.Completion != 13 || got.Usage.Prompt != used.Usage.Input || got.Usage.Prompt < 20 || got.Usage.Total != got.Usage.Prompt+13 || used.Finish != "stop" {
		t.Errorf("%+v %+v", used, got.Usage)
	}
}

func TestAStreamSaysTheSameInPieces(t *testing.T) {
	r, body := send(t, llm.ChatCompletions, "builtin-answer", asked, true)
	if !r.Stream || r.ContentType != "text/event-stream" {
		t.Error(r)
	}
	var text, finish strings.Builder
	events, usage, done := 0, 0, false
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if r.Meter.Event([]byte(data)) == gateway.Done {
			done = true
			continue
		}
		var e struct {
			Object  string
			Choices []struct {
				Delta  struct{ Content string }
				Finish *string `json:"finish_reason"`
			}
			Usage *struct {
				Total int `json:"total_tokens"`
			}
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil || e.Object != "chat.completion.chunk" {
			t.Fatal(data, err)
		}
		events++
		for _, c := range e.Choices {
			text.WriteString(c.Delta.Content)
			if c.Finish != nil {
				finish.WriteString(*c.Finish)
			}
		}
		if e.Usage != nil {
			usage = e.Usage.Total
		}
	}
	if text.String() != answer || finish.String() != "stop" || events < 5 || usage == 0 || !done {
		t.Error(text.String(), finish.String(), events, usage, done)
	}
	if _, body := send(t, llm.ChatCompletions, "builtin-answer", strings.Replace(asked, "true", "false", 1), true); strings.Contains(body, "total_tokens") {
		t.Error("usage that nobody asked for")
	}
}

func TestWithoutPassagesItSaysWhatItIs(t *testing.T) {
	_, body := send(t, llm.ChatCompletions, "builtin-answer", `{"messages":[{"role":"user","content":"Hello, tell me a joke"}]}`, false)
	if !strings.Contains(body, "not a language model") {
		t.Error(body)
	}
}

func TestEmbeddingsAreNumbersOrBase64(t *testing.T) {
	r, body := send(t, llm.Embeddings, "builtin-embed", `{"input":["one text","another"],"dimensions":384}`, false)
	var plain struct {
		Object, Model string
		Data          []struct {
			Object    string
			Index     int
			Embedding []float32
		}
		Usage struct {
			Total int `json:"total_tokens"`
		}
	}
	if err := json.Unmarshal([]byte(body), &plain); err != nil || r.Status != 200 || plain.Object != "list" || len(plain.Data) != 2 || plain.Data[1].Index != 1 || len(plain.Data[1].Embedding) != Dimensions || plain.Usage.Total != 3 {
		t.Fatal(err, body[:200])
	}
	if u := r.Meter.Reading().Usage; u.Input != 3 || u.Source != llm.Counted {
		t.Error(u)
	}
	_, body = send(t, llm.Embeddings, "builtin-embed", `{"input":"another","encoding_format":"base64"}`, false)
	var packed struct{ Data []struct{ Embedding string } }
	if err := json.Unmarshal([]byte(body), &packed); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(packed.Data[0].Embedding)
	if err != nil || len(raw) != 4*Dimensions {
		t.Fatal(len(raw), err)
	}
	for i, want := range plain.Data[1].Embedding {
		bits := uint32(raw[4*i]) | uint32(raw[4*i+1])<<8 | uint32(raw[4*i+2])<<16 | uint32(raw[4*i+3])<<24
		if math.Float32frombits(bits) != want {
			t.Fatal(i)
		}
	}
}

func TestWhatItCannotDoIsRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		surface llm.Surface
		model   string
		body    string
		status  int
		code    string
	}{
		{"another model", llm.ChatCompletions, "gpt", `{}`, 404, "model_not_found"},
		{"an embedder that chats", llm.ChatCompletions, "builtin-embed", `{}`, 400, "model_not_supported"},
		{"no messages", llm.ChatCompletions, "builtin-answer", `{}`, 400, "invalid_request"},
		{"several answers", llm.ChatCompletions, "builtin-answer", `{"messages":[{}],"n":2}`, 400, "unsupported_parameter"},
		{"tools", llm.ChatCompletions, "builtin-answer", `{"messages":[{}],"tools":[{"type":"function"}]}`, 400, "unsupported_parameter"},
		{"JSON", llm.ChatCompletions, "builtin-answer", `{"messages":[{}],"response_format":{"type":"json_object"}}`, 400, "unsupported_parameter"},
		{"another type", llm.ChatCompletions, "builtin-answer", `{"messages":"x"}`, 400, "invalid_request"},
		{"no input", llm.Embeddings, "builtin-embed", `{}`, 400, "invalid_input"},
		{"empty input", llm.Embeddings, "builtin-embed", `{"input":[]}`, 400, "invalid_input"},
		{"token numbers", llm.Embeddings, "builtin-embed", `{"input":[1,2]}`, 400, "invalid_input"},
		{"other dimensions", llm.Embeddings, "builtin-embed", `{"input":"x","dimensions":10}`, 400, "invalid_dimensions"},
		{"another encoding", llm.Embeddings, "builtin-embed", `{"input":"x","encoding_format":"hex"}`, 400, "invalid_encoding_format"},
		{"too many texts", llm.Embeddings, "builtin-embed", `{"input":[` + strings.Repeat(`"a",`, 2048) + `"a"]}`, 400, "invalid_input"},
	} {
		r, body := send(t, c.surface, c.model, c.body, false)
		var e struct {
			Error struct{ Message, Type, Code string }
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || r.Status != c.status || e.Error.Code != c.code || e.Error.Message == "" {
			t.Errorf("%s: %d %s", c.name, r.Status, body)
		}
	}
}

func TestACallerWhoLeftIsNotServed(t *testing.T) {
	p, _ := New("builtin", gateway.ProviderConfig{}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Send(ctx, &gateway.Attempt{Surface: llm.Embeddings, Model: "builtin-embed", Body: []byte(`{"input":"x"}`)}); err == nil {
		t.Error("served")
	}
}
