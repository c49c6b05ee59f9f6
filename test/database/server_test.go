package database

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"airfield/internal/db/dbtest"
	"airfield/internal/id"
	"airfield/internal/ingest"
	"airfield/test/binary"
)

func TestMain(m *testing.M) { binary.Main(m) }

// installation is a server whose one collection, shop, follows a table of a database.
type installation struct {
	*binary.Server
	shop *pgx.Conn
	slot string
}

// install makes a database with what setup says, and a server that reads it. In the configuration SLOT is a slot's name.
func install(t *testing.T, setup, sql string) *installation {
	t.Helper()
	address := dbtest.Postgres(t)
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	s := &installation{shop: conn, slot: id.New("slot")}
	t.Cleanup(func() { // before the database goes, which the slot would keep
		if s.Server != nil {
			s.Kill()
		}
		conn.Exec(context.Background(), "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", s.slot)
		conn.Close(context.Background())
	})
	s.exec(t, setup)
	s.Server = binary.Install(t, config(s.slot, sql))
	s.Env = []string{"SHOP_URL=" + address}
	return s
}

func config(slot, sql string) string {
	return "collections:\n  shop:\n    sources:\n      goods: {sql: {url: 'env:SHOP_URL', " + strings.ReplaceAll(sql, "SLOT", slot) + "}}\n"
}

func (s *installation) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := s.shop.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// live are the names of the documents whose newest version is live.
func (s *installation) live() []string {
	s.T.Helper()
	var list []ingest.Document
	s.Call(http.MethodGet, "/api/collections/shop/documents?limit=1000", nil, &list)
	keys := []string{}
	for _, d := range list {
		if d.Newest.State == ingest.Live {
			keys = append(keys, d.SourceKey)
		}
	}
	slices.Sort(keys)
	return keys
}

func (s *installation) document(key string) (found ingest.Document) {
	s.T.Helper()
	var list []ingest.Document
	s.Call(http.MethodGet, "/api/collections/shop/documents?limit=1000", nil, &list)
	for _, d := range list {
		if d.SourceKey == key {
			found = d
		}
	}
	return found
}

func (s *installation) awaitLive(keys ...string) {
	s.T.Helper()
	keys = slices.Sorted(slices.Values(keys)) // theirs stays as it is
	s.Await(strings.Join(keys, ", ")+" to be live", func() bool { return slices.Equal(s.live(), keys) })
}

// finds reports whether a keyword search finds anything.
func (s *installation) finds(word string) bool {
	s.T.Helper()
	var answer struct{ Data []any }
	s.Call(http.MethodPost, "/v1/vector_stores/shop/search", map[string]any{"query": word, "mode": "keyword"}, &answer)
	return len(answer.Data) > 0
}

// soon waits until a word is found, or is not any more, and is how long that took.
func (s *installation) soon(word string, found bool) time.Duration {
	s.T.Helper()
	began := time.Now()
	s.Await(fmt.Sprintf("search of %s to be %v", word, found), func() bool { return s.finds(word) == found })
	return time.Since(began)
}

func (s *installation) source() ingest.Source {
	s.T.Helper()
	var list []ingest.Source
	s.Call(http.MethodGet, "/api/sources", nil, &list)
	if len(list) != 1 {
		s.T.Fatalf("%d sources", len(list))
	}
	return list[0]
}

// awaitState waits until the source is in a state and its message says something.
func (s *installation) awaitState(state, says string) {
	s.T.Helper()
	var last ingest.Source
	defer func() {
		if s.T.Failed() {
			s.T.Logf("the source is %s: %s", last.State, last.Message)
		}
	}()
	s.Await("the source to be "+state+": "+says, func() bool {
		last = s.source()
		return last.State == state && strings.Contains(last.Message, says)
	})
}

// run runs the binary on the installation's configuration.
func (s *installation) run(args ...string) (said string, code int) {
	s.T.Helper()
	cmd := exec.CommandContext(s.T.Context(), binary.Build(s.T), append(args, "--config", s.Path("airfield.yaml"))...)
	cmd.Env = append(os.Environ(), s.Env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		s.T.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
