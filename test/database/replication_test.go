package database

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"airfield/internal/ingest"
)

const goods = `CREATE TABLE goods (id int PRIMARY KEY, name text, note text, access text);
	CREATE PUBLICATION goods FOR TABLE goods;`

const replicated = `table: goods, key: [id], metadata: {tier: access}, replication: {slot: SLOT, publication: goods}`

// within is how soon a committed change has to be seen. The machine that runs the tests does other things too.
const within = 2 * time.Second

func TestChangesAreSeenAsTheyAreCommitted(t *testing.T) {
	s := install(t, goods+`INSERT INTO goods VALUES (1, 'anchor', 'holds ships', 'public'), (2, 'buoy', NULL, NULL);`, replicated)
	s.Start()
	s.awaitLive("1.json", "2.json")
	if got := s.document("1.json").Tier.String(); got != "public" {
		t.Errorf("the tier is %s", got)
	}
	var worst [3]time.Duration
	for i := range 5 {
		key := 100 + i
		word := fmt.Sprintf("lantern%d", i)
		s.exec(t, "INSERT INTO goods VALUES ($1, $2, 'glows')", key, word)
		worst[0] = max(worst[0], s.soon(word, true))
		s.exec(t, "UPDATE goods SET name = $2 WHERE id = $1", key, "beacon"+word)
		worst[1] = max(worst[1], s.soon("beacon"+word, true))
		if s.finds(word) {
			t.Errorf("%s is still found", word)
		}
		s.exec(t, "DELETE FROM goods WHERE id = $1", key)
		worst[2] = max(worst[2], s.soon("beacon"+word, false))
	}
	t.Logf("inserted, updated, deleted after at most %s, %s, %s", worst[0].Round(time.Millisecond), worst[1].Round(time.Millisecond), worst[2].Round(time.Millisecond))
	for _, took := range worst {
		if took > within {
			t.Errorf("a change was seen after %s", took)
		}
	}
	s.awaitLive("1.json", "2.json")

	// Another key is another document, and the old one goes.
	s.exec(t, "UPDATE goods SET id = 7 WHERE id = 2")
	s.awaitLive("1.json", "7.json")
	// What was rolled back is not seen; what was done and undone in one transaction neither.
	s.exec(t, "BEGIN; INSERT INTO goods VALUES (8, 'ghost'); ROLLBACK; BEGIN; INSERT INTO goods VALUES (9, 'phantom'); DELETE FROM goods WHERE id = 9; COMMIT; INSERT INTO goods VALUES (10, 'real')")
	s.soon("real", true)
	if s.finds("ghost") || s.finds("phantom") {
		t.Error("what never was is found")
	}
	// A column more.
	s.exec(t, "ALTER TABLE goods ADD COLUMN colour text; UPDATE goods SET colour = 'vermilion' WHERE id = 1")
	s.soon("vermilion", true)
	// The database may drop its log as we read.
	var now string
	if err := s.shop.QueryRow(t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&now); err != nil {
		t.Fatal(err)
	}
	s.Await("the slot to be confirmed", func() bool {
		var done bool
		err := s.shop.QueryRow(t.Context(), "SELECT confirmed_flush_lsn >= $1::pg_lsn FROM pg_replication_slots WHERE slot_name = $2", now, s.slot).Scan(&done)
		return err == nil && done
	})
	if s.source().State != ingest.SourceOK {
		t.Errorf("the source is %+v", s.source())
	}
	if log := s.Log(); strings.Contains(log, "host=") || strings.Contains(log, "postgres://") {
		t.Error("the address is in the log")
	}
}

func TestALargeValueThatDidNotChangeIsKept(t *testing.T) {
	s := install(t, goods, replicated)
	s.Start()
	s.Await("the source to be read", func() bool { return !s.source().ScannedAt.IsZero() })
	// Stored out of line, and so not sent with an update of something else.
	s.exec(t, "ALTER TABLE goods ALTER COLUMN note SET STORAGE EXTERNAL")
	s.exec(t, "INSERT INTO goods VALUES (1, 'atlas', $1)", strings.Repeat("meridian ", 3000))
	s.soon("meridian", true)
	s.exec(t, "UPDATE goods SET name = 'globe' WHERE id = 1")
	s.soon("globe", true)
	if !s.finds("meridian") {
		t.Error("the large value is gone")
	}
}

func TestWhatHappenedWhileTheProcessWasDownIsCaughtUp(t *testing.T) {
	s := install(t, goods+`INSERT INTO goods SELECT i, 'item'||i FROM generate_series(1, 40) i;`, replicated)
	s.Start()
	s.Await("40 documents to be live", func() bool { return len(s.live()) == 40 })
	for round := range 3 {
		scanned := s.source().ScannedAt
		s.exec(t, "INSERT INTO goods VALUES ($1, $2)", 1000+round, fmt.Sprintf("early%d", round)) // killed while it comes
		s.Kill()
		s.exec(t, "INSERT INTO goods VALUES ($1, $2)", 100+round, fmt.Sprintf("arrival%d", round))
		s.exec(t, "UPDATE goods SET name = $2 WHERE id = $1", 10+round, fmt.Sprintf("renovated%d", round))
		s.exec(t, "DELETE FROM goods WHERE id = $1", 20+round)
		s.Start()
		s.soon(fmt.Sprintf("early%d", round), true)
		s.soon(fmt.Sprintf("arrival%d", round), true)
		s.soon(fmt.Sprintf("renovated%d", round), true)
		s.soon(fmt.Sprintf("item%d", 20+round), false)
		if n := len(s.live()); n != 40+round+1 {
			t.Errorf("round %d: %d documents", round, n)
		}
		if !s.source().ScannedAt.Equal(scanned) {
			t.Error("the whole table was compared, where the slot had kept every change")
		}
	}
}

