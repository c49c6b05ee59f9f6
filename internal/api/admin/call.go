package admin

import (
	"encoding/json"
	"time"

	"airfield/internal/llm"
	"airfield/internal/money"
)

// Call is a call's row as the API shows it: metadata, never what was asked or answered.
type Call struct {
	ID            string            `json:"id"`
	StartedAt     time.Time         `json:"started_at"`
	DurationMS    float64           `json:"duration_ms"`
	FirstByteMS   float64           `json:"first_byte_ms,omitempty"`
	Environment   string            `json:"environment"`
	BusinessUnit  string            `json:"business_unit,omitempty"`
	Workflow      string            `json:"workflow"`
	KeyID         string            `json:"key_id"`
	User          string            `json:"user,omitempty"`
	Session       string            `json:"session,omitempty"`
	Tags          map[string]string `json:"tags,omitempty"`
	Surface       string            `json:"surface"`
	Model         string            `json:"model"`
	Deployment    string            `json:"deployment,omitempty"`
	Provider      string            `json:"provider,omitempty"`
	UpstreamModel string            `json:"upstream_model,omitempty"`
	Stream        bool              `json:"stream"`
	Status        int               `json:"status"`
	Outcome       string            `json:"outcome"`
	ErrorKind     string            `json:"error_kind,omitempty"`
	Error         string            `json:"error,omitempty"`
	Finish        string            `json:"finish_reason,omitempty"`
	InputTokens   int64             `json:"input_tokens" doc:"Every token that went in, cached or not."`
	CacheRead     int64             `json:"cache_read_tokens,omitempty"`
	CacheWrite    int64             `json:"cache_write_tokens,omitempty"`
	CacheLong     int64             `json:"cache_write_long_tokens,omitempty" doc:"Written to the provider's cache to stay for an hour."`
	AudioInput    int64             `json:"audio_input_tokens,omitempty"`
	OutputTokens  int64             `json:"output_tokens" doc:"Every token that came out, reasoning included."`
	Reasoning     int64             `json:"reasoning_tokens,omitempty"`
	AudioOutput   int64             `json:"audio_output_tokens,omitempty"`
	Images        int64             `json:"images,omitempty"`
	ImageInput    int64             `json:"image_input_tokens,omitempty"`
	Characters    int64             `json:"characters,omitempty" doc:"That were spoken."`
	Seconds       int64             `json:"seconds,omitempty" doc:"Of sound that was heard."`
	ServiceTier   string            `json:"service_tier,omitempty" doc:"That was billed, as the provider names it."`
	UsageSource   string            `json:"usage_source,omitempty" enum:"reported,counted,estimated"`
	CostUSD       money.Nanos       `json:"cost_usd"`
	Priced        bool              `json:"priced" doc:"False: no price is known, and the cost is unknown, not zero."`
	PriceID       string            `json:"price_id,omitempty"`
	TraceID       string            `json:"trace_id"`
	SpanID        string            `json:"span_id"`
	Prompt        string            `json:"prompt,omitempty"`
	PromptVersion int               `json:"prompt_version,omitempty"`
	Cache         string            `json:"cache,omitempty"`
	Degraded      string            `json:"degraded,omitempty"`
	WaitedMS      float64           `json:"waited_ms,omitempty" doc:"In queues, for slots, rates and budgets."`
	Decision      *llm.Decision     `json:"decision,omitempty" doc:"Why it was refused or moved."`
	Redaction     string            `json:"redaction,omitempty" doc:"The version of the rules by which what is kept of it was redacted."`
	Redacted      map[string]int    `json:"redacted,omitempty" doc:"How much was replaced, by class."`
	RequestBytes  int64             `json:"request_bytes"`
	ResponseBytes int64             `json:"response_bytes"`
	Attempts      []Attempt         `json:"attempts"`
	Bodies        string            `json:"bodies,omitempty" enum:"kept,truncated,request,none,dropped,pending,expired,lost" doc:"What is kept of the request and the answer: /api/calls/{id}/body shows it."`
	BodiesUntil   *time.Time        `json:"bodies_until,omitempty" doc:"Until when; left out where they are kept for ever."`
}

// Attempt is one try of a call at one deployment.
type Attempt struct {
	Deployment  string    `json:"deployment"`
	Provider    string    `json:"provider"`
	Model       string    `json:"model"`
	StartedAt   time.Time `json:"started_at"`
	FirstByteMS float64   `json:"first_byte_ms,omitempty"`
	DurationMS  float64   `json:"duration_ms"`
	Status      int       `json:"status,omitempty"`
	Outcome     string    `json:"outcome"`
	Error       string    `json:"error,omitempty"`
	RequestID   string    `json:"request_id,omitempty" doc:"The provider's own id of the exchange."`
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// decisionOf reads why a call was refused or moved; nil where nothing was decided.
func decisionOf(c llm.Call) *llm.Decision {
	if c.Decision == "" {
		return nil
	}
	var d llm.Decision
	if err := json.Unmarshal([]byte(c.Decision), &d); err != nil {
		return nil
	}
	return &d
}

// callOf is a row as it is shown.
func callOf(c llm.Call) Call {
	v := Call{
		ID: c.ID, StartedAt: c.Start, DurationMS: millis(c.Duration), FirstByteMS: millis(c.FirstByte), Environment: c.Environment, BusinessUnit: c.BusinessUnit,
		Workflow: c.Workflow, KeyID: c.KeyID, User: c.User, Session: c.Session, Tags: c.Tags, Surface: string(c.Surface), Model: c.Model, Deployment: c.Deployment,
		Provider: c.Provider, UpstreamModel: c.Upstream, Stream: c.Stream, Status: c.Status, Outcome: string(c.Outcome), ErrorKind: c.ErrorKind, Error: c.Error, Finish: c.Finish,
		InputTokens: c.Usage.Prompt(), CacheRead: c.Usage.CacheRead, CacheWrite: c.Usage.CacheWrite, OutputTokens: c.Usage.Completion(), Reasoning: c.Usage.Reasoning,
		CacheLong: c.Usage.CacheWriteLong, AudioInput: c.Usage.AudioInput, AudioOutput: c.Usage.AudioOutput, Images: c.Usage.Images, ServiceTier: c.Service,
		ImageInput: c.Usage.ImageInput, Characters: c.Usage.Characters, Seconds: c.Usage.Seconds,
		UsageSource: string(c.Usage.Source), CostUSD: c.Cost, Priced: c.Priced, PriceID: c.PriceID, TraceID: c.TraceID, SpanID: c.SpanID, Prompt: c.Prompt, PromptVersion: c.Version,
		WaitedMS: millis(c.Waited), Decision: decisionOf(c), Cache: c.Cache, Degraded: c.Degraded, Redaction: c.Redaction, Redacted: c.Redacted, RequestBytes: c.RequestSize, ResponseBytes: c.ResponseSize, Attempts: []Attempt{},
	}
	if v.Bodies = c.Bodies; !c.BodiesUntil.IsZero() {
		v.BodiesUntil = &c.BodiesUntil
	}
	for _, a := range c.Attempts {
		v.Attempts = append(v.Attempts, Attempt{
			Deployment: a.Deployment, Provider: a.Provider, Model: a.Model, StartedAt: a.Start, FirstByteMS: millis(a.FirstByte), DurationMS: millis(a.Duration),
			Status: a.Status, Outcome: string(a.Outcome), Error: a.Error, RequestID: a.RequestID,
		})
	}
	return v
}
