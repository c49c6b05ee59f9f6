package fault

import (
	"database/sql"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"airfield/test/binary"
	"airfield/test/upstream"
)

// While another process holds the database's write lock nothing drains, and the journal fills up to its bound. Calls that
// were let in end well and have their rows with what they used, though the journal had no room for their ends.
func TestAFullJournalRefusesClearlyAndEveryCallThatWasLetInHasItsRow(t *testing.T) {
	u := well(t)
	s := open(t, quick+"journal: {segment_bytes: 32768, max_bytes: 65536}\nproviders:\n"+u.Provider("mock")+"models:\n"+model("chat", "", "mock", "chat")+team+
		"workflows: {team: {business_unit: product, clearance: internal}}\n")
	if e, _ := s.ask(question("chat", true, "Is all in order?"+polite)); !e.Whole {
		t.Fatal(e.Text)
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: s.Path("data", "airfield.db")}).EscapedPath()+"?_txlock=immediate&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lock, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback()

	u.Behave(func(*upstream.Request) upstream.Behaviour { return upstream.Behaviour{Between: 700 * time.Millisecond} })
	inFlight := make([]*departure, 8)
	for i := range inFlight {
		inFlight[i] = s.start(question("chat", i%2 == 0, "Is it slow?"+polite))
	}
	s.Await("calls to be in flight", func() bool { return u.Chats().Now == int64(len(inFlight)) })
	u.Behave(nil)
	var answered []string
	refused := 0
	for n := 0; refused < 5; n++ {
		e, err := s.Chat(t.Context(), question("chat", n%2 == 0, "Is there room?"+polite), binary.As(s.key)...)
		switch {
		case e.Whole && n < 1000:
			answered = append(answered, e.ID)
		case e.Status == http.StatusServiceUnavailable && strings.Contains(e.Text, "journal_full") && strings.Contains(e.Text, "journal.max_bytes"):
			refused++
		default:
			t.Fatalf("call %d: %d %s %v", n, e.Status, e.Text, err)
		}
	}
	full := u.Chats()
	for i, d := range inFlight {
		<-d.over
		if d.id == "" || !strings.Contains(d.text, "word") || i%2 == 0 && !strings.Contains(d.text, "[DONE]") || strings.Contains(d.text, `"error"`) {
			t.Errorf("call %d in flight: %q", i, d.text)
		}
		answered = append(answered, d.id)
	}
	if used, most := s.Metric("airfield_journal_bytes"), s.Metric("airfield_journal_limit_bytes"); most != 65536 || used > most || used < most/2 {
		t.Errorf("the journal says that it has %v of %v bytes", used, most)
	}
	if got := u.Chats().Begun; got != full.Begun || int(got) != len(answered)+1 {
		t.Errorf("%d calls were sent, %d answered", got, len(answered)+1)
	}
	t.Logf("full after %d calls; %d were in flight", len(answered)-len(inFlight), len(inFlight))

	lock.Rollback()
	s.Await("calls to be taken again", func() bool {
		e, err := s.Chat(t.Context(), question("chat", false, "Is it well again?"+polite), binary.As(s.key)...)
		return err == nil && e.Whole
	})
	for _, id := range answered {
		if row := s.row(id); row.Outcome != "ok" || row.UsageSource != "reported" || row.InputTokens != 11 || row.OutputTokens != 7 {
			t.Errorf("%s is logged as %s, %d+%d tokens %s", id, row.Outcome, row.InputTokens, row.OutputTokens, row.UsageSource)
		}
	}
	s.Stop()
	rows, costs, ledger := s.ledger()
	for id, outcome := range rows {
		if outcome == "cut" || outcome == "" {
			t.Errorf("%s is logged as %q", id, outcome)
		}
	}
	if costs != ledger {
		t.Errorf("the ledger holds %s, the rows cost %s", ledger, costs)
	}
}
