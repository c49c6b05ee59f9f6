package cost

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"airfield/internal/llm"
	"airfield/internal/money"
)

// Row is a price as it is written: in the list in the binary, in a file to import, and in what `airfield prices list`
// prints as JSON. Rates are dollars per million tokens, those of characters dollars per
// million, those of images, seconds and requests dollars for one.
type Row struct {
	Provider string   `json:"provider"`
	Model    string   `json:"model"`
	Aliases  []string `json:"aliases,omitempty" doc:"Further names of the model."`
	Dated    bool     `json:"dated,omitempty" doc:"Also any of these names with a date behind: gpt-4o-2024-08-06."`
	Free     bool     `json:"free,omitempty" doc:"It costs nothing; without this a row without rates is refused."`
	From     Day      `json:"from,omitzero" doc:"The first day, in UTC; without it always."`
	Until    Day      `json:"until,omitzero" doc:"The first day on which it is no longer true."`
	Rates
	Context  []ContextRow          `json:"context,omitempty" doc:"Rates of the whole request when its prompt is longer."`
	Services map[string]ServiceRow `json:"services,omitempty" doc:"Rates of service tiers as the provider names them: batch, flex, priority."`
	Source   string                `json:"source" doc:"Where it is from."`
	AsOf     Day                   `json:"as_of" doc:"A day on which it was true."`
}

// Rates are the rates of a row, by bucket; one that is missing is charged as the bucket it belongs to.
type Rates struct {
	Input          Dollars `json:"input,omitempty"`
	CacheRead      Dollars `json:"cache_read,omitempty"`
	CacheWrite     Dollars `json:"cache_write,omitempty"`
	CacheWriteLong Dollars `json:"cache_write_long,omitempty" doc:"Tokens written to stay for an hour."`
	AudioInput     Dollars `json:"audio_input,omitempty"`
	Output         Dollars `json:"output,omitempty"`
	Reasoning      Dollars `json:"reasoning,omitempty"`
	AudioOutput    Dollars `json:"audio_output,omitempty"`
	Images         Dollars `json:"images,omitempty" doc:"Dollars for an image that is made."`
	Requests       Dollars `json:"requests,omitempty" doc:"Dollars for a request."`
	ImageInput     Dollars `json:"image_input,omitempty" doc:"Tokens of pictures that go in."`
	Characters     Dollars `json:"characters,omitempty" doc:"Dollars for a million characters that are spoken."`
	Seconds        Dollars `json:"seconds,omitempty" doc:"Dollars for a second of sound that is heard."`
}

// ContextRow is a context tier of a row.
type ContextRow struct {
	Above int64 `json:"above" doc:"Tokens of the prompt above which it holds."`
	Rates
}

// ServiceRow is a service tier of a row.
type ServiceRow struct {
	Rates
	Context []ContextRow `json:"context,omitempty"`
}

// mostDollars is more than anybody charges for a million tokens, or for one image: a slip of digits.
const mostDollars = 1_000_000 * money.Dollar

// Dollars is a rate: in JSON a string, like every amount, or in files a number.
type Dollars money.Nanos

// MarshalText writes all decimals.
func (d Dollars) MarshalText() ([]byte, error) { return []byte(money.Nanos(d).Decimal()), nil }

// UnmarshalText reads an amount exactly.
func (d *Dollars) UnmarshalText(b []byte) error {
	n, err := money.Parse(string(b))
	switch {
	case err != nil:
		return err
	case n < 0:
		return fmt.Errorf("%s is negative", b)
	case n > mostDollars:
		return fmt.Errorf("%s is more than anybody charges", b)
	}
	*d = Dollars(n)
	return nil
}

// UnmarshalJSON takes a number, too.
func (d *Dollars) UnmarshalJSON(b []byte) error {
	text := string(b)
	if len(b) > 1 && b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	return d.UnmarshalText([]byte(text))
}

// Day is a day in UTC.
type Day struct{ time.Time }

// MarshalText writes 2006-01-02.
func (d Day) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return []byte(d.UTC().Format(time.DateOnly)), nil
}

// MarshalJSON is MarshalText, as a string.
func (d Day) MarshalJSON() ([]byte, error) {
	text, err := d.MarshalText()
	return append(append([]byte{'"'}, text...), '"'), err
}

// UnmarshalText reads 2006-01-02; empty is no day.
func (d *Day) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Day{}
		return nil
	}
	at, err := time.Parse(time.DateOnly, string(b))
	if err != nil || at.Year() < 2000 || at.Year() > 2200 {
		return fmt.Errorf("%q is not a day such as 2026-03-31", b)
	}
	*d = Day{at}
	return nil
}

// UnmarshalJSON is UnmarshalText of a string.
func (d *Day) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("%s is not a day such as \"2026-03-31\"", b)
	}
	return d.UnmarshalText([]byte(text))
}

