package app

import (
	"context"
	"net/http"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/config"
	"airfield/internal/cost"
	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/azure"
	"airfield/internal/gateway/provider/bedrock"
	"airfield/internal/gateway/provider/builtin"
	"airfield/internal/gateway/provider/gemini"
	"airfield/internal/gateway/provider/openai"
	"airfield/internal/ingest"
	"airfield/internal/llm"
	"airfield/internal/retrieve"
)

// providers is the list of what the gateway can speak to.
var providers = map[string]gateway.Kind{
	"openai":        openai.New,
	gateway.Azure:   azure.New,
	gateway.Gemini:  gemini.New,
	gateway.Bedrock: bedrock.New,
	gateway.Builtin: builtin.New,
}

// listings say where the models of a kind are listed, and what they are asked for with, where that is not as at OpenAI.
// An empty address is that of a kind without such a list.
var listings = map[string]func(gateway.ProviderConfig) (address string, header http.Header){
	gateway.Azure:   azure.Models,
	gateway.Gemini:  gemini.Models,
	gateway.Bedrock: func(gateway.ProviderConfig) (string, http.Header) { return "", nil },
}

// embedder gives a feature the gateway's embeddings, tagged with what they are for. Where Airfield itself is the caller,
// as in ingestion, the purpose is also the workflow that pays.
type embedder struct {
	gateway     *gateway.Gateway
	environment string
	purpose     string
}

func (e embedder) Embed(ctx context.Context, model string, texts []string) ([][]float32, error) {
	if who := caller.From(ctx); who != nil && who.Role == caller.System && who.Workflow == "" {
		own := *who
		own.Workflow, own.Environment = e.purpose, e.environment
		ctx = caller.With(ctx, &own)
	}
	return e.gateway.Embed(ctx, model, texts, map[string]string{"purpose": e.purpose})
}

// completer gives retrieval the gateway's chat models.
type completer struct{ gateway *gateway.Gateway }

func (c completer) Complete(ctx context.Context, q retrieve.Completion) (retrieve.Completed, error) {
	messages := make([]gateway.Message, len(q.Messages))
	for i, m := range q.Messages {
		messages[i] = gateway.Message(m)
	}
	done, err := c.gateway.Complete(ctx, gateway.Completion{Model: q.Model, Messages: messages, MaxTokens: q.MaxTokens, Tags: q.Tags, Epochs: q.Epochs})
	return retrieve.Completed{Text: done.Text, Model: q.Model, Fingerprint: done.Fingerprint, CallID: done.CallID, Usage: done.Usage, Cost: done.Cost, Priced: done.Priced}, err
}

// budgets are cost's, as the gateway needs them.
type budgets struct{ *cost.Budgets }

func (b budgets) Standing(s *llm.Spender, at time.Time) gateway.Standing {
	return gateway.Standing(b.Budgets.Standing(*s, at))
}

func (b budgets) Reserve(ctx context.Context, s *llm.Spender, at time.Time, most gateway.Amount) (gateway.Hold, error) {
	h, err := b.Budgets.Reserve(ctx, *s, at, cost.Amount(most))
	if err != nil {
		return nil, err
	}
	return hold{h}, nil
}

type hold struct{ *cost.Hold }

func (h hold) Raise(most gateway.Amount) error { return h.Hold.Raise(cost.Amount(most)) }
func (h hold) Settle(used gateway.Amount)      { h.Hold.Settle(cost.Amount(used)) }
func (h hold) Mark(row *llm.Call)              { row.Lease, row.Holds = h.Lease(), h.Accounts() }

// extractor answers with sentences of documents for the gateway, from keywords alone: nothing of it needs an upstream.
type extractor struct{ parts *parts }

func (e extractor) Extract(ctx context.Context, collections []string, question string) (gateway.Extract, error) {
	a, err := e.parts.retrieve.Answer(ctx, retrieve.Ask{Collections: collections, Question: question, Model: gateway.BuiltinAnswer, Mode: retrieve.Keyword, Tags: map[string]string{"purpose": "degraded"}})
	return gateway.Extract{Found: a.Found, Text: a.Text, Citations: a.Citations}, err
}

// workflows is what access needs to know of the configuration.
func workflows(c *config.Config) map[string]access.Workflow {
	all := make(map[string]access.Workflow, len(c.Workflows))
	for name, w := range c.Workflows {
		all[name] = access.Workflow{BusinessUnit: w.BusinessUnit, Clearance: w.Clearance, Collections: w.Collections}
	}
	return all
}

// collections is what ingest needs to know of the configuration.
func collections(c *config.Config) map[string]ingest.CollectionConfig {
	all := make(map[string]ingest.CollectionConfig, len(c.Collections))
	for name, collection := range c.Collections {
		all[name] = collection.CollectionConfig
	}
	return all
}

// waitAtMost bounds a piece of work that has no deadline of its own.
func waitAtMost(ctx context.Context, d time.Duration, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return fn(ctx)
}
