package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/api"
	"airfield/internal/cost"
	"airfield/internal/fault"
	"airfield/internal/observe"
)

// Prices knows what calls are charged, and finds it anew.
type Prices interface {
	// Quotes are the prices in force at a time, or all of every layer where that is zero; those of the configuration first.
	Quotes(at time.Time) []cost.Quote
	Import(ctx context.Context, f *cost.File, o cost.ImportOptions) (cost.ImportReport, error)
	Remove(ctx context.Context, provider, model string, from cost.Day) (int64, error)
	Reprice(ctx context.Context, f observe.Repricing, report func(observe.Repriced) error) (observe.Repriced, error)
}

// PriceList is a list of prices; it can be imported as it is.
type PriceList struct {
	At     time.Time    `json:"at,omitzero" doc:"When they are in force; without it the list has those of all times."`
	Prices []cost.Quote `json:"prices"`
}

// Removed says how many imported prices are gone.
type Removed struct {
	Rows int64 `json:"rows"`
}

// RepriceLine is a line of the answer to a repricing: progress, and at last done or error.
type RepriceLine struct {
	Progress *observe.Repriced `json:"progress,omitempty"`
	Done     *observe.Repriced `json:"done,omitempty"`
	Error    *api.Problem      `json:"error,omitempty"`
}

type pricesIn struct {
	Provider string    `query:"provider"`
	Model    string    `query:"model" doc:"Part of a name, or a name with a date."`
	Layer    string    `query:"layer" enum:"deployment,imported,list"`
	At       time.Time `query:"at" doc:"By default now."`
	All      bool      `query:"all" doc:"Those of all times, also such as another layer goes before."`
}

type removeIn struct {
	Provider string `query:"provider" required:"true"`
	Model    string `query:"model" required:"true"`
	From     string `query:"from" doc:"Only the price that begins on this day."`
}

func (d *Door) registerPrices(a huma.API) {
	add(a, d.Log, route{http.MethodGet, "/api/prices", "listPrices", "What models cost, from the configuration, what was imported and the list in the binary", readers}, func(_ context.Context, in *pricesIn) (PriceList, error) {
		list := PriceList{At: in.At, Prices: []cost.Quote{}}
		switch {
		case in.All:
			list.At = time.Time{}
		case in.At.IsZero():
			list.At = time.Now().UTC()
		}
		for _, q := range d.Prices.Quotes(list.At) {
			if (in.Provider == "" || q.Provider == in.Provider) && (in.Layer == "" || q.Layer == in.Layer) && q.Names(in.Model) {
				list.Prices = append(list.Prices, q)
			}
		}
		return list, nil
	})
	add(a, d.Log, route{http.MethodDelete, "/api/prices", "removePrices", "Take imported prices of a model out: what lies beneath counts again", adminsOnly}, func(ctx context.Context, in *removeIn) (Removed, error) {
		from, err := parseDay("from", in.From)
		if err != nil {
			return Removed{}, err
		}
		n, err := d.Prices.Remove(ctx, in.Provider, in.Model, from)
		return Removed{Rows: n}, err
	})
}

func parseDay(field, text string) (day cost.Day, err error) {
	if err = day.UnmarshalText([]byte(text)); err != nil {
		err = fault.New(fault.Invalid, "day", "%w", err).At(field)
	}
	return day, err
}

// yes reads a switch of the query.
func yes(r *http.Request, field string) (bool, error) {
	text := r.URL.Query().Get(field)
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, fault.New(fault.Invalid, "switch", "%s is true or false, not %q", field, text).At(field)
	}
	return on, nil
}

func moment(r *http.Request, field string) (time.Time, error) {
	text := r.URL.Query().Get(field)
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fault.New(fault.Invalid, "time", "%s is a time such as 2026-03-01T00:00:00Z, not %q", field, text).At(field)
	}
	return at, nil
}

func (d *Door) importPrices(w http.ResponseWriter, r *http.Request) error {
	dry, errDry := yes(r, "dry_run")
	skip, errSkip := yes(r, "skip_bad")
	from, errFrom := parseDay("from", r.URL.Query().Get("from"))
	asOf, errAs := parseDay("as_of", r.URL.Query().Get("as_of"))
	for _, err := range []error{errDry, errSkip, errFrom, errAs} {
		if err != nil {
			return err
		}
	}
	if asOf.IsZero() {
		asOf.Time = time.Now()
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, cost.MaxFile))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return fault.New(fault.TooLarge, "prices_too_large", "a file of prices may have %d bytes", tooLarge.Limit)
	}
	if err != nil {
		return fault.New(fault.Invalid, "body", "the file did not arrive: %w", err)
	}
	f, err := cost.ReadFile(text, asOf.Time)
	if err != nil {
		return err
	}
	report, err := d.Prices.Import(r.Context(), f, cost.ImportOptions{DryRun: dry, SkipBad: skip, From: from})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(report)
}

// reprice answers with a line after each batch, so that a caller sees that it goes on. An error after the first line is
// the last line.
func (d *Door) reprice(w http.ResponseWriter, r *http.Request) error {
	f := observe.Repricing{Workflow: r.URL.Query().Get("workflow"), Model: r.URL.Query().Get("model")}
	var errs [4]error
	f.Since, errs[0] = moment(r, "since")
	f.Until, errs[1] = moment(r, "until")
	f.OnlyUnpriced, errs[2] = yes(r, "only_unpriced")
	f.DryRun, errs[3] = yes(r, "dry_run")
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	if f.Since.IsZero() {
		return fault.New(fault.Invalid, "since", "since is missing: the time from which calls are looked at").At("since")
	}
	d.flush(r.Context())
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, flush := json.NewEncoder(w), http.NewResponseController(w)
	sum, err := d.Prices.Reprice(r.Context(), f, func(sum observe.Repriced) error {
		if err := out.Encode(RepriceLine{Progress: &sum}); err != nil {
			return err
		}
		return flush.Flush()
	})
	if err == nil {
		return out.Encode(RepriceLine{Done: &sum})
	}
	if sum.Looked == 0 {
		w.Header().Del("Content-Type")
		return err
	}
	api.LogInternal(d.Log, r, err)
	return out.Encode(RepriceLine{Error: api.ProblemOf(err)})
}
