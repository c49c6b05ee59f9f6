package bedrock_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/secret"
)

// vectors is a Bedrock that makes vectors as Titan and Cohere do: of a text's length, and refuses what says so.
func vectors(t *testing.T, asked *atomic.Int64) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var q struct {
			Text  string   `json:"inputText"`
			Texts []string `json:"texts"`
			Type  string   `json:"input_type"`
			Dim   int      `json:"dimensions"`
			Out   int      `json:"output_dimension"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || !strings.HasSuffix(r.URL.Path, "/invoke") {
			t.Errorf("%s: %v", r.URL, err)
		}
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.Contains(q.Text+strings.Join(q.Texts, ""), "refuse"):
			w.Header().Set("X-Amzn-Errortype", "ThrottlingException")
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(429)
			fmt.Fprint(w, `{"message":"Too many tokens"}`)
		case strings.Contains(r.URL.Path, "titan"):
			fmt.Fprintf(w, `{"embedding":[%d,%d],"inputTextTokenCount":%d}`, len(q.Text), q.Dim, len(q.Text))
		default:
			w.Header().Set("X-Amzn-Bedrock-Input-Token-Count", fmt.Sprint(10*len(q.Texts)))
			list := make([][]int, len(q.Texts))
			for i, s := range q.Texts {
				list[i] = []int{len(s), len(q.Type), q.Out}
			}
			json.NewEncoder(w).Encode(map[string]any{"embeddings": map[string]any{"float": list}})
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestVectorsAreAskedForAsTheirModelWantsIt(t *testing.T) {
	for name, c := range map[string]struct {
		model, body string
		status      int
		asked       int64
		tokens      int64
		holds       string
	}{
		"Titan takes one text":                 {"amazon.titan-embed-text-v2:0", `{"input":"abc","dimensions":256}`, 200, 1, 3, `"embedding":[3,256],"index":0`},
		"Titan is asked for each of many":      {"amazon.titan-embed-text-v2:0", `{"input":["a","bb","ccc"]}`, 200, 3, 6, `"embedding":[3,0],"index":2`},
		"Cohere takes 96 at once":              {"cohere.embed-multilingual-v3", `{"input":[` + strings.TrimSuffix(strings.Repeat(`"abcd",`, 100), ",") + `]}`, 200, 2, 1000, `"embedding":[4,15,0],"index":99`},
		"Cohere is told what the texts are":    {"us.cohere.embed-v4:0", `{"input":"abc","input_type":"search_query","dimensions":512}`, 200, 1, 10, `[3,12,512]`},
		"base64 as OpenAI's clients ask":       {"amazon.titan-embed-text-v2:0", `{"input":"a","encoding_format":"base64"}`, 200, 1, 1, `"embedding":"AACAPwAAAAA="`},
		"a refusal is passed on":               {"amazon.titan-embed-text-v2:0", `{"input":["a","refuse"]}`, 429, -1, 0, `"message":"Too many tokens"`},
		"token numbers are not taken":          {"amazon.titan-embed-text-v2:0", `{"input":[1,2]}`, 400, 0, 0, `invalid_input`},
		"no text at all":                       {"amazon.titan-embed-text-v2:0", `{"input":[]}`, 400, 0, 0, `invalid_input`},
		"another format":                       {"amazon.titan-embed-text-v2:0", `{"input":"a","encoding_format":"int8"}`, 400, 0, 0, `invalid_encoding_format`},
		"a model that makes none":              {"amazon.nova-lite-v1:0", `{"input":"a"}`, 400, 0, 0, `model_unsupported`},
		"through an ARN that names the family": {"arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v1", `{"input":"ab"}`, 200, 1, 2, `[2,0]`},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			p := open(t, gateway.ProviderConfig{BaseURL: vectors(t, &asked).URL, Region: "us-east-1", APIKey: secret.New("key")})
			r, err := p.Send(t.Context(), &gateway.Attempt{Surface: llm.Embeddings, Model: c.model, Body: []byte(c.body)})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			body, _ := io.ReadAll(r.Body)
			if r.Status != c.status || !strings.Contains(string(body), c.holds) || c.asked >= 0 && asked.Load() != c.asked {
				t.Fatalf("%d after %d requests: %s", r.Status, asked.Load(), body)
			}
			switch {
			case c.status == 429:
				if r.RetryAfter != "3" {
					t.Errorf("to come back in %q", r.RetryAfter)
				}
			case c.status == 200:
				if u := r.Meter.Reading().Usage; u.Input != c.tokens || u.Source != llm.Reported {
					t.Errorf("it used %+v", u)
				}
			}
		})
	}
}

func TestVectorsThatAreNoneAreAnError(t *testing.T) {
	for name, answer := range map[string]string{"nothing": "", "no JSON": "<html>", "no vector": "{}", "an empty one": `{"embedding":[]}`, "a torn one": `{"embedding":[1,2`} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }))
		p := open(t, gateway.ProviderConfig{BaseURL: s.URL, Region: "us-east-1", APIKey: secret.New("key")})
		if r, err := p.Send(t.Context(), &gateway.Attempt{Surface: llm.Embeddings, Model: "amazon.titan-embed-text-v2:0", Body: []byte(`{"input":"a"}`)}); err == nil {
			t.Errorf("%s: answered with %d", name, r.Status)
		}
		s.Close()
	}
}
