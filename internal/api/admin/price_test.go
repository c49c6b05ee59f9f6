package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/cost"
	"airfield/internal/fault"
	"airfield/internal/observe"
)

// tariff is a book of prices whose repricing goes as many batches as it is told, and then ends with an error or without.
type tariff struct {
	Prices
	asked   *observe.Repricing
	batches int64
	err     error
}

func (p tariff) Reprice(_ context.Context, f observe.Repricing, report func(observe.Repriced) error) (observe.Repriced, error) {
	*p.asked = f
	sum := observe.Repriced{}
	for range p.batches {
		sum.Looked += 500
		if err := report(sum); err != nil {
			return sum, err
		}
	}
	return sum, p.err
}

func (p tariff) Import(_ context.Context, f *cost.File, o cost.ImportOptions) (cost.ImportReport, error) {
	return cost.ImportReport{Format: f.Format, DryRun: o.DryRun, New: int64(len(f.Rows))}, nil
}

// idle is a process that has nothing to flush.
type idle struct{ System }

func (idle) Flush(context.Context) error { return nil }

// post sends a body to a door with a book of prices.
func post(t *testing.T, p Prices, target, body string) (*http.Response, string) {
	t.Helper()
	d := &Door{Log: slog.New(slog.DiscardHandler), Prices: p, System: idle{}, Authentication: func(context.Context, string) (*caller.Caller, error) {
		return &caller.Caller{Role: caller.Admin}, nil
	}}
	server := httptest.NewServer(d.Handler())
	defer server.Close()
	res, err := http.Post(server.URL+target, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

func TestARepricingTellsHowFarItIsAndHowItEnded(t *testing.T) {
	var asked observe.Repricing
	res, text := post(t, tariff{asked: &asked, batches: 2}, "/api/prices/reprice?since=2026-03-01T00:00:00Z&until=2026-04-01T00:00:00Z&workflow=w&model=m&only_unpriced=true&dry_run=1", "")
	march := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	if want := (observe.Repricing{Since: march, Until: march.AddDate(0, 1, 0), Workflow: "w", Model: "m", OnlyUnpriced: true, DryRun: true}); asked != want {
		t.Errorf("%+v", asked)
	}
	var kinds []string
	for line := range strings.Lines(text) {
		var l RepriceLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(line, err)
		}
		switch {
		case l.Progress != nil:
			kinds = append(kinds, "progress")
		case l.Done != nil && l.Done.Looked == 1000:
			kinds = append(kinds, "done")
		}
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/x-ndjson" || strings.Join(kinds, " ") != "progress progress done" {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	res, text = post(t, tariff{asked: &asked, batches: 1, err: errors.New("secret detail")}, "/api/prices/reprice?since=2026-03-01T00:00:00Z", "")
	if res.StatusCode != 200 || !strings.Contains(text, `{"error":{`) || strings.Contains(text, "secret") {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	res, text = post(t, tariff{asked: &asked, err: fault.New(fault.Conflict, "reprice_running", "busy")}, "/api/prices/reprice?since=2026-03-01T00:00:00Z", "")
	if res.StatusCode != 409 || !strings.Contains(text, "busy") || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", res.StatusCode, text)
	}
}

func TestWhatIsWrongWithARequestAboutPricesIsSaid(t *testing.T) {
	for target, want := range map[string]string{
		"/api/prices/reprice":                                       "since is missing",
		"/api/prices/reprice?since=yesterday":                       "since is a time",
		"/api/prices/reprice?since=2026-03-01T00:00:00Z&dry_run=no": "dry_run is true or false",
		"/api/prices/import?from=soon":                              "is not a day",
		"/api/prices/import?as_of=soon":                             "is not a day",
		"/api/prices/import?skip_bad=x":                             "skip_bad is true or false",
		"/api/prices/import":                                        "not a list of prices",
	} {
		if res, text := post(t, tariff{}, target, "{}"); res.StatusCode != 400 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", target, res.StatusCode, text)
		}
	}
	if res, text := post(t, tariff{}, "/api/prices/import", `{"prices":"`+strings.Repeat("x", cost.MaxFile)+`"}`); res.StatusCode != 413 {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	if res, text := post(t, tariff{}, "/api/prices/import?dry_run=true", `[{"provider":"p","model":"m","input":1,"source":"s"}]`); res.StatusCode != 200 || !strings.Contains(text, `"dry_run":true`) || !strings.Contains(text, `"new":1`) {
		t.Errorf("%d %s", res.StatusCode, text)
	}
}