// names are all the names of the row's model.
func (r *Row) names() []string { return append([]string{r.Model}, r.Aliases...) }

// Check refuses a row that cannot be meant.
func (r *Row) Check() error {
	for _, name := range append([]string{r.Provider}, r.names()...) {
		if name == "" || len(name) > 200 || strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl) {
			return fmt.Errorf("%q cannot be a provider or a model", name)
		}
	}
	p := r.price("")
	switch {
	case r.Source == "" || r.AsOf.IsZero():
		return fmt.Errorf("source and as_of must be there")
	case len(r.Source) > 500:
		return fmt.Errorf("source is longer than 500 bytes")
	case !r.Until.IsZero() && !r.From.Before(r.Until.Time):
		return fmt.Errorf("until must be after from")
	case r.Free && (p.Rates != (llm.Rates{}) || len(p.Context)+len(p.Services) > 0):
		return fmt.Errorf("what is free has no rates")
	case !r.Free && max(p.Input, p.Output, p.Images, p.Requests, p.AudioInput, p.AudioOutput, p.Characters, p.Seconds) == 0:
		return fmt.Errorf("what costs nothing must say that it is free, and only that")
	}
	return p.Check()
}

// price is the row as it is charged.
func (r *Row) price(id string) llm.Price {
	p := llm.Price{ID: id, Rates: r.Rates.perMillion(), Context: tiers(r.Context)}
	for name, s := range r.Services {
		if p.Services == nil {
			p.Services = map[string]llm.Service{}
		}
		p.Services[name] = llm.Service{Rates: s.Rates.perMillion(), Context: tiers(s.Context)}
	}
	return p
}

func tiers(rows []ContextRow) []llm.ContextTier {
	var list []llm.ContextTier
	for _, t := range rows {
		list = append(list, llm.ContextTier{Above: t.Above, Rates: t.Rates.perMillion()})
	}
	return list
}

func (r Rates) perMillion() llm.Rates {
	rate := func(d Dollars) money.PerMillion { return money.PerMillion(d) }
	each := func(d Dollars) money.PerMillion { return money.PerMillion(d) * 1_000_000 }
	return llm.Rates{
		Input: rate(r.Input), CacheRead: rate(r.CacheRead), CacheWrite: rate(r.CacheWrite), CacheWriteLong: rate(r.CacheWriteLong), AudioInput: rate(r.AudioInput),
		Output: rate(r.Output), Reasoning: rate(r.Reasoning), AudioOutput: rate(r.AudioOutput), Images: each(r.Images), Requests: each(r.Requests),
		ImageInput: rate(r.ImageInput), Characters: rate(r.Characters), Seconds: each(r.Seconds),
	}
}

// RatesOf are rates as a row has them.
func RatesOf(r llm.Rates) Rates {
	rate := func(p money.PerMillion) Dollars { return Dollars(p) }
	each := func(p money.PerMillion) Dollars { return Dollars(p / 1_000_000) }
	return Rates{
		Input: rate(r.Input), CacheRead: rate(r.CacheRead), CacheWrite: rate(r.CacheWrite), CacheWriteLong: rate(r.CacheWriteLong), AudioInput: rate(r.AudioInput),
		Output: rate(r.Output), Reasoning: rate(r.Reasoning), AudioOutput: rate(r.AudioOutput), Images: each(r.Images), Requests: each(r.Requests),
		ImageInput: rate(r.ImageInput), Characters: rate(r.Characters), Seconds: each(r.Seconds),
	}
}

// RowOf is a price as a row.
func RowOf(provider, model string, p llm.Price) Row {
	contexts := func(tiers []llm.ContextTier) (rows []ContextRow) {
		for _, t := range tiers {
			rows = append(rows, ContextRow{Above: t.Above, Rates: RatesOf(t.Rates)})
		}
		return rows
	}
	r := Row{Provider: provider, Model: model, Rates: RatesOf(p.Rates), Context: contexts(p.Context), Free: p.Rates == (llm.Rates{})}
	for name, s := range p.Services {
		if r.Services == nil {
			r.Services = map[string]ServiceRow{}
		}
		r.Services[name] = ServiceRow{Rates: RatesOf(s.Rates), Context: contexts(s.Context)}
	}
	return r
}

// charges reports whether two rows say the same of the same models: all but when they were seen.
func (r Row) charges(o Row) bool {
	r.AsOf, o.AsOf = Day{}, Day{}
	r.Aliases, o.Aliases = slices.Sorted(slices.Values(r.Aliases)), slices.Sorted(slices.Values(o.Aliases))
	a, errA := json.Marshal(r)
	b, errB := json.Marshal(o)
	return errA == nil && errB == nil && string(a) == string(b)
}
