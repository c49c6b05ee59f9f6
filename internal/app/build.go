package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"airfield/internal/access"
	"airfield/internal/batch"
	"airfield/internal/bucket"
	"airfield/internal/bucket/file"
	"airfield/internal/bucket/gcs"
	"airfield/internal/bucket/s3"
	"airfield/internal/cache"
	"airfield/internal/config"
	"airfield/internal/cost"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/index"
	"airfield/internal/index/embedded"
	"airfield/internal/index/pgvector"
	"airfield/internal/ingest"
	"airfield/internal/ingest/extract"
	"airfield/internal/ingest/source"
	apisource "airfield/internal/ingest/source/api"
	"airfield/internal/ingest/source/folder"
	gcssource "airfield/internal/ingest/source/gcs"
	"airfield/internal/ingest/source/postgres"
	s3source "airfield/internal/ingest/source/s3"
	"airfield/internal/ingest/source/web"
	"airfield/internal/jobs"
	"airfield/internal/journal"
	"airfield/internal/limit"
	"airfield/internal/notify"
	"airfield/internal/observe"
	"airfield/internal/observe/body"
	"airfield/internal/prompt"
	"airfield/internal/redis"
	"airfield/internal/response"
	"airfield/internal/retrieve"
	"airfield/internal/telemetry"
)

// parts are the features of a process, built and plugged together.
type parts struct {
	log      *slog.Logger
	db       *db.DB
	bucket   bucket.Bucket
	journal  *journal.Journal
	jobs     *jobs.Queue
	index    index.Index
	audit    *access.Audit
	keys     *access.Keys
	metrics  *telemetry.Metrics
	prices   *cost.Prices
	imports  *cost.Imports
	prompts  *prompt.Registry
	pricer   *pricer
	ledger   *cost.Ledger
	budgets  *cost.Budgets
	recorder *observe.Recorder
	drain    *observe.Drain
	store    *observe.Store
	bodies   *body.Store
	redis    *redis.Client // nil where none is configured
	notify   *notify.Notifier
	gateway  *gateway.Gateway
	feed     *retrieve.Feed
	retrieve *retrieve.Retriever
	keeping  keepsResponses
	response *response.Service
	extract  *extract.Extractor
	ingest   *ingest.Pipeline
	sources  *source.Runner
	batches  *batch.Batches

	closers []closer
}

type closer struct {
	name  string
	close func() error
}

// opened registers what must be closed, right after it exists. Closing goes from the last to the first.
func (p *parts) opened(name string, close func() error) {
	p.closers = append(p.closers, closer{name, close})
}

func (p *parts) close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		if err := p.closers[i].close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", p.closers[i].name, err))
		}
	}
	return errors.Join(errs...)
}

