package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"airfield/internal/db"
)

// engine is River on one of the two databases.
type engine interface {
	migrate(ctx context.Context) error
	insert(ctx context.Context, tx *db.Tx, args envelope, opts *river.InsertOpts) error
	client(c *river.Config) (worker, error)
	executor() riverdriver.Executor
}

// worker is the part of River's client that Run needs.
type worker interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	Stopped() <-chan struct{}
}

type engineOn[T any] struct {
	driver   riverdriver.Driver[T]
	inserter *river.Client[T]
	within   func(tx *db.Tx, fn func(tx T) error) error // gives the transaction in the driver's own type
	awake    func()                                     // after a commit, where the database does not tell by itself
}

func newEngine(d *db.DB, c *river.Config) (engine, error) {
	if d.Engine() == db.SQLite {
		driver := newSQLiteDriver(d.SQL())
		return newEngineOn(driver, c, func(tx *db.Tx, fn func(tx *sql.Tx) error) error { return fn(tx.Tx) }, driver.awake)
	}
	return newEngineOn(riverpgxv5.New(d.Pool()), c, func(tx *db.Tx, fn func(tx pgx.Tx) error) error {
		return tx.Postgres(func(conn *pgx.Conn) error { return fn(insertTx{conn}) })
	}, nil)
}

func newEngineOn[T any](driver riverdriver.Driver[T], c *river.Config, within func(*db.Tx, func(T) error) error, awake func()) (engine, error) {
	inserter, err := river.NewClient(driver, c)
	if err != nil {
		return nil, err
	}
	return &engineOn[T]{driver: driver, inserter: inserter, within: within, awake: awake}, nil
}

func (e *engineOn[T]) migrate(ctx context.Context) error {
	migrator, err := rivermigrate.New(e.driver, nil)
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func (e *engineOn[T]) insert(ctx context.Context, tx *db.Tx, args envelope, opts *river.InsertOpts) error {
	if e.awake != nil && !opts.ScheduledAt.After(time.Now()) {
		tx.OnCommit(e.awake)
	}
	return e.within(tx, func(native T) error {
		_, err := e.inserter.InsertTx(ctx, native, args, opts)
		return err
	})
}

func (e *engineOn[T]) client(c *river.Config) (worker, error) { return river.NewClient(e.driver, c) }

func (e *engineOn[T]) executor() riverdriver.Executor { return e.driver.GetExecutor() }

// release makes running jobs available at once, those that judge says were left behind by a process that is gone.
// One that has no attempt left is given up, as River does itself: it may be what ended the process.
func release(ctx context.Context, e riverdriver.Executor, leftBy func(worker string) bool) (n int, err error) {
	const batch = 500
	horizon := time.Now().Add(time.Minute) // all that began before now, whatever the clocks say
	for after := int64(0); ; {
		running, err := e.JobGetStuck(ctx, &riverdriver.JobGetStuckParams{AfterID: after, Max: batch, StuckHorizon: horizon})
		if err != nil {
			return n, fmt.Errorf("list running jobs: %w", err)
		}
		now := time.Now().UTC()
		free := &riverdriver.JobRescueManyParams{StuckHorizon: horizon}
		for _, job := range running {
			after = job.ID
			if len(job.AttemptedBy) > 0 && !leftBy(job.AttemptedBy[len(job.AttemptedBy)-1]) {
				continue
			}
			state, finalized := rivertype.JobStateAvailable, (*time.Time)(nil)
			if job.Attempt >= job.MaxAttempts {
				state, finalized = rivertype.JobStateDiscarded, &now
			}
			free.ID = append(free.ID, job.ID)
			free.Error = append(free.Error, fmt.Appendf(nil, `{"at":%q,"attempt":%d,"error":"the process that ran it ended","trace":""}`, now.Format(time.RFC3339Nano), job.Attempt))
			free.FinalizedAt = append(free.FinalizedAt, finalized)
			free.ScheduledAt = append(free.ScheduledAt, now)
			free.State = append(free.State, string(state))
		}
		if len(free.ID) > 0 {
			if _, err := e.JobRescueMany(ctx, free); err != nil {
				return n, fmt.Errorf("release jobs: %w", err)
			}
			n += len(free.ID)
		}
		if len(running) < batch {
			return n, nil
		}
	}
}

// insertTx lets River insert on the connection of a transaction that database/sql began. River's own driver for
// database/sql is not kept up with its core.
type insertTx struct{ *pgxConn }

type pgxConn = pgx.Conn

var errNotOurs = errors.New("the transaction belongs to package db")

func (insertTx) Begin(context.Context) (pgx.Tx, error) { return nil, errNotOurs }
func (insertTx) Commit(context.Context) error          { return errNotOurs }
func (insertTx) Rollback(context.Context) error        { return errNotOurs }
func (insertTx) LargeObjects() pgx.LargeObjects        { panic(errNotOurs) }
func (t insertTx) Conn() *pgx.Conn                     { return t.pgxConn }
