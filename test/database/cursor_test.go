package database

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"airfield/internal/ingest"
)

const notes = `CREATE TABLE notes (id bigserial PRIMARY KEY, text text, labels text[], updated_at timestamptz NOT NULL DEFAULT now());`

const byCursor = `query: "SELECT id, text, labels, updated_at FROM notes WHERE text <> 'hidden'", key: [id], cursor: updated_at, metadata: {tags: labels}`

func TestNewRowsAreFoundByTheirCursorAlone(t *testing.T) {
	s := install(t, notes+`INSERT INTO notes (text, labels) VALUES ('first', '{quay,"dry dock"}'), ('hidden', NULL);`, byCursor)
	s.Start()
	s.awaitLive("1.json")
	if d := s.document("1.json"); !slices.Equal(d.Tags, []string{"quay", "dry dock"}) {
		t.Errorf("the tags are %q", d.Tags)
	}
	s.awaitState(ingest.SourceOK, "")
	scanned := s.source().ScannedAt

	// A transaction that begins before another and ends after it.
	late, err := pgx.ConnectConfig(t.Context(), s.shop.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close(t.Context())
	if _, err := late.Exec(t.Context(), "BEGIN; INSERT INTO notes (text) VALUES ('straggler')"); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "INSERT INTO notes (text) VALUES ('overtaker')")
	inserted := s.soon("overtaker", true)
	if _, err := late.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	inserted = max(inserted, s.soon("straggler", true))
	s.exec(t, "UPDATE notes SET text = 'revised', updated_at = now() WHERE id = 1")
	updated := s.soon("revised", true)
	t.Logf("inserted and updated after at most %s, %s", inserted.Round(time.Millisecond), updated.Round(time.Millisecond))
	if inserted > within || updated > within {
		t.Error("that is too late")
	}
	if !s.source().ScannedAt.Equal(scanned) {
		t.Error("the whole was compared")
	}
	if n := s.document("1.json").Newest.Number; n != 2 {
		t.Errorf("%d versions of a row that was changed once", n)
	}
}

func TestRowsThatAreGoneAreFoundByComparing(t *testing.T) {
	s := install(t, notes+`INSERT INTO notes (text) VALUES ('first'), ('second');`, byCursor+"}, interval: 1s, defaults: {type: note")
	s.Start()
	s.awaitLive("1.json", "2.json")
	s.exec(t, "DELETE FROM notes WHERE id = 1")
	s.awaitLive("2.json")
	s.exec(t, "UPDATE notes SET text = 'unstamped' WHERE id = 2") // whose cursor did not move
	s.soon("unstamped", true)
}

func TestAKillLosesNoRowAndBringsNoneTwice(t *testing.T) {
	s := install(t, notes+`INSERT INTO notes (text) SELECT 'cargo'||i FROM generate_series(1, 300) i;`, byCursor)
	s.Start()
	for round := range 4 {
		s.Await("some rows to be taken", func() bool { return len(s.live()) > 40*round })
		s.exec(t, "INSERT INTO notes (text) SELECT 'freight'||i FROM generate_series(1, 50) i")
		s.Kill()
		s.exec(t, "INSERT INTO notes (text) SELECT 'ballast'||i FROM generate_series(1, 50) i")
		s.Start()
	}
	s.Await("700 documents to be live", func() bool { return len(s.live()) == 700 })
	var list []ingest.Document
	s.Call(http.MethodGet, "/api/collections/shop/documents?limit=1000", nil, &list)
	for _, d := range list {
		if d.Newest.Number != 1 {
			t.Errorf("%s has %d versions", d.SourceKey, d.Newest.Number)
		}
	}
	s.awaitState(ingest.SourceOK, "")
}

func TestADatabaseThatIsAwayRemovesNothingAndIsComeBackTo(t *testing.T) {
	s := install(t, notes+`INSERT INTO notes (text) VALUES ('first');`, byCursor)
	s.Start()
	s.awaitLive("1.json")
	config := s.shop.Config().Copy()
	name := config.Database
	config.Database = "postgres"
	admin, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	s.exec(t, "INSERT INTO notes (text) VALUES ('second')")
	for _, sql := range []string{"ALTER DATABASE " + name + " ALLOW_CONNECTIONS false", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "' AND application_name = 'airfield'"} {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitState(ingest.SourceWarning, "not currently accepting connections")
	if !s.finds("first") {
		t.Error("a document went with the database")
	}
	if said, code := s.run("check"); code == 0 || !strings.Contains(said, "not currently accepting connections") {
		t.Errorf("check: %d %s", code, said)
	}
	if _, err := admin.Exec(t.Context(), "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true"); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "INSERT INTO notes (text) VALUES ('third')")
	s.awaitLive("1.json", "2.json", "3.json")
	s.awaitState(ingest.SourceOK, "")
	if n := strings.Count(s.Log(), "not currently accepting"); n > 3 {
		t.Errorf("the log says it %d times", n)
	}
}

func TestKeysOfSeveralColumnsAndWithAnythingInThem(t *testing.T) {
	values := []string{"a/b", "..", "", "é,ü", "x%2Fy", "a b", `back\slash`, "quote'\"", "line\nbreak", "?q=1&r#s", "{,}", "日本", "NULL"}
	for _, how := range []string{`table: public.pairs, key: [left, "Right"]`, `table: pairs, key: [left, "Right"], replication: {slot: SLOT, publication: pairs}`} {
		s := install(t, `CREATE TABLE pairs ("left" text, "Right" text, word text, PRIMARY KEY ("left", "Right")); CREATE PUBLICATION pairs FOR TABLE pairs;`, how+`}, interval: 1s, defaults: {type: pair`)
		s.Start()
		var want []string
		for i, v := range values {
			other := values[(i+1)%len(values)]
			s.exec(t, "INSERT INTO pairs VALUES ($1, $2, $3)", v, other, fmt.Sprintf("word%d", i))
			want = append(want, url.PathEscape(v)+","+url.PathEscape(other)+".json")
		}
		s.awaitLive(want...)
		s.exec(t, "UPDATE pairs SET word = 'changed' || word")
		for i := range values {
			s.soon(fmt.Sprintf("changedword%d", i), true)
		}
		s.exec(t, `DELETE FROM pairs WHERE "left" <> 'a/b'`)
		s.awaitLive(want[0])
		s.Kill()
	}
}
