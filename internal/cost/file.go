package cost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"airfield/internal/fault"
)

// File is a file of prices, read.
type File struct {
	Format  string    // airfield or LiteLLM
	Rows    []Placed  // that may be taken over
	Bad     []BadRow  // that cannot be
	Skipped []Skipped // that are not about anything a call is charged by
}

// Placed is a row with its place in the file.
type Placed struct {
	Row
	Where string
}

// BadRow is what is wrong with a row.
type BadRow struct {
	Where  string `json:"where" doc:"Its place in the file: a number, counted from 1, or a key."`
	Reason string `json:"reason"`
}

// Skipped counts the rows that are left out for a reason.
type Skipped struct {
	Reason string `json:"reason"`
	Rows   int64  `json:"rows"`
}

func (f *File) skip(reason string) {
	i := slices.IndexFunc(f.Skipped, func(s Skipped) bool { return s.Reason == reason })
	if i < 0 {
		f.Skipped = append(f.Skipped, Skipped{Reason: reason})
		i = len(f.Skipped) - 1
	}
	f.Skipped[i].Rows++
}

// MaxFile is how large a file of prices may be, in bytes.
const MaxFile = 32 << 20

const maxRows = 50_000

// ReadFile reads our own format, {"prices": [row, …]} or the list alone, and LiteLLM's map. They are told apart by their
// shape. Rows that have no day of their own are as of the given one.
func ReadFile(text []byte, asOf time.Time) (*File, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	day := Day{asOf.UTC().Truncate(24 * time.Hour)}
	var f *File
	rows := []json.RawMessage{}
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] == '[' {
		if err := json.Unmarshal(text, &rows); err != nil {
			return nil, notPrices(err)
		}
		f = ours(rows, day)
	} else {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(text, &object); err != nil {
			return nil, notPrices(err)
		}
		prices, have := object["prices"]
		switch {
		case have && json.Unmarshal(prices, &rows) == nil:
			f = ours(rows, day)
		case looksLikeLiteLLM(object):
			f = litellm(object, day)
		default:
			return nil, notPrices(fmt.Errorf("it has neither a list of prices nor models with a litellm_provider"))
		}
	}
	switch n := len(f.Rows) + len(f.Bad); {
	case n == 0 && len(f.Skipped) == 0:
		return nil, notPrices(fmt.Errorf("it is empty"))
	case n > maxRows:
		return nil, fault.New(fault.TooLarge, "prices_too_many", "the file has %d prices; at most %d are taken", n, maxRows)
	}
	return f, nil
}

func notPrices(err error) error {
	return fault.New(fault.Invalid, "prices_file", "the file is not a list of prices: %w", err).
		Hinted(`{"prices":[{"provider":…,"model":…,"input":…,"output":…,"source":…,"as_of":…}]}, or LiteLLM's model_prices_and_context_window.json`)
}

func looksLikeLiteLLM(object map[string]json.RawMessage) bool {
	for _, text := range object {
		var row struct {
			Provider string `json:"litellm_provider"`
		}
		if json.Unmarshal(text, &row) == nil && row.Provider != "" {
			return true
		}
	}
	return false
}

// ours reads rows as `airfield prices list` prints them: what says where a row was found is passed over.
func ours(rows []json.RawMessage, asOf Day) *File {
	f := &File{Format: "airfield"}
	for i, text := range rows {
		where := fmt.Sprint(i + 1)
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		var q Quote
		err := decoder.Decode(&q)
		if q.AsOf.IsZero() {
			q.AsOf = asOf
		}
		if err == nil {
			err = q.Row.Check()
		}
		if q.Provider != "" || q.Model != "" {
			where += " (" + clip(q.Provider+"/"+q.Model) + ")"
		}
		switch {
		case err != nil:
			f.Bad = append(f.Bad, BadRow{Where: where, Reason: err.Error()})
			continue
		case q.Layer == Override:
			f.skip("set in the configuration of a deployment")
			continue
		}
		f.Rows = append(f.Rows, Placed{Row: q.Row, Where: where})
	}
	return f
}