func TestAMassRemovalIsHeld(t *testing.T) {
	s := install(t, goods+`INSERT INTO goods SELECT i, 'item'||i FROM generate_series(1, 60) i;`, replicated)
	s.Start()
	s.Await("60 documents to be live", func() bool { return len(s.live()) == 60 })
	s.exec(t, "DELETE FROM goods WHERE id > 20")
	s.awaitState(ingest.SourceHeld, "40 of 60")
	s.exec(t, "INSERT INTO goods VALUES (61, 'newcomer')") // what is new is taken all the same
	s.soon("newcomer", true)
	if n := len(s.live()); n != 61 {
		t.Fatalf("%d documents are left", n)
	}
	s.Call(http.MethodPost, "/api/collections/shop/sources/goods/confirm", nil, nil)
	s.Await("21 documents to be left", func() bool { return len(s.live()) == 21 })
	s.awaitState(ingest.SourceOK, "")

	s.exec(t, "TRUNCATE goods")
	s.awaitState(ingest.SourceHeld, "21 of 21")
	s.Call(http.MethodPost, "/api/collections/shop/sources/goods/confirm", nil, nil)
	s.awaitLive()
}

func TestManySmallRemovalsAreHeldAsOneWouldBe(t *testing.T) {
	s := install(t, goods+`INSERT INTO goods SELECT i, 'item'||i FROM generate_series(1, 60) i;`, replicated)
	s.Start()
	s.Await("60 documents to be live", func() bool { return len(s.live()) == 60 })
	for i := range 60 {
		s.exec(t, "DELETE FROM goods WHERE id = $1", i+1)
	}
	s.awaitState(ingest.SourceHeld, "")
	if n := len(s.live()); n < 60-20 {
		t.Errorf("%d documents are left of 60", n)
	}
}

func TestALostSlotIsMadeAnewAndTheWholeCompared(t *testing.T) {
	s := install(t, goods+`INSERT INTO goods VALUES (1, 'anchor'), (2, 'buoy');`, replicated)
	s.Start()
	s.awaitLive("1.json", "2.json")
	s.Kill()
	s.Await("the slot to be free", func() bool {
		_, err := s.shop.Exec(t.Context(), "SELECT pg_drop_replication_slot($1)", s.slot)
		return err == nil
	})
	s.exec(t, "INSERT INTO goods VALUES (3, 'capstan'); DELETE FROM goods WHERE id = 1")
	s.Start()
	s.awaitLive("2.json", "3.json")
	s.awaitState(ingest.SourceOK, "was gone; the whole table was compared")
	s.exec(t, "INSERT INTO goods VALUES (4, 'davit')")
	s.soon("davit", true)
}

func TestOneProcessReadsASlotAndAnotherTakesOver(t *testing.T) {
	s := install(t, goods+`INSERT INTO goods VALUES (1, 'anchor');`, replicated)
	holder, err := s.shop.Exec(t.Context(), "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", s.slot)
	if err != nil {
		t.Fatal(holder, err)
	}
	other := install(t, "SELECT 1", replicated)
	other.Configure(config(s.slot, replicated))
	other.Env = s.Env
	s.Start()
	s.awaitLive("1.json")
	other.Start()
	s.exec(t, "INSERT INTO goods VALUES (2, 'buoy')")
	s.soon("buoy", true)
	if n := len(other.live()); n != 0 {
		t.Errorf("a second process has taken %d documents", n)
	}
	s.Kill()
	s.exec(t, "INSERT INTO goods VALUES (3, 'capstan')")
	other.soon("capstan", true)
	other.awaitLive("1.json", "2.json", "3.json")
	other.Kill()
}

func TestCheckSaysWhatKeepsATableFromBeingFollowed(t *testing.T) {
	s := install(t, `CREATE TABLE goods (id int PRIMARY KEY, name text); CREATE TABLE other (id int PRIMARY KEY);`, replicated)
	check := func(says string) {
		t.Helper()
		said, code := s.run("check")
		if (code == 0) == (says != "") || !strings.Contains(said, says) {
			t.Errorf("wanted %q, check ended with %d and said:\n%s", says, code, said)
		}
	}
	check("there is no column access; there are id, name")
	s.exec(t, "ALTER TABLE goods ADD access text, ADD note text")
	check(`CREATE PUBLICATION "goods" FOR TABLE "goods"`)
	s.Start()
	s.awaitState(ingest.SourceWarning, "there is no publication goods")
	s.exec(t, "CREATE PUBLICATION goods FOR TABLE other WITH (publish = 'insert')")
	check(`SET (publish = 'insert, update, delete, truncate')`)
	s.exec(t, "ALTER PUBLICATION goods SET (publish = 'insert, update, delete, truncate')")
	check(`ADD TABLE "goods"`)
	s.exec(t, "ALTER PUBLICATION goods ADD TABLE goods; ALTER TABLE goods REPLICA IDENTITY NOTHING")
	check("REPLICA IDENTITY FULL")
	s.exec(t, "ALTER TABLE goods REPLICA IDENTITY DEFAULT; INSERT INTO goods VALUES (1, 'anchor')")
	s.awaitLive("1.json") // by itself, now that it can
	s.awaitState(ingest.SourceOK, "")
	check("")
}
