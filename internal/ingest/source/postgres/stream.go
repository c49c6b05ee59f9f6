package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"airfield/internal/fault"
)

const (
	statusEvery = 10 * time.Second // the server is told how far we are, and asked whether it is there
	silence     = 45 * time.Second // after which it is not
	mostKeys    = 10_000           // that are remembered; of more changes than that the whole is compared
)

// codeInUse is the database's code for a slot that somebody else reads.
const codeInUse = "55006"

// batch is what transactions have touched since the last one was taken.
type batch struct {
	keys  map[string]struct{} // documents of the rows
	whole bool                // everything has to be compared: a truncation, a row we cannot name, or too many
	at    uint64              // where the log was read to
}

func (b *batch) touch(key string) {
	if b.whole {
		return
	}
	if b.keys == nil {
		b.keys = map[string]struct{}{}
	}
	if b.keys[key] = struct{}{}; len(b.keys) > mostKeys {
		b.all()
	}
}

func (b *batch) all() { b.whole, b.keys = true, nil }

// stream follows a slot. It never waits for who takes the batches: it remembers which rows were touched, not what they
// were, and who takes them reads them as they are then.
type stream struct {
	conn      *pgconn.PgConn
	schema    string
	name      string
	key       []string
	relations map[uint32]followed
	notify    chan struct{} // holds a value while something may be taken

	mu        sync.Mutex
	open      batch // of the transaction under way
	inside    bool  // a transaction is under way
	ready     batch // of those that ended
	confirmed uint64
}

// followed is where the key's columns are in a table's rows.
type followed struct {
	ours bool
	at   []int // nil where the identity does not cover the key
}

// follow starts to read a slot, from where it was confirmed.
func (t *Table) follow(ctx context.Context) (*stream, error) {
	where, found, err := t.one(ctx, "find the table", "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)", tableName(t.config.Table))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fault.New(fault.NotFound, "sql_table", "there is no table %s", t.config.Table)
	}
	conn, err := dial(ctx, t.config, map[string]string{"replication": "database"})
	if err != nil {
		return nil, err
	}
	s := &stream{conn: conn, schema: where[0], name: where[1], key: t.config.Key, relations: map[uint32]followed{}, notify: make(chan struct{}, 1)}
	if err := s.start(ctx, t.config.Replication.Slot, t.config.Replication.Publication); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stream) start(ctx context.Context, slot, publication string) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	names := "'" + strings.ReplaceAll(quote(publication), "'", "''") + "'"
	s.conn.Frontend().SendQuery(&pgproto3.Query{String: "START_REPLICATION SLOT " + quote(slot) + " LOGICAL 0/0 (proto_version '1', publication_names " + names + ")"})
	if err := s.conn.Frontend().Flush(); err != nil {
		return explain("follow the slot "+slot, err)
	}
	for {
		m, err := s.conn.ReceiveMessage(ctx)
		if err != nil {
			return explain("follow the slot "+slot, err)
		}
		switch m := m.(type) {
		case *pgproto3.CopyBothResponse:
			return nil
		case *pgproto3.ErrorResponse:
			return explain("follow the slot "+slot, pgconn.ErrorResponseToPgError(m))
		}
	}
}

func (s *stream) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.conn.Close(ctx)
}

// run reads until ctx ends or the connection does.
func (s *stream) run(ctx context.Context) error {
	heard := time.Now()
	var told time.Time
	var toldAt uint64
	for ctx.Err() == nil {
		s.mu.Lock()
		at := s.confirmed
		s.mu.Unlock()
		if at != toldAt || time.Since(told) >= statusEvery {
			if err := s.status(at); err != nil {
				return err
			}
			told, toldAt = time.Now(), at
		}
		const glance = 500 * time.Millisecond // also the longest that a confirmation waits
		within, cancel := context.WithTimeout(ctx, glance)
		m, err := s.conn.ReceiveMessage(within)
		cancel()
		if err != nil {
			if pgconn.Timeout(err) && !s.conn.IsClosed() {
				if time.Since(heard) > silence {
					return fault.New(fault.Unavailable, "sql_away", "the replication stream has been silent for %s", silence)
				}
				continue
			}
			if ctx.Err() != nil {
				break
			}
			return explain("follow the changes", err)
		}
		heard = time.Now()
		switch m := m.(type) {
		case *pgproto3.CopyData:
			asked, err := s.data(m.Data)
			if err != nil {
				return err
			}
			if asked {
				told = time.Time{}
			}
		case *pgproto3.ErrorResponse:
			return explain("follow the changes", pgconn.ErrorResponseToPgError(m))
		case *pgproto3.CopyDone:
			return fault.New(fault.Unavailable, "sql_away", "the database ended the replication stream")
		}
	}
	return context.Cause(ctx)
}

