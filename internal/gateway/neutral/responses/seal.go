package responses

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"airfield/internal/gateway/neutral"
)

// SealPrefix begins the encrypted_content of thoughts that came from a provider without such items: what that provider
// wants back with its thoughts is inside. It is no secret, only a form that clients carry without looking.
const SealPrefix = "airfield1:"

type sealed struct {
	Text      string `json:"t,omitempty"`
	Signature string `json:"s,omitempty"`
	Data      string `json:"d,omitempty"`
	Call      string `json:"c,omitempty"` // the id of the call whose signature it is
	Field     string `json:"f,omitempty"` // of a thought that nobody signed: where it goes back to
}

// seal is empty where there is nothing that a provider wants back.
func seal(p *neutral.Part) string {
	in := sealed{Text: p.Text, Signature: p.Signature, Data: p.Data}
	switch unsigned := p.Signature == "" && p.Data == ""; {
	case unsigned && (p.Kind != neutral.Reasoning || p.Name == "" || p.Text == ""):
		return ""
	case unsigned:
		in = sealed{Field: p.Name} // its text is the summary, which redaction sees
	case p.Kind == neutral.ToolCall: // whose item has no place for it
		in = sealed{Signature: p.Signature, Call: p.ID}
	}
	b, err := json.Marshal(in)
	if err != nil { // strings always are JSON
		return ""
	}
	return SealPrefix + base64.StdEncoding.EncodeToString(b)
}

func unseal(s string) (in sealed, ours bool) {
	coded, ours := strings.CutPrefix(s, SealPrefix)
	if !ours {
		return in, false
	}
	b, err := base64.StdEncoding.DecodeString(coded)
	if err != nil || json.Unmarshal(b, &in) != nil {
		return sealed{}, false
	}
	return in, true
}
