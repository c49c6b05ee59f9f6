package bedrock

import (
	"encoding/json"
	"slices"
	"strings"

	"airfield/internal/gateway/neutral"
)

// services are Converse's service tiers by the names that callers use.
var services = map[string]string{"": "", "auto": "", "default": "default", "standard": "default", "standard_only": "default", "flex": "flex", "priority": "priority", "reserved": "reserved"}

var imageFormats = map[string]string{"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}

var audioFormats = map[string]string{
	"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/flac": "flac", "audio/ogg": "ogg", "audio/opus": "opus", "audio/aac": "aac", "audio/mp4": "mp4", "audio/webm": "webm",
}

var documentFormats = map[string]string{
	"application/pdf": "pdf", "text/csv": "csv", "application/msword": "doc", "text/html": "html", "text/plain": "txt", "text/markdown": "md", "application/vnd.ms-excel": "xls", "": "txt",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":       "xlsx",
}

// Check names what Converse has no word for.
func (dialect) Check(q *neutral.Request) string {
	zero := func(f *float64) bool { return f == nil || *f == 0 }
	_, known := services[q.Service]
	switch {
	case len(q.Only) > 0:
		return "Bedrock does not know " + strings.Join(q.Only, ", ")
	case !zero(q.FrequencyPenalty) || !zero(q.PresencePenalty):
		return "Bedrock knows no frequency_penalty and no presence_penalty"
	case q.Seed != nil:
		return "Bedrock knows no seed"
	case q.Format != nil && q.Format.Schema == nil:
		return "Bedrock writes JSON by a schema only: ask for json_schema, not json_object"
	case !known:
		return "Bedrock has no service tier " + q.Service
	}
	return checkConversation(q)
}

func checkConversation(q *neutral.Request) string {
	called, said := false, false
	for _, m := range q.Messages {
		for i := range m.Parts {
			p := &m.Parts[i]
			if reason := checkPart(p); reason != "" {
				return reason
			}
			called = called || p.Kind == neutral.ToolCall || p.Kind == neutral.ToolResult
		}
		if m.Role == neutral.System || len(blocks(m.Parts)) == 0 {
			continue
		}
		if !said && m.Role == neutral.Assistant {
			return "Bedrock takes conversations that the user begins"
		}
		said = true
	}
	none := q.Choice.Mode == "none"
	switch {
	case !said:
		return "Bedrock takes no conversation without a message of the user"
	case called && len(q.Tools) == 0:
		return "Bedrock takes no conversation with tool calls unless the tools are given with it"
	case called && none:
		return "Bedrock cannot be told to call no tool in a conversation that has tool calls"
	case len(q.Tools) > 0 && !none && q.Parallel != nil && !*q.Parallel:
		return "Bedrock cannot be told to call one tool at a time"
	}
	return ""
}

func checkPart(p *neutral.Part) string {
	formats, what := map[string]string(nil), ""
	switch p.Kind {
	case neutral.Image:
		formats, what = imageFormats, "image"
	case neutral.Audio:
		formats, what = audioFormats, "sound"
	case neutral.Document:
		formats, what = documentFormats, "document"
	case neutral.ToolCall:
		if _, ok := arguments(p.Text); !ok {
			return "Bedrock takes arguments of tool calls that are a JSON object; those of " + clip(p.ID) + " are none"
		}
	case neutral.ToolResult:
		if i := slices.IndexFunc(p.Parts, func(p neutral.Part) bool { return checkPart(&p) != "" }); i >= 0 {
			return checkPart(&p.Parts[i])
		}
	}
	switch {
	case formats == nil:
		return ""
	case p.URL != "":
		return "Bedrock takes bytes only, not the address of the " + what
	case p.Data == "" && !(p.Kind == neutral.Document && p.Text != ""):
		return "Bedrock takes bytes only: the " + what + " has none"
	case formats[mediaType(p.Media)] == "":
		return "Bedrock takes no " + what + " of the type " + clip(p.Media)
	}
	return ""
}

// arguments are those of a tool call as an object; no text at all is none.
func arguments(text string) (json.RawMessage, bool) {
	if strings.TrimSpace(text) == "" {
		return json.RawMessage("{}"), true
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil || object == nil {
		return nil, false
	}
	return json.RawMessage(text), true
}

// mediaType is a media type without its parameters.
func mediaType(s string) string {
	base, _, _ := strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(base))
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 60)], "") }