// build makes every part, from the ground up. Where it fails, what was opened is closed.
func build(ctx context.Context, c *config.Config, log *slog.Logger) (p *parts, err error) {
	p = &parts{log: log.With("part", "app")}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()

	if p.db, err = db.Open(ctx, c.Database, log); err != nil {
		return p, err
	}
	p.opened("database", p.db.Close)

	if p.bucket, err = openBucket(ctx, c, log, p); err != nil {
		return p, err
	}

	if p.journal, err = journal.Open(filepath.Join(c.Data, "journal"), c.Journal, log); err != nil {
		return p, err
	}
	p.opened("journal", p.journal.Close)

	p.audit = access.NewAudit(p.db)
	p.keys = access.NewKeys(p.db, p.audit, c.Environment, c.Access, log)
	p.keys.SetWorkflows(workflows(c))

	if p.prices, err = cost.NewPrices(); err != nil {
		return p, err
	}
	p.imports = cost.NewImports(p.db, p.prices, p.audit, log)
	if err = p.imports.Load(ctx); err != nil {
		return p, err
	}
	p.prompts = prompt.New(p.db, p.audit, log)
	if err = p.prompts.Load(ctx); err != nil {
		return p, err
	}
	p.pricer = newPricer(p.prices, c.Gateway)
	p.ledger = cost.NewLedger(p.db)
	lease := cost.LeaseID(p.journal.ID(), time.Now().UnixMicro())
	p.budgets = cost.NewBudgets(c.Budgets, p.db, lease, p.tellBudget, log)
	p.opened("budgets", p.budgets.Close)
	p.metrics = telemetry.NewMetrics()
	p.recorder = observe.NewRecorder(p.journal, p.metrics, log)
	p.opened("recorder", p.recorder.Close)
	p.drain = observe.NewDrain(p.db, p.journal, c.Observe, p.pricer, log, p.ledger, p.budgets)
	p.drain.OnSettled(func(ctx context.Context) error {
		_, err := p.budgets.ReleaseDead(ctx, p.journal.ID(), lease)
		return err
	})
	p.store = observe.NewStore(p.db)
	if p.bodies, err = openBodies(c, log, p); err != nil {
		return p, err
	}
	tracer := telemetry.NewTracer(p.recorder)

	told, err := p.metrics.Counter("notifications_total", notificationsHelp, "channel", "result")
	if err != nil {
		return p, err
	}
	p.notify = notify.New(c.Notify, notify.Deps{Environment: c.Environment, Log: log, Count: func(o notify.Outcome) { told(o.Channel, string(o.Result)) }})
	limiter, answers, err := openShared(ctx, c, log, p)
	if err != nil {
		return p, err
	}
	if p.gateway, err = gateway.New(c.Gateway, gateway.Parts{
		Kinds: providers, Prices: p.prices, Recorder: p.recorder, Budgets: budgets{p.budgets}, Limiter: limiter, Cache: answers, Extractor: extractor{p}, Bodies: p.bodies, Prompts: prompts{p.prompts}, Alert: p.tell, Log: log,
	}); err != nil {
		return p, err
	}
	p.opened("gateway", p.gateway.Close)

	if p.index, err = openIndex(ctx, c, log); err != nil {
		return p, err
	}
	p.opened("index", p.index.Close)
	p.feed = retrieve.NewFeed(c.Retrieve, p.db, p.index, log)
	p.opened("index feed", func() error { p.feed.Close(); return nil })
	counted, err := p.metrics.Counter("index_searches_total", indexSearchesHelp, "collection")
	if err != nil {
		return p, err
	}
	p.retrieve = retrieve.New(c.Retrieve, retrieve.Parts{
		Searched: searched(counted), DB: p.db, Index: p.index, Feed: p.feed, Embedder: embedder{p.gateway, c.Environment, "search", ""}, Completer: completer{p.gateway}, Tracer: tracer, Log: log,
	})

	p.keeping.config.Store(c)
	p.response = response.New(c.Responses, response.Parts{DB: p.db, Searcher: searcher{p.retrieve}, Keeps: p.keeping.keeps, Tracer: tracer, Log: log})

	extractConfig := c.Extract
	extractConfig.CacheDir = filepath.Join(c.Data, "cache")
	p.extract = extract.New(extractConfig, log)
	p.opened("extractors", p.extract.Close)

	if p.jobs, err = jobs.New(ctx, p.db, c.Jobs, log); err != nil {
		return p, err
	}
	tmp := filepath.Join(c.Data, "tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return p, fmt.Errorf("make the folder for temporary files: %w", err)
	}
	p.ingest = ingest.New(c.Ingest, ingest.Parts{
		DB: p.db, Bucket: p.bucket, Queue: ingest.Jobs(p.jobs), Extractor: p.extract, Embedder: embedder{p.gateway, c.Environment, "ingest", ""}, Refresher: embedder{p.gateway, c.Environment, "refresh", "low"}, Index: p.feed,
		Searcher: generations{p.retrieve}, Prices: embeddingPrices{p.gateway}, Beyond: func() []ingest.Retained { return retained(p.keeping.config.Load()) },
		Audit: p.audit, Tracer: tracer, TempDir: tmp, Log: log,
	})
	p.sources = source.NewRunner(p.ingest, map[string]source.Keep{
		ingest.KindFolder: folder.Run, ingest.KindS3: s3source.Run, ingest.KindGCS: gcssource.Run, ingest.KindSQL: postgres.Run, ingest.KindWeb: web.Keep(tmp), ingest.KindAPI: apisource.Keep(tmp),
	}, log)
	p.batches = batch.New(c.Batch, batch.Parts{
		DB: p.db, Jobs: p.jobs, Files: batchFiles{p.ingest}, Calls: batchCalls{p.gateway, p.response}, Keys: p.keys, Audit: p.audit, Refusal: refusal, Log: log,
	})
	return p, addFigures(p.metrics, p.figures())
}

// modelNames are the models that callers may ask for, the builtin ones among them.
func (p *parts) modelNames() []string {
	var names []string
	for _, m := range p.gateway.Models(context.Background()) {
		names = append(names, m.Name)
	}
	for _, tier := range gateway.Tiers {
		names = append(names, gateway.TierPrefix+tier)
	}
	return names
}

