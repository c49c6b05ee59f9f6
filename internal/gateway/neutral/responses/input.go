package responses

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"airfield/internal/gateway/neutral"
)

// item is one element of the input: a message, or what a model or a tool said before.
type item struct {
	Type      string          `json:"type"`
	ID        string          `json:"id"`
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	CallID    string          `json:"call_id"`
	Name      string          `json:"name"`
	Arguments *string         `json:"arguments"`
	Output    json.RawMessage `json:"output"`
	Status    *string         `json:"status"`
	Summary   []part          `json:"summary"`
	Encrypted *string         `json:"encrypted_content"`
}

// part is a piece of an item's content.
type part struct {
	Type     string  `json:"type"`
	Text     string  `json:"text"`
	Refusal  string  `json:"refusal"`
	ImageURL *string `json:"image_url"`
	Detail   *string `json:"detail"`
	FileID   *string `json:"file_id"`
	FileData *string `json:"file_data"`
	FileURL  *string `json:"file_url"`
	Filename *string `json:"filename"`
	Audio    *struct {
		Data   string `json:"data"`
		Format string `json:"format"`
	} `json:"input_audio"`
}

func readInput(w *wire, q *neutral.Request) error {
	if !given(w.Input) {
		return wrong("input", "the request has no input")
	}
	var s string
	if json.Unmarshal(w.Input, &s) == nil {
		q.Messages = []neutral.Message{{Role: neutral.User, Parts: []neutral.Part{{Kind: neutral.Text, Text: s}}}}
		return nil
	}
	var items []item
	if err := json.Unmarshal(w.Input, &items); err != nil {
		return wrong("input", "input must be a text or a list of items")
	}
	r := reader{q: q, names: map[string]string{}, signed: map[string]string{}}
	for i := range items {
		if err := r.item(fmt.Sprintf("input.%d", i), &items[i]); err != nil {
			return err
		}
	}
	r.sign()
	if len(q.Messages) == 0 && len(q.System) == 0 {
		return wrong("input", "the input is empty")
	}
	return nil
}

// reader makes turns of items: what an assistant says and calls in a row is one turn, and so are the results.
type reader struct {
	q     *neutral.Request
	names map[string]string // of the functions, by the ids of their calls

	signed map[string]string // what a provider wants back with a call, by its id
}

// sign gives calls back what came with them.
func (r *reader) sign() {
	if len(r.signed) == 0 {
		return
	}
	for _, m := range r.q.Messages {
		for i := range m.Parts {
			if p := &m.Parts[i]; p.Kind == neutral.ToolCall {
				p.Signature = r.signed[p.ID]
			}
		}
	}
}

// add puts a part at the end: into the last message where that has the role and may be gone on with.
func (r *reader) add(role string, p neutral.Part) {
	m := r.q.Messages
	if n := len(m); n > 0 && m[n-1].Role == role {
		m[n-1].Parts = append(m[n-1].Parts, p)
		return
	}
	r.q.Messages = append(m, neutral.Message{Role: role, Parts: []neutral.Part{p}})
}

func (r *reader) item(at string, i *item) error {
	switch i.Type {
	case "message", "":
		return r.message(at, i)
	case "function_call":
		if i.Name == "" || i.CallID == "" {
			return wrong(at, "%s is a function call without a name or a call_id", at)
		}
		arguments := text(i.Arguments)
		if strings.TrimSpace(arguments) == "" {
			arguments = "{}"
		}
		r.names[i.CallID] = i.Name
		r.add(neutral.Assistant, neutral.Part{Kind: neutral.ToolCall, ID: i.CallID, Name: i.Name, Text: arguments})
	case "function_call_output":
		if i.CallID == "" {
			return wrong(at+".call_id", "%s is a function's output without a call_id", at)
		}
		parts, err := outputParts(at+".output", i.Output)
		if err != nil {
			return err
		}
		r.add(neutral.User, neutral.Part{
			Kind: neutral.ToolResult, ID: i.CallID, Name: r.names[i.CallID], Parts: parts, Failed: text(i.Status) == "incomplete",
		})
	case "reasoning":
		r.thought(i)
	case "item_reference":
		return wrong(at, "%s refers to the item %s, which is not in the request", at, clip(i.ID)).Hinted("send the item itself, or leave store on and send previous_response_id")
	default:
		r.q.Only = append(r.q.Only, "an input item of the type "+clip(i.Type))
	}
	return nil
}

