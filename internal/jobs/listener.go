package jobs

import (
	"context"
	"database/sql"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// sqliteDriver is River's, but wakes workers by a channel: an embedded installation is one process, and River's own
// way is a query on the only write connection every 50 ms.
type sqliteDriver struct {
	*riversqlite.Driver
	wake chan struct{}
}

func newSQLiteDriver(pool *sql.DB) *sqliteDriver {
	return &sqliteDriver{Driver: riversqlite.New(pool), wake: make(chan struct{}, 1)}
}

// awake lets the worker look for jobs at once; calls while it has not looked yet are one.
func (d *sqliteDriver) awake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *sqliteDriver) SupportsListenNotify() bool { return false } // nothing is to be written to notify

func (d *sqliteDriver) GetListener(*riverdriver.GetListenenerParams) riverdriver.Listener {
	return localListener{d.wake}
}

type localListener struct{ wake <-chan struct{} }

// WaitForNotification reports a new job in River's words.
func (l localListener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.wake:
		return &riverdriver.Notification{Topic: "river_insert", Payload: `{"queue":"` + queueName + `"}`}, nil
	}
}

func (localListener) Close(context.Context) error            { return nil }
func (localListener) Connect(context.Context) error          { return nil }
func (localListener) Listen(context.Context, string) error   { return nil }
func (localListener) Ping(context.Context) error             { return nil }
func (localListener) Schema() string                         { return "" }
func (localListener) SetAfterConnectExec(string)             {}
func (localListener) Unlisten(context.Context, string) error { return nil }
