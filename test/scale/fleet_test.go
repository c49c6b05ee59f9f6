package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"airfield/internal/api/admin"
	"airfield/internal/db"
	"airfield/internal/llm"
	"airfield/internal/money"
	"airfield/test/binary"
	"airfield/test/upstream"
)

func TestMain(m *testing.M) { binary.Main(m) }

// fleet are the processes of one installation, with the provider they call and an own way into their database.
type fleet struct {
	t        *testing.T
	upstream *upstream.Upstream
	config   string
	url      string // of the database, as we reach it
	all      []*binary.Server
	key      string // of the workflow team
	db       *db.DB
}

const team = "business_units: {product: {}}\n"

// models has one, at prices in dollars per million tokens.
func models(u *upstream.Upstream, input, output int) string {
	return fmt.Sprintf("providers:\n%smodels:\n  chat: {deployments: [{provider: mock, prices: {input: %d, output: %d}}]}\n", u.Provider("mock"), input, output)
}

// launch starts processes on the stores that config names.
func launch(t *testing.T, n int, u *upstream.Upstream, url, config string) *fleet {
	t.Helper()
	f := &fleet{t: t, upstream: u, config: config, url: url, all: binary.Replicas(t, n, config)}
	if url == "" {
		f.url = "sqlite:" + f.all[0].Path("data", "airfield.db")
	}
	c := db.Default()
	c.URL = f.url
	var err error
	if f.db, err = db.Open(t.Context(), c, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.db.Close() })
	f.key = f.all[0].Key("team")
	return f
}

// stores is the part of the configuration that names a database and a folder for documents.
func stores(t *testing.T, url string) string {
	return fmt.Sprintf("database: {url: %q}\nbucket: {url: %q}\n", url, "file:"+t.TempDir())
}

// question is a request with a cap, half of them streams.
func question(n, most int) []byte {
	return upstream.Question("", n, n%2 == 0, fmt.Sprintf(`"max_tokens":%d`, most))
}

// volley has every process asked at the same time, each by its share of n clients, and returns what they got.
func (f *fleet) volley(n, most int, header ...string) []binary.Exchange {
	f.t.Helper()
	seen := make([]binary.Exchange, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			var err error
			if seen[i], err = f.all[i%len(f.all)].Chat(context.Background(), question(i, most), append(binary.As(f.key), header...)...); err != nil {
				f.t.Error(err)
			}
		})
	}
	wait.Wait()
	return seen
}

// quiet waits until the provider knows that every exchange is over: who asked may know it before.
func (f *fleet) quiet() {
	f.t.Helper()
	f.all[0].Await("the provider to have ended", func() bool {
		c := f.upstream.Chats()
		return c.Begun == c.Whole+c.Refused+c.Broken+c.Left
	})
}

// flush brings everything that ended into the database.
func (f *fleet) flush() {
	f.t.Helper()
	for _, s := range f.all {
		if s.Running() {
			s.Call(http.MethodPost, "/api/flush", nil, nil)
		}
	}
}

// rows is the call log, by id.
func (f *fleet) rows() map[string]admin.Call {
	f.t.Helper()
	f.flush()
	rows := map[string]admin.Call{}
	for before := ""; ; {
		var page admin.CallPage
		f.running().Call(http.MethodGet, "/api/calls?model=chat&limit=1000&before="+before, nil, &page)
		for _, c := range page.Calls {
			if _, twice := rows[c.ID]; twice {
				f.t.Errorf("call %s is listed twice", c.ID)
			}
			rows[c.ID] = c
		}
		if before = page.Next; before == "" {
			return rows
		}
	}
}

// running is some process that does.
func (f *fleet) running() *binary.Server {
	for _, s := range f.all {
		if s.Running() {
			return s
		}
	}
	f.t.Fatal("no process runs")
	return nil
}

// number reads one from the database, as of one moment.
func (f *fleet) number(query string, args ...any) (n int64) {
	f.t.Helper()
	if err := f.db.QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		f.t.Fatal(err)
	}
	return n
}

// budget is that of the workflow team, with its one account.
func (f *fleet) budget() admin.Budget {
	f.t.Helper()
	return f.budgetOf(f.running())
}

func (f *fleet) budgetOf(s *binary.Server) admin.Budget {
	f.t.Helper()
	var list []admin.Budget
	s.Call(http.MethodGet, "/api/budgets?name=hard", nil, &list)
	if len(list) != 1 || len(list[0].Accounts) != 1 {
		f.t.Fatalf("%+v", list)
	}
	return list[0]
}

// costs is the sum of the roll-ups.
func (f *fleet) costs() (sum money.Nanos) {
	f.t.Helper()
	var c admin.Costs
	f.running().Call(http.MethodGet, "/api/costs?by=model", nil, &c)
	for _, row := range c.Rows {
		sum = sum.Add(row.CostUSD)
	}
	return sum
}

func dollars(t *testing.T, text string) money.Nanos {
	t.Helper()
	n, err := money.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// refusal reads the record of a decision out of an error.
func refusal(e binary.Exchange) *llm.Decision {
	var body struct {
		Error struct {
			Code     string
			Airfield *llm.Decision
		}
	}
	if json.Unmarshal([]byte(e.Text), &body) != nil || body.Error.Code != "budget_exceeded" {
		return nil
	}
	return body.Error.Airfield
}

// code is that of an error.
func code(e binary.Exchange) string {
	var body struct{ Error struct{ Code string } }
	if json.Unmarshal([]byte(e.Text), &body) != nil {
		return strings.TrimSpace(e.Text)
	}
	return body.Error.Code
}