// status tells the server what is durable here; it may drop its log up to there.
func (s *stream) status(at uint64) error {
	b := []byte{'r'}
	for range 3 {
		b = binary.BigEndian.AppendUint64(b, at)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Microseconds()))
	s.conn.Frontend().Send(&pgproto3.CopyData{Data: append(b, 1)})
	return explain("confirm what was read", s.conn.Frontend().Flush())
}

// data reads what came; asked says that the server wants to hear of us.
func (s *stream) data(b []byte) (asked bool, err error) {
	if len(b) == 0 {
		return false, errTorn
	}
	const head = 1 + 8 + 8 + 8
	switch b[0] {
	case 'w':
		if len(b) < head {
			return false, errTorn
		}
		m, err := parse(b[head:])
		if err != nil {
			return false, err
		}
		return false, s.heard(m)
	case 'k':
		if len(b) < 1+8+8+1 {
			return false, errTorn
		}
		s.idle(binary.BigEndian.Uint64(b[1:]))
		return b[17] != 0, nil
	}
	return false, nil
}

// idle notes that the log has come so far without a change that concerns us.
func (s *stream) idle(at uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inside && at > max(s.ready.at, s.confirmed) {
		s.ready.at = at
		s.wake()
	}
}

func (s *stream) wake() {
	select {
	case s.notify <- struct{}{}:
	default:
	}
}

// heard takes one message in.
func (s *stream) heard(m any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m := m.(type) {
	case begin:
		s.inside, s.open = true, batch{}
	case commit:
		for key := range s.open.keys {
			s.ready.touch(key)
		}
		if s.open.whole {
			s.ready.all()
		}
		s.ready.at = max(s.ready.at, m.end)
		s.inside, s.open = false, batch{}
		s.wake()
	case relation:
		return s.relation(m)
	case change:
		if !s.relations[m.relation].ours {
			return nil
		}
		s.tuple(m.relation, m.old, true)
		s.tuple(m.relation, m.new, m.old == nil)
	case truncate:
		for _, oid := range m.relations {
			if s.relations[oid].ours {
				s.open.all()
			}
		}
	}
	return nil
}

func (s *stream) relation(m relation) error {
	f := followed{ours: m.schema == s.schema && m.name == s.name}
	if f.ours {
		for _, name := range s.key {
			found := -1
			for i, c := range m.columns {
				if c.name == name {
					found = i
				}
			}
			if found < 0 || !m.columns[found].identity {
				return noIdentity(s.schema+"."+s.name, name)
			}
			f.at = append(f.at, found)
		}
	}
	s.relations[m.oid] = f
	return nil
}

func noIdentity(table, column string) error {
	return fault.New(fault.Invalid, "sql_identity", "the replica identity of %s does not hold the key's column %s, so that deletions could not be told", table, column).
		Hinted("make key the primary key, or ALTER TABLE %s REPLICA IDENTITY FULL", table)
}

// tuple notes the row that a tuple is of. A key that was not sent because it did not change is in the other tuple.
func (s *stream) tuple(oid uint32, tuple []datum, needed bool) {
	if tuple == nil {
		return
	}
	var values []string
	for _, i := range s.relations[oid].at {
		if i >= len(tuple) || tuple[i].kind != 't' {
			if needed || i >= len(tuple) || tuple[i].kind != 'u' {
				s.open.all()
			}
			return
		}
		values = append(values, string(tuple[i].data))
	}
	s.open.touch(itemKey(values))
}

// take gives what was touched since.
func (s *stream) take() batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.ready
	s.ready = batch{at: b.at}
	return b
}

// confirm says that everything up to a place in the log is durable here.
func (s *stream) confirm(at uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirmed = max(s.confirmed, at)
}

// place reads a place in the log as the database writes it.
func place(text string) (uint64, error) {
	high, low, ok := strings.Cut(text, "/")
	h, err := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err != nil || err2 != nil {
		return 0, fmt.Errorf("%q is no place in the log", text)
	}
	return h<<32 | l, nil
}

func placeText(at uint64) string { return fmt.Sprintf("%X/%X", at>>32, at&0xffffffff) }
