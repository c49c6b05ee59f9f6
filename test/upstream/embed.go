package upstream

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
)

// embed answers with vectors that are the same for the same text. Each text is one token.
func (u *Upstream) embed(p *reply) End {
	u.mu.Lock()
	u.texts = append(u.texts, p.x.Inputs...)
	u.mu.Unlock()
	type vector struct {
		Object    string `json:"object"`
		Index     int    `json:"index"`
		Embedding any    `json:"embedding"`
	}
	data := make([]vector, len(p.x.Inputs))
	for i, text := range p.x.Inputs {
		data[i] = vector{"embedding", i, vectorOf(text, u.options.Dimensions)}
		if p.x.Base64 {
			var b bytes.Buffer
			binary.Write(&b, binary.LittleEndian, data[i].Embedding)
			data[i].Embedding = base64.StdEncoding.EncodeToString(b.Bytes())
		}
	}
	tokens := int64(len(p.x.Inputs))
	p.account.bill(p.x, tokens, 0, 0)
	answer := map[string]any{"object": "list", "model": p.x.Model, "data": data}
	switch {
	case p.b.Usage != nil:
		answer["usage"] = map[string]int64{"prompt_tokens": p.b.Usage.Prompt, "total_tokens": p.b.Usage.Prompt}
	case p.b.Kind != NoUsage:
		answer["usage"] = map[string]int64{"prompt_tokens": tokens, "total_tokens": tokens}
	}
	return p.whole(answer, 0)
}

func vectorOf(text string, dimensions int) []float32 {
	h := fnv.New64a()
	h.Write([]byte(text))
	sum := h.Sum64()
	v := make([]float32, dimensions)
	for i := range v {
		v[i] = float32(sum>>(8*(i%8))&0xff)/255 + 0.01
	}
	return v
}
