package providertest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"airfield/internal/gateway"
	"airfield/internal/llm"
)

// embeddings asks for the vectors of two texts in OpenAI's words, as numbers and as base64.
func (b *bench) embeddings(t *testing.T) {
	if b.Lacks[Embeddings] != "" {
		return
	}
	r, err := read(filepath.Join("testdata", Embeddings+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	request, err := json.Marshal(map[string]any{"model": b.Model, "input": []string{"first", "second"}, "encoding_format": "float"})
	if err != nil {
		t.Fatal(err)
	}
	b.upstream.will(b.gives(r, r.answer, -1))
	got, err := b.provider.Send(within(t), &gateway.Attempt{Surface: llm.Embeddings, Model: b.Model, Body: request, CallID: "call_1"})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	b.came(t, r.request, "")
	body, err := io.ReadAll(got.Body)
	if err != nil || got.Status != 200 {
		t.Fatal(got.Status, string(body), err)
	}
	if err := got.Meter.Body(body, false); err != nil {
		t.Fatal(err)
	}
	if u := got.Meter.Reading().Usage; u.Input != 4 || u.Source == "" || u.Source == llm.Estimated || u.Output != 0 {
		t.Errorf("it used %+v", u)
	}
	vectors(t, body, [][]float32{{0.5, -0.25, 1}, {1, 0, -1}})
}

// vectors checks an answer in OpenAI's words.
func vectors(t *testing.T, body []byte, want [][]float32) {
	t.Helper()
	var read struct {
		Object, Model string
		Data          []struct {
			Object    string
			Index     int
			Embedding json.RawMessage
		}
		Usage struct {
			Prompt int64 `json:"prompt_tokens"`
			Total  int64 `json:"total_tokens"`
		}
	}
	if err := json.Unmarshal(body, &read); err != nil || read.Object != "list" || read.Model == "" || len(read.Data) != len(want) || read.Usage.Prompt != read.Usage.Total {
		t.Fatalf("%v: %s", err, body)
	}
	for i, d := range read.Data {
		v, err := vector(d.Embedding)
		if err != nil || d.Index != i || d.Object != "embedding" || !slices.Equal(v, want[i]) {
			t.Errorf("vector %d of index %d is %v, not %v: %v", i, d.Index, v, want[i], err)
		}
	}
}

// vector reads one written as numbers or as base64 of little-endian float32.
func vector(raw []byte) (v []float32, err error) {
	if err = json.Unmarshal(raw, &v); err == nil {
		return v, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(text)
	for ; len(b) >= 4; b = b[4:] {
		v = append(v, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return v, err
}
