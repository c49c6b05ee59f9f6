package pgvector

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"airfield/internal/caller"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/index"
	"airfield/internal/index/indextest"
)

const gen = "gen_a"

func passage(id, text string, vector ...float32) index.Document {
	return index.Document{ID: id, Tier: caller.Public, Chunks: []index.Chunk{{ID: id + ".0", Text: text, Vector: vector}}}
}

func put(t testing.TB, x *Index, sequence int64, documents ...index.Document) {
	t.Helper()
	if err := x.Replace(t.Context(), gen, documents, sequence); err != nil {
		t.Fatal(err)
	}
}

func find(t testing.TB, x *Index, q index.Query) index.Hits {
	t.Helper()
	q.Space = gen
	if q.Clearance == caller.None {
		q.Clearance = caller.Restricted
	}
	hits, err := x.Search(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

func chunks(hits []index.Hit) (ids []string) {
	for _, h := range hits {
		ids = append(ids, h.ChunkID)
	}
	slices.Sort(ids)
	return ids
}

// exec speaks to the database past the index.
func exec(t testing.TB, url, query string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func TestProcessesShareOneIndex(t *testing.T) {
	url := dbtest.Postgres(t)
	var handles [4]*Index
	var opening sync.WaitGroup
	for i := range handles { // all at once on an empty database
		opening.Go(func() { handles[i] = open(t, url) })
	}
	opening.Wait()
	a, b := handles[0], handles[1]
	put(t, a, 1, passage("d", "a lighthouse", 1, 0))
	if got := find(t, b, index.Query{Text: "lighthouses", Vector: []float32{1, 0}}); len(got.Keyword) != 1 || len(got.Vector) != 1 {
		t.Errorf("what one process put in the other does not find: %+v", got)
	}
	put(t, b, 2, index.Document{ID: "d"})
	if got := find(t, a, index.Query{Text: "lighthouse", Vector: []float32{1, 0}}); len(got.Keyword)+len(got.Vector) != 0 {
		t.Errorf("what one process removed the other still finds: %+v", got)
	}
	if err := b.Drop(t.Context(), gen); err != nil {
		t.Fatal(err)
	}
	indextest.Compete(t, a, b, handles[2])
}

func TestALostClaimChangesNothing(t *testing.T) {
	url := dbtest.Postgres(t)
	a, b := open(t, url), open(t, url)
	put(t, a, 1, passage("d", "old"))
	stale, err := a.Claim(t.Context(), gen)
	if err != nil {
		t.Fatal(err)
	}
	defer stale.Release()
	if conn, err := b.claim(t.Context(), "feed "+gen); conn != nil || err != nil {
		t.Fatal("claimed twice", err)
	}
	exec(t, url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
	fresh, err := b.Claim(t.Context(), gen)
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Release()
	if err := fresh.Replace(t.Context(), []index.Document{passage("d", "newest")}, 3); err != nil {
		t.Fatal(err)
	}
	if err := stale.Replace(t.Context(), []index.Document{passage("d", "stale")}, 2); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a claim that was lost: %v", err)
	}
	if err := stale.Drop(t.Context()); err == nil {
		t.Error("a claim that was lost still drops")
	}
	if got := find(t, a, index.Query{Text: "newest stale old"}); len(got.Keyword) != 1 || len(find(t, a, index.Query{Text: "newest"}).Keyword) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAClaimWhoseOwnerHangsIsLost(t *testing.T) {
	url := dbtest.Postgres(t)
	a := open(t, url)
	stale, err := a.Claim(t.Context(), gen)
	if err != nil {
		t.Fatal(err)
	}
	defer stale.Release()
	var timeout string
	if err := stale.(*claim).conn.QueryRow(t.Context(), "SHOW idle_session_timeout").Scan(&timeout); err != nil || timeout != "1min" {
		t.Errorf("a claim ends when nothing is heard of it for %q, %v", timeout, err)
	}
	stale.Release()
	if err := a.write.QueryRow(t.Context(), "SHOW idle_session_timeout").Scan(&timeout); err != nil || timeout != "0" {
		t.Errorf("a session without a claim ends after %q, %v", timeout, err)
	}
}

func TestASpaceThatIsBusyForLongIsSaidToBe(t *testing.T) {
	a := open(t, dbtest.Postgres(t))
	held, err := a.Claim(t.Context(), gen)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := a.Claim(ctx, gen); err == nil || index.IsBusy(err) {
		t.Errorf("the caller's own end is not the space's: %v", err)
	}
	if !index.IsBusy(fmt.Errorf("claim: %w", index.Busy(gen))) {
		t.Error("a busy space is not told")
	}
}

func TestTextsThatPostgreSQLCannotHold(t *testing.T) {
	x := open(t, dbtest.Postgres(t))
	odd := []string{"nul\x00in", "\xff\xfe", escape + "6e", "n", "it's \\ 'quoted' & | ! :*", strings.Repeat("ü", 100)}
	var documents []index.Document
	for i, s := range odd {
		d := passage(s, fmt.Sprintf("common %s word%d don't \\ 'a':* \x1f2 \x00 end", s, i), 1, float32(i))
		d.Chunks[0].ID, d.Attributes = s, map[string]any{"of": s, s: "key", "list": []string{s, "both"}}
		documents = append(documents, d)
	}
	put(t, x, 1, documents...)
	if got := chunks(find(t, x, index.Query{Text: "common"}).Keyword); len(got) != len(odd) {
		t.Errorf("%q", got)
	}
	for i, s := range odd {
		for what, f := range map[string]index.Filter{"value": {Type: index.Eq, Key: "of", Value: s}, "key": {Type: index.In, Key: s, Value: []any{"key"}}, "list": {Type: index.In, Key: "list", Value: []any{s}}} {
			if got := chunks(find(t, x, index.Query{Text: "common", Filter: f}).Keyword); !slices.Equal(got, []string{s}) {
				t.Errorf("%s %q: %q", what, s, got)
			}
		}
		if n, err := x.Count(t.Context(), gen, s); n != 1 || err != nil {
			t.Errorf("%q: %d, %v", s, n, err)
		}
		if got := chunks(find(t, x, index.Query{Text: fmt.Sprintf("'word%d' \\ don't:* & \x00 \xff", i), Limit: 1}).Keyword); !slices.Equal(got, []string{s}) {
			t.Errorf("by its word %q: %q", s, got)
		}
	}
}

func TestWhatIsMissingIsSaidAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		spoil string
		code  string
		hint  string
	}{
		"a role that may not make the extension": {"CREATE ROLE %[1]s LOGIN", "index_extension", "CREATE EXTENSION vector"},
		"a role that may not make the schema":    {"CREATE EXTENSION vector; CREATE ROLE %[1]s LOGIN", "index_schema", "CREATE on the database"},
		"a schema of somebody else":              {"CREATE SCHEMA airfield_index; CREATE TABLE airfield_index.theirs (n int); CREATE ROLE %[1]s LOGIN SUPERUSER", "index_schema", "index.schema"},
		"a newer index":                          {"CREATE SCHEMA airfield_index; CREATE TABLE airfield_index.spaces (n int); COMMENT ON SCHEMA airfield_index IS 'airfield index 9'; CREATE ROLE %[1]s LOGIN SUPERUSER", "index_schema", "newer"},
	} {
		t.Run(name, func(t *testing.T) {
			url := dbtest.Postgres(t)
			role := fmt.Sprintf("guest_%d", time.Now().UnixNano())
			exec(t, url, fmt.Sprintf(c.spoil, role))
			defer exec(t, url, "DROP OWNED BY "+role+"; DROP ROLE "+role)
			config := index.DefaultConfig()
			config.URL = strings.Replace(url, "postgres@", role+"@", 1)
			_, err := Open(t.Context(), config, slog.New(slog.DiscardHandler))
			f := fault.As(err)
			if err == nil || f.Code != c.code || !strings.Contains(f.Hint+f.Text, c.hint) {
				t.Errorf("%v (hint %q)", err, f.Hint)
			}
		})
	}
}

func TestAnEmptySchemaMadeForTheIndexIsTaken(t *testing.T) {
	url := dbtest.Postgres(t)
	role := fmt.Sprintf("tenant_%d", time.Now().UnixNano())
	exec(t, url, fmt.Sprintf("CREATE EXTENSION vector; CREATE ROLE %[1]s LOGIN; CREATE SCHEMA airfield_index AUTHORIZATION %[1]s", role))
	x := open(t, strings.Replace(url, "postgres@", role+"@", 1))
	put(t, x, 1, passage("d", "found"))
	if len(find(t, x, index.Query{Text: "found"}).Keyword) != 1 {
		t.Error("not found")
	}
	x.Close()
	exec(t, url, "DROP OWNED BY "+role+"; DROP ROLE "+role)
}

func TestAnOlderFormatIsBuiltAnew(t *testing.T) {
	url := dbtest.Postgres(t)
	x := open(t, url)
	put(t, x, 7, passage("d", "text"))
	x.Close()
	exec(t, url, "COMMENT ON SCHEMA airfield_index IS 'airfield index 0001'")
	if n, err := open(t, url).Sequence(t.Context(), gen); n != 7 || err != nil {
		t.Errorf("the same format: %d, %v", n, err)
	}
	exec(t, url, "COMMENT ON SCHEMA airfield_index IS 'an index'")
	if _, err := Open(t.Context(), x.config, slog.New(slog.DiscardHandler)); !fault.Is(err, fault.Conflict) {
		t.Errorf("somebody else's: %v", err)
	}
}

func TestASlowStatementEnds(t *testing.T) {
	url := dbtest.Postgres(t)
	c := index.DefaultConfig()
	c.URL, c.Timeout = url, 200*time.Millisecond
	x, err := Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	put(t, x, 1, passage("d", "text"))
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE airfield_index.spaces"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := x.Search(t.Context(), index.Query{Space: gen, Text: "text", Clearance: caller.Public}); !fault.Is(err, fault.Unavailable) || time.Since(start) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
	tx.Rollback(t.Context())
	if got := find(t, x, index.Query{Text: "text"}); len(got.Keyword) != 1 {
		t.Errorf("afterwards: %+v", got)
	}
}
