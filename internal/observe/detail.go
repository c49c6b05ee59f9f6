package observe

import (
	"encoding/json"
	"strconv"
	"time"

	"airfield/internal/db"
	"airfield/internal/llm"
)

// detail is the JSON in the column of that name: what of a call has no column of its own. Numbers are microseconds and
// bytes. It is read by encoding/json and written by appendDetail, which is four times as fast; a test holds them together.
type detail struct {
	FirstByte    int64             `json:"first_byte_us"`
	Environment  string            `json:"environment"`
	BusinessUnit string            `json:"business_unit"`
	KeyID        string            `json:"key_id"`
	User         string            `json:"user"`
	Session      string            `json:"session"`
	Tags         map[string]string `json:"tags"`
	Surface      llm.Surface       `json:"surface"`
	Deployment   string            `json:"deployment"`
	Provider     string            `json:"provider"`
	Upstream     string            `json:"upstream_model"`
	Stream       int64             `json:"stream"`
	Status       int64             `json:"status"`
	ErrorKind    string            `json:"error_kind"`
	Error        string            `json:"error"`
	Finish       string            `json:"finish"`
	Input        int64             `json:"input_tokens"`
	CacheRead    int64             `json:"cache_read_tokens"`
	CacheWrite   int64             `json:"cache_write_tokens"`
	Output       int64             `json:"output_tokens"`
	Reasoning    int64             `json:"reasoning_tokens"`
	WriteLong    int64             `json:"cache_write_long_tokens"`
	AudioInput   int64             `json:"audio_input_tokens"`
	AudioOutput  int64             `json:"audio_output_tokens"`
	Images       int64             `json:"images"`
	ImageInput   int64             `json:"image_input_tokens"`
	Characters   int64             `json:"characters"`
	Seconds      int64             `json:"seconds"`
	Service      string            `json:"service_tier"`
	Waited       int64             `json:"waited_us"`
	Decision     json.RawMessage   `json:"decision"`
	UsageSource  llm.UsageSource   `json:"usage_source"`
	PriceID      string            `json:"price_id"`
	SpanID       string            `json:"span_id"`
	ParentSpanID string            `json:"parent_span_id"`
	Prompt       string            `json:"prompt"`
	Version      int64             `json:"prompt_version"`
	Cache        string            `json:"cache"`
	Degraded     string            `json:"degraded"`
	RequestSize  int64             `json:"request_bytes"`
	ResponseSize int64             `json:"response_bytes"`
	Redaction    string            `json:"redaction"`
	Redacted     map[string]int    `json:"redacted"`
	Attempts     []attempt         `json:"attempts"`
	Bodies       string            `json:"bodies"`
	BodiesUntil  int64             `json:"bodies_until"`
}

type attempt struct {
	Deployment string      `json:"deployment"`
	Provider   string      `json:"provider"`
	Model      string      `json:"model"`
	Start      int64       `json:"started_at"`
	FirstByte  int64       `json:"first_byte_us"`
	Duration   int64       `json:"duration_us"`
	Status     int64       `json:"status"`
	Outcome    llm.Outcome `json:"outcome"`
	Error      string      `json:"error"`
	RequestID  string      `json:"request_id"`
}

// object appends the members of a JSON object that are not empty.
type object []byte

func (o *object) key(name string) {
	if (*o)[len(*o)-1] != '{' {
		*o = append(*o, ',')
	}
	*o = append(*o, '"')
	*o = append(*o, name...)
	*o = append(*o, '"', ':')
}

func (o *object) text(name, s string) {
	if s != "" {
		o.key(name)
		o.quote(s)
	}
}

func (o *object) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			b, _ := json.Marshal(s) // a string is never refused
			*o = append(*o, b...)
			return
		}
	}
	*o = append(*o, '"')
	*o = append(*o, s...)
	*o = append(*o, '"')
}

func (o *object) number(name string, n int64) {
	if n != 0 {
		o.key(name)
		*o = strconv.AppendInt(*o, n, 10)
	}
}

