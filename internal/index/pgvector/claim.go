package pgvector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"airfield/internal/fault"
	"airfield/internal/index"
)

// claim is a session that holds the space's lock. All its changes go through this session, so that whoever lost the lock,
// because the session ended, cannot change anything either.
type claim struct {
	x     *Index
	space string
	mu    sync.Mutex
	conn  *pgxpool.Conn // nil once released
}

var errReleased = fault.New(fault.Unavailable, "index_claim_lost", "the claim of this space has ended")

// Claim waits until nobody else has the space, without holding a connection.
func (x *Index) Claim(ctx context.Context, name string) (index.Claim, error) {
	if !validSpace.MatchString(name) {
		return nil, fault.New(fault.Invalid, "invalid_space", "%.64q cannot be the name of a space: letters, digits, _ and -", name)
	}
	wait, cancel := context.WithTimeout(ctx, index.ClaimWait)
	defer cancel()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		conn, err := x.claim(wait, "feed "+name)
		if conn != nil {
			return &claim{x: x, space: name, conn: conn}, nil
		}
		if err == nil {
			select {
			case <-wait.Done():
				err = wait.Err()
			case <-time.After(pause):
				continue
			}
		}
		if ctx.Err() == nil && wait.Err() != nil {
			return nil, index.Busy(name)
		}
		return nil, x.classify(err)
	}
}

// claim takes a lock for a session; nil if somebody has it.
func (x *Index) claim(ctx context.Context, what string) (*pgxpool.Conn, error) {
	conn, err := x.write.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	var got bool
	if err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended($1, 7406151205))", x.config.Schema+" "+what).Scan(&got); err == nil && got {
		// The server ends a session that says nothing for long, and with it the claim of a process that hangs.
		if _, err = conn.Exec(ctx, "SELECT set_config('idle_session_timeout', $1, false)", millis(claimIdle)); err == nil {
			return conn, nil
		}
	}
	if got || err != nil {
		x.unlock(conn)
	} else {
		conn.Release()
	}
	return nil, err
}

// unlock gives a session back without its locks, or ends it.
func (x *Index) unlock(conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if !conn.Conn().IsClosed() {
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock_all(), set_config('idle_session_timeout', '0', false)"); err != nil {
			conn.Conn().Close(ctx)
		}
	}
	conn.Release()
}

func (c *claim) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.x.unlock(c.conn)
		c.conn = nil
	}
}

// change runs f in a transaction of the claim's session.
func (c *claim) change(ctx context.Context, f func(tx pgx.Tx) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return errReleased
	}
	err := pgx.BeginFunc(ctx, c.conn, f)
	if err != nil && ctx.Err() == nil && c.conn.Conn().IsClosed() {
		return fault.New(fault.Unavailable, "index_claim_lost", "the connection to the index was lost: %w", err)
	}
	return c.x.classify(err)
}

func (c *claim) Replace(ctx context.Context, documents []index.Document, sequence int64) error {
	var s *space
	err := c.change(ctx, func(tx pgx.Tx) (err error) {
		s, err = c.x.replace(ctx, tx, c.space, documents, sequence)
		return err
	})
	if err == nil {
		c.x.tendIfDue(s)
	}
	return err
}

func (c *claim) Drop(ctx context.Context) error {
	err := c.change(ctx, func(tx pgx.Tx) error {
		s := &space{}
		err := tx.QueryRow(ctx, "DELETE FROM spaces WHERE name = $1 RETURNING id", c.space).Scan(&s.id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil {
			_, err = tx.Exec(ctx, s.sql("DROP TABLE {d}, {c}, {v}, {t}"))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("drop space %s: %w", c.space, err)
	}
	return nil
}

func (x *Index) Replace(ctx context.Context, name string, documents []index.Document, sequence int64) error {
	c, err := x.Claim(ctx, name)
	if err != nil {
		return err
	}
	defer c.Release()
	return c.Replace(ctx, documents, sequence)
}

func (x *Index) Drop(ctx context.Context, name string) error {
	if !validSpace.MatchString(name) {
		return nil // it cannot exist
	}
	c, err := x.Claim(ctx, name)
	if err != nil {
		return err
	}
	defer c.Release()
	return c.Drop(ctx)
}