// openBucket is the list of what documents can be kept in.
func openBucket(ctx context.Context, c *config.Config, log *slog.Logger, p *parts) (bucket.Bucket, error) {
	if strings.HasPrefix(c.Bucket.URL, "s3:") {
		return s3.Open(ctx, c.Bucket, filepath.Join(c.Data, "tmp"), log)
	}
	if strings.HasPrefix(c.Bucket.URL, "gs:") {
		return gcs.Open(c.Bucket, filepath.Join(c.Data, "tmp"), log)
	}
	dir, ok := strings.CutPrefix(c.Bucket.URL, "file:")
	if !ok {
		return nil, fault.New(fault.Invalid, "bucket_url", "bucket.url: it is none of file:PATH, s3://NAME/PREFIX and gs://NAME/PREFIX")
	}
	b, err := file.Open(dir, c.Bucket, log)
	if err != nil {
		return nil, err
	}
	p.opened("bucket", b.Close)
	return b, nil
}

// openIndex is the list of what vectors and keywords can be kept in.
func openIndex(ctx context.Context, c *config.Config, log *slog.Logger) (index.Index, error) {
	if c.Index.Embedded() {
		x, err := embedded.Open(filepath.Join(c.Data, "index"), embedded.Default(), log)
		if err != nil {
			return nil, err
		}
		return x, nil
	}
	x, err := pgvector.Open(ctx, indexConfig(c), log)
	if err != nil {
		return nil, err
	}
	return x, nil
}

// indexConfig puts the address of the database in the place of the word for it.
func indexConfig(c *config.Config) index.Config {
	own := c.Index
	if own.URL == index.InDatabase {
		own.URL, own.Password = c.Database.URL, c.Database.Password
	}
	return own
}

// openBodies is where requests and answers are kept: on their way in the data folder, then in the bucket.
func openBodies(c *config.Config, log *slog.Logger, p *parts) (*body.Store, error) {
	dropped, err := p.metrics.Counter("bodies_dropped_total", bodiesDroppedHelp, "reason")
	if err != nil {
		return nil, err
	}
	store, err := body.Open(c.Observe.Bodies, body.Parts{
		DB: p.db, Bucket: p.bucket, Dir: filepath.Join(c.Data, "bodies"), Redact: p.redactor,
		Dropped: func(reason string) { dropped(reason) }, Log: log,
	})
	if err != nil {
		return nil, err
	}
	p.opened("bodies", store.Close)
	return store, nil
}

// openSource is the list of where documents can come from. close gives back what it holds.
func openSource(ctx context.Context, s ingest.Source, tmp string) (b source.Backend, close func() error, err error) {
	close = func() error { return nil }
	switch s.Config.Kind() {
	case ingest.KindS3:
		b, err = s3source.New(ctx, s.Config)
	case ingest.KindGCS:
		b, err = gcssource.New(s.Config)
	case ingest.KindSQL:
		table := postgres.New(s.Config)
		b, close = table, func() error { table.Close(); return nil }
	case ingest.KindWeb:
		site, opening := web.New(s.Config, s.MaxFileBytes, tmp)
		if opening != nil {
			return nil, nil, opening
		}
		b, close = site, site.Close
	case ingest.KindAPI:
		records, opening := apisource.New(s.Config, s.MaxFileBytes, tmp)
		if opening != nil {
			return nil, nil, opening
		}
		b, close = records, records.Close
	default:
		b, err = folder.New(s.Config)
	}
	return b, close, err
}

// openShared is where limits are counted and answers are kept: in a Redis that several processes share, or here.
func openShared(ctx context.Context, c *config.Config, log *slog.Logger, p *parts) (limit.Limiter, cache.Cache, error) {
	if c.Redis.URL == "" {
		answers, err := cache.NewMemory(c.Cache)
		if err != nil {
			return nil, nil, err
		}
		p.opened("cache", answers.Close)
		return limit.NewMemory(), answers, nil
	}
	client, err := redis.Open(ctx, c.Redis, log)
	if err != nil {
		return nil, nil, err
	}
	p.redis = client
	client.OnChange(p.redisChanged)
	p.opened("redis", client.Close)
	return limit.NewShared(client), cache.NewShared(client, c.Cache), nil
}

// startTime bounds everything a process does before it answers.
const startTime = 2 * time.Minute
