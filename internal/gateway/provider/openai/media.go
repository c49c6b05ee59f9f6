package openai

import (
	"bytes"
	"math"
	"strconv"

	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/scan"
	"airfield/internal/llm"
)

// mediaMeter reads usage from answers about pictures and sound. Many say none: the gateway then counts or estimates.
type mediaMeter struct {
	surface llm.Surface
	usage   llm.Usage
	images  int64
	finish  string
	problem string
}

// Event reads an event of a stream: image_generation.…, speech.audio.…, transcript.text.….
func (m *mediaMeter) Event(data []byte) gateway.Event {
	if string(data) == "[DONE]" {
		return gateway.Done
	}
	kind, name := gateway.Content, ""
	o := scan.Object(data)
	for o.Next() {
		switch string(o.Key) {
		case "type":
			name, _ = scan.Text(o.Value)
		case "usage":
			m.readUsage(o.Value)
		case "error":
			if scan.Kind(o.Value) != 'n' {
				kind, m.problem = gateway.Failure, problem(o.Value)
			}
		}
	}
	switch name {
	case "image_generation.completed", "image_edit.completed": // of one picture; there may be more
		m.images++
		m.finish = "completed"
	case "speech.audio.done", "transcript.text.done":
		m.finish = "done"
		return gateway.Done
	}
	return kind
}

// Body reads a whole answer where it is JSON. Sound is none, and a transcript may be plain text.
func (m *mediaMeter) Body(body []byte, partial bool) error {
	switch {
	case m.surface == llm.Speech:
		return nil
	case partial:
		m.tail(body)
		return nil
	case m.surface != llm.Images && m.surface != llm.ImageEdits && !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")):
		return nil
	}
	seconds := int64(0)
	o := scan.Object(body)
	for o.Next() {
		switch string(o.Key) {
		case "data":
			for list := scan.Array(o.Value); list.Next(); {
				m.images++
			}
		case "usage":
			m.readUsage(o.Value)
		case "duration": // of verbose_json
			seconds = wholeSeconds(o.Value)
		}
	}
	if o.Err() == nil && m.usage.Source == "" && seconds > 0 {
		m.usage = llm.Usage{Seconds: seconds, Source: llm.Reported}
	}
	return o.Err()
}

func (m *mediaMeter) tail(body []byte) {
	if at := bytes.LastIndex(body, []byte(`"usage":`)); at >= 0 {
		if value, err := scan.Prefix(body[at+len(`"usage":`):]); err == nil {
			m.readUsage(value)
		}
	}
}

// readUsage reads tokens, or seconds where type is duration. Each picture of a stream has a usage of its own.
func (m *mediaMeter) readUsage(value []byte) {
	var in, out, seconds int64
	var image, audio, cached int64
	o := scan.Object(value)
	for o.Next() {
		switch string(o.Key) {
		case "input_tokens", "prompt_tokens":
			in = neutral.Tokens(o.Value)
		case "output_tokens", "completion_tokens":
			out = neutral.Tokens(o.Value)
		case "seconds":
			seconds = wholeSeconds(o.Value)
		case "input_tokens_details", "input_token_details", "prompt_tokens_details":
			for d := scan.Object(o.Value); d.Next(); {
				switch string(d.Key) {
				case "image_tokens":
					image = neutral.Tokens(d.Value)
				case "audio_tokens":
					audio = neutral.Tokens(d.Value)
				case "cached_tokens":
					cached = neutral.Tokens(d.Value)
				}
			}
		}
	}
	if o.Err() != nil || in+out+seconds == 0 {
		return
	}
	u := llm.Usage{Seconds: seconds, Source: llm.Reported}
	u.ImageInput = min(image, in)
	u.AudioInput = min(audio, in-u.ImageInput)
	u.CacheRead = min(cached, in-u.ImageInput-u.AudioInput)
	u.Input = in - u.ImageInput - u.AudioInput - u.CacheRead
	if u.Output = out; m.surface == llm.Speech {
		u.Output, u.AudioOutput = 0, out
	}
	if m.images > 0 {
		u = m.usage.Add(u)
	}
	m.usage = u
}

// wholeSeconds reads a duration; a second that was begun counts.
func wholeSeconds(value []byte) int64 {
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || !(f > 0) || f > 1e7 {
		return 0
	}
	return int64(math.Ceil(f))
}

// Reading is what was read until now.
func (m *mediaMeter) Reading() gateway.Reading {
	u := m.usage
	u.Images = m.images
	return gateway.Reading{Usage: u, Finish: m.finish, Problem: m.problem}
}