func appendDetail(b []byte, c *llm.Call) []byte {
	o := object(append(b, '{'))
	o.number("first_byte_us", c.FirstByte.Microseconds())
	o.text("environment", c.Environment)
	o.text("business_unit", c.BusinessUnit)
	o.text("key_id", c.KeyID)
	o.text("user", c.User)
	o.text("session", c.Session)
	if len(c.Tags) > 0 {
		o.key("tags")
		o = append(o, '{')
		for k, v := range c.Tags {
			if o[len(o)-1] != '{' {
				o = append(o, ',')
			}
			o.quote(k)
			o = append(o, ':')
			o.quote(v)
		}
		o = append(o, '}')
	}
	o.text("surface", string(c.Surface))
	o.text("deployment", c.Deployment)
	o.text("provider", c.Provider)
	o.text("upstream_model", c.Upstream)
	o.number("stream", flag(c.Stream))
	o.number("status", int64(c.Status))
	o.text("error_kind", c.ErrorKind)
	o.text("error", c.Error)
	o.text("finish", c.Finish)
	o.number("input_tokens", c.Usage.Input)
	o.number("cache_read_tokens", c.Usage.CacheRead)
	o.number("cache_write_tokens", c.Usage.CacheWrite)
	o.number("output_tokens", c.Usage.Output)
	o.number("reasoning_tokens", c.Usage.Reasoning)
	o.number("cache_write_long_tokens", c.Usage.CacheWriteLong)
	o.number("audio_input_tokens", c.Usage.AudioInput)
	o.number("audio_output_tokens", c.Usage.AudioOutput)
	o.number("images", c.Usage.Images)
	o.number("image_input_tokens", c.Usage.ImageInput)
	o.number("characters", c.Usage.Characters)
	o.number("seconds", c.Usage.Seconds)
	o.text("service_tier", c.Service)
	o.number("waited_us", c.Waited.Microseconds())
	if json.Valid([]byte(c.Decision)) {
		o.key("decision")
		o = append(o, c.Decision...)
	}
	o.text("usage_source", string(c.Usage.Source))
	o.text("price_id", c.PriceID)
	o.text("span_id", c.SpanID)
	o.text("parent_span_id", c.ParentSpanID)
	o.text("prompt", c.Prompt)
	o.number("prompt_version", int64(c.Version))
	o.text("cache", c.Cache)
	o.text("degraded", c.Degraded)
	o.number("request_bytes", c.RequestSize)
	o.number("response_bytes", c.ResponseSize)
	o.text("redaction", c.Redaction)
	if len(c.Redacted) > 0 {
		o.key("redacted")
		o = append(o, '{')
		for class, n := range c.Redacted {
			if o[len(o)-1] != '{' {
				o = append(o, ',')
			}
			o.quote(class)
			o = strconv.AppendInt(append(o, ':'), int64(n), 10)
		}
		o = append(o, '}')
	}
	if len(c.Attempts) > 0 {
		o.key("attempts")
		o = append(o, '[')
		for i := range c.Attempts {
			if i > 0 {
				o = append(o, ',')
			}
			o = appendAttempt(o, &c.Attempts[i])
		}
		o = append(o, ']')
	}
	o.text("bodies", c.Bodies)
	o.number("bodies_until", db.Micros(c.BodiesUntil))
	return append(o, '}')
}

func appendAttempt(o object, a *llm.Attempt) object {
	o = append(o, '{')
	o.text("deployment", a.Deployment)
	o.text("provider", a.Provider)
	o.text("model", a.Model)
	if !a.Start.IsZero() {
		o.number("started_at", a.Start.UnixMicro())
	}
	o.number("first_byte_us", a.FirstByte.Microseconds())
	o.number("duration_us", a.Duration.Microseconds())
	o.number("status", int64(a.Status))
	o.text("outcome", string(a.Outcome))
	o.text("error", a.Error)
	o.text("request_id", a.RequestID)
	return append(o, '}')
}

// fill puts the detail into a call.
func (d *detail) fill(c *llm.Call) {
	c.FirstByte = micros(d.FirstByte)
	c.Environment, c.BusinessUnit, c.KeyID, c.User, c.Session, c.Tags = d.Environment, d.BusinessUnit, d.KeyID, d.User, d.Session, d.Tags
	c.Surface, c.Deployment, c.Provider, c.Upstream, c.Stream, c.Status = d.Surface, d.Deployment, d.Provider, d.Upstream, d.Stream != 0, int(d.Status)
	c.ErrorKind, c.Error, c.Finish = d.ErrorKind, d.Error, d.Finish
	c.Usage = llm.Usage{Input: d.Input, CacheRead: d.CacheRead, CacheWrite: d.CacheWrite, Output: d.Output, Reasoning: d.Reasoning, Source: d.UsageSource,
		CacheWriteLong: d.WriteLong, AudioInput: d.AudioInput, AudioOutput: d.AudioOutput, Images: d.Images,
		ImageInput: d.ImageInput, Characters: d.Characters, Seconds: d.Seconds}
	c.Service, c.Waited, c.Decision = d.Service, micros(d.Waited), string(d.Decision)
	c.PriceID, c.SpanID, c.ParentSpanID, c.Prompt, c.Version = d.PriceID, d.SpanID, d.ParentSpanID, d.Prompt, int(d.Version)
	c.Cache, c.Degraded, c.RequestSize, c.ResponseSize = d.Cache, d.Degraded, d.RequestSize, d.ResponseSize
	c.Redaction, c.Redacted = d.Redaction, d.Redacted
	c.Bodies, c.BodiesUntil = d.Bodies, db.Time(d.BodiesUntil)
	for _, a := range d.Attempts {
		started := time.Time{}
		if a.Start != 0 {
			started = time.UnixMicro(a.Start).UTC()
		}
		c.Attempts = append(c.Attempts, llm.Attempt{Deployment: a.Deployment, Provider: a.Provider, Model: a.Model, Start: started, FirstByte: micros(a.FirstByte),
			Duration: micros(a.Duration), Status: int(a.Status), Outcome: a.Outcome, Error: a.Error, RequestID: a.RequestID})
	}
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