// thought takes a reasoning item of ours. One that another provider encrypted says nothing to those who are asked this way.
func (r *reader) thought(i *item) {
	sealed, ours := unseal(text(i.Encrypted))
	if !ours && text(i.Encrypted) != "" {
		return
	}
	if sealed.Call != "" {
		r.signed[sealed.Call] = sealed.Signature
		return
	}
	p := neutral.Part{Kind: neutral.Reasoning, ID: i.ID, Signature: sealed.Signature, Data: sealed.Data, Text: sealed.Text, Name: sealed.Field}
	if p.Text == "" {
		var texts []string
		for _, s := range i.Summary {
			texts = append(texts, s.Text)
		}
		p.Text = strings.Join(texts, "\n\n")
	}
	if p.Text != "" || p.Data != "" || p.Signature != "" {
		r.add(neutral.Assistant, p)
	}
}

func (r *reader) message(at string, i *item) error {
	role := i.Role
	switch role {
	case neutral.User, neutral.Assistant:
	case "system", "developer":
		role = neutral.System
	default:
		return wrong(at+".role", "%s.role must be user, assistant, system or developer, not %s", at, clip(i.Role))
	}
	parts, err := readParts(at+".content", i.Content)
	if err != nil {
		return err
	}
	if role == neutral.System && len(r.q.Messages) == 0 {
		r.q.System = append(r.q.System, parts...)
		return nil
	}
	for _, p := range parts {
		r.add(role, p)
	}
	return nil
}

// readParts reads a content: a text, or a list of parts.
func readParts(at string, content json.RawMessage) (list []neutral.Part, err error) {
	var s string
	if json.Unmarshal(content, &s) == nil && given(content) {
		return []neutral.Part{{Kind: neutral.Text, Text: s}}, nil
	}
	var parts []part
	if err := json.Unmarshal(content, &parts); err != nil || len(parts) == 0 {
		return nil, wrong(at, "%s must be a text or a list of parts", at)
	}
	for i := range parts {
		p, err := parts[i].neutral(fmt.Sprintf("%s.%d", at, i))
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// outputParts reads what a function returned.
func outputParts(at string, output json.RawMessage) ([]neutral.Part, error) {
	if !given(output) || string(output) == "[]" {
		return []neutral.Part{{Kind: neutral.Text}}, nil
	}
	return readParts(at, output)
}

func (p *part) neutral(at string) (n neutral.Part, err error) {
	switch p.Type {
	case "input_text", "output_text", "text", "summary_text":
		return neutral.Part{Kind: neutral.Text, Text: p.Text}, nil
	case "refusal":
		return neutral.Part{Kind: neutral.Refusal, Text: p.Refusal}, nil
	case "input_image":
		n = neutral.Part{Kind: neutral.Image, Detail: text(p.Detail)}
		if text(p.ImageURL) == "" {
			return n, wrong(at, "%s is a picture by the id of a file, which only the provider that keeps the file knows", at).Hinted("send image_url: an address, or data:image/png;base64,…")
		}
		return n, p.from(&n, at+".image_url", *p.ImageURL)
	case "input_file":
		n = neutral.Part{Kind: neutral.Document, Name: text(p.Filename)}
		switch {
		case text(p.FileData) != "":
			return n, p.from(&n, at+".file_data", *p.FileData)
		case text(p.FileURL) != "":
			n.URL = *p.FileURL
			return n, nil
		}
		return n, wrong(at, "%s is a file by its id, which only the provider that keeps it knows", at).Hinted("send file_data or file_url, or search it with file_search")
	case "input_audio":
		if p.Audio == nil || p.Audio.Data == "" {
			return n, wrong(at, "%s has no input_audio.data", at)
		}
		return neutral.Part{Kind: neutral.Audio, Data: p.Audio.Data, Media: "audio/" + p.Audio.Format}, nil
	}
	return n, wrong(at+".type", "%s.type is %s, which is not known", at, clip(p.Type))
}

// from reads an address, or the data in one.
func (p *part) from(n *neutral.Part, at, url string) error {
	rest, isData := strings.CutPrefix(url, "data:")
	if !isData && n.Kind == neutral.Image {
		n.URL = url
		return nil
	}
	media, data := "application/pdf", url
	if isData {
		head, body, ok := strings.Cut(rest, ",")
		kind, coded := strings.CutSuffix(head, ";base64")
		if !ok || !coded {
			return wrong(at, "%s is not data:TYPE;base64,…", at)
		}
		media, data = kind, body
	}
	if _, err := base64.StdEncoding.DecodeString(data); err != nil {
		return wrong(at, "%s is not base64", at)
	}
	n.Media, n.Data = media, data
	return nil
}
