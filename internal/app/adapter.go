package app

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/config"
	"airfield/internal/cost"
	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/anthropic"
	"airfield/internal/gateway/provider/azure"
	"airfield/internal/gateway/provider/bedrock"
	"airfield/internal/gateway/provider/builtin"
	"airfield/internal/gateway/provider/gemini"
	"airfield/internal/gateway/provider/openai"
	"airfield/internal/ingest"
	"airfield/internal/llm"
	"airfield/internal/observe/body"
	"airfield/internal/redact"
	"airfield/internal/response"
	"airfield/internal/retrieve"
)

// providers is the list of what the gateway can speak to.
var providers = map[string]gateway.Kind{
	"openai":          openai.New,
	gateway.Anthropic: anthropic.New,
	gateway.Azure:     azure.New,
	gateway.Gemini:    gemini.New,
	gateway.Bedrock:   bedrock.New,
	gateway.Builtin:   builtin.New,
}

// Kinds are the kinds of providers that there are.
func Kinds() map[string]gateway.Kind { return maps.Clone(providers) }

// listings say where the models of a kind are listed, and what they are asked for with, where that is not as at OpenAI.
// An empty address is that of a kind without such a list.
var listings = map[string]func(gateway.ProviderConfig) (address string, header http.Header){
	gateway.Azure:  azure.Models,
	gateway.Gemini: gemini.Models,
}

// embedder gives a feature the gateway's embeddings, tagged with what they are for. Where Airfield itself is the caller,
// as in ingestion, the purpose is also the workflow that pays.
type embedder struct {
	gateway     *gateway.Gateway
	environment string
	purpose     string
	priority    string // "" is the workflow's own
}

func (e embedder) Embed(ctx context.Context, model string, texts []string) ([][]float32, error) {
	if who := caller.From(ctx); who != nil && who.Role == caller.System && who.Workflow == "" {
		own := *who
		own.Workflow, own.Environment = e.purpose, e.environment
		ctx = caller.With(ctx, &own)
	}
	return e.gateway.Embed(ctx, model, texts, map[string]string{"purpose": e.purpose}, e.priority)
}

// generations let ingestion search a generation that is not live, to compare it with the one that is.
type generations struct{ *retrieve.Retriever }

func (g generations) SearchGeneration(ctx context.Context, collectionID, generationID, query string, limit int) ([]ingest.Found, error) {
	passages, err := g.Retriever.SearchGeneration(ctx, collectionID, generationID, query, limit)
	found := make([]ingest.Found, len(passages))
	for i, p := range passages {
		found[i] = ingest.Found{ChunkID: p.ChunkID, DocumentID: p.DocumentID, SourceKey: p.SourceKey}
	}
	return found, err
}

// embeddingPrices tell ingestion what it would cost to embed.
type embeddingPrices struct{ gateway *gateway.Gateway }

func (e embeddingPrices) EmbeddingCost(_ context.Context, model string, tokens int64) (c ingest.EmbeddingCost, err error) {
	c.Deployment, c.Cost, c.Priced, err = e.gateway.EmbeddingCost(model, tokens)
	return c, err
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

// searcher finds what the models of the Responses API search for.
type searcher struct{ *retrieve.Retriever }

func (s searcher) Search(ctx context.Context, q response.Query) ([]response.Source, error) {
	found, err := s.Retriever.Search(ctx, retrieve.Request{Collections: q.Collections, Query: q.Text, Limit: q.Limit, Filter: q.Filter, MinScore: q.MinScore})
	if err != nil {
		return nil, err
	}
	list := make([]response.Source, len(found.Passages))
	for i, p := range found.Passages {
		list[i] = response.Source{
			Chunk: p.ChunkID, FileID: p.FileID(), Filename: p.Name, Title: p.Title, Heading: strings.Join(p.Heading, " > "), Page: p.PageFrom,
			Text: p.Text, Score: p.Score, Attributes: p.Attributes,
		}
	}
	return list, nil
}

// keepsResponses says of which workflows responses are kept, as the configuration has it at the moment.
type keepsResponses struct{ config atomic.Pointer[config.Config] }

func (k *keepsResponses) keeps(workflow string) bool {
	w := k.config.Load().Workflows[workflow]
	return w.Keeps(w.Bodies != "none")
}

// redactor is redact's rules, as those need them who keep bodies.
type redactor struct{ rules *redact.Rules }

func (r redactor) JSON(dst, body []byte) []byte {
	dst, _ = r.rules.JSON(dst, body)
	return dst
}

func (r redactor) Version() string { return r.rules.Version() }

// redactor is what a workflow's bodies are redacted by, as the configuration has it at the moment.
func (p *parts) redactor(workflow string) body.Redactor {
	if rules := p.gateway.Rules(workflow); rules != nil {
		return redactor{rules}
	}
	return nil
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
