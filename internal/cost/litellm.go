package cost

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"airfield/internal/money"
)

// litellm reads the map that LiteLLM publishes, model_prices_and_context_window.json: an object of models whose costs
// are dollars for one token. It has no dates, so a row is as of the day that is given, and costs for
// pixels, pages and queries are left out with the rows that have no other.
func litellm(models map[string]json.RawMessage, asOf Day) *File {
	f := &File{Format: "LiteLLM"}
	seen := map[name]Row{}
	for _, key := range slices.Sorted(maps.Keys(models)) {
		if key == "sample_spec" {
			continue
		}
		row, skip, err := litellmRow(key, models[key], asOf)
		switch {
		case err != nil:
			f.Bad = append(f.Bad, BadRow{Where: key, Reason: err.Error()})
		case skip != "":
			f.skip(skip)
		default:
			n := name{row.Provider, row.Model}
			if other, ok := seen[n]; ok {
				if !row.charges(other) {
					f.Bad = append(f.Bad, BadRow{Where: key, Reason: fmt.Sprintf("%s/%s has another price in this file", row.Provider, row.Model)})
				}
				continue
			}
			seen[n] = row
			f.Rows = append(f.Rows, Placed{Row: row, Where: key})
		}
	}
	return f
}

// costKey is how a cost is named there: what it is for, for a long prompt, at a service tier.
var costKey = regexp.MustCompile(`^(input_cost_per_token|output_cost_per_token|cache_read_input_token_cost|cache_creation_input_token_cost|cache_creation_input_token_cost_above_1hr|input_cost_per_audio_token|output_cost_per_audio_token|output_cost_per_reasoning_token|output_cost_per_image|input_cost_per_request|input_cost_per_image_token|output_cost_per_image_token|input_cost_per_character|input_cost_per_second)(?:_above_([0-9]{1,6})k_tokens)?(?:_(batches|batch|flex|priority))?$`)

var anyCost = regexp.MustCompile(`(^|_)cost(_|$)`)

func litellmRow(key string, text json.RawMessage, asOf Day) (row Row, skip string, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return row, "", fmt.Errorf("it is not an object: %w", err)
	}
	word := func(name string) (s string) {
		_ = json.Unmarshal(fields[name], &s) // what is no text is none
		return s
	}
	if row.Provider = litellmProvider(word("litellm_provider")); row.Provider == "" {
		return row, "no litellm_provider", nil
	}
	mode := word("mode")
	row.Model = strings.TrimPrefix(strings.TrimPrefix(key, word("litellm_provider")+"/"), row.Provider+"/")
	row.Source, row.AsOf = "LiteLLM's price map", asOf
	if s := word("source"); s != "" && len(s) < 300 {
		row.Source += ": " + s
	}
	tiers, services, others := map[int64]*Rates{}, map[string]*tiered{}, 0
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		m := costKey.FindStringSubmatch(field)
		if m == nil {
			if anyCost.MatchString(field) {
				others++
			}
			continue
		}
		rate, err := perMillionOf(fields[field])
		if err != nil {
			return row, "", fmt.Errorf("%s: %w", field, err)
		}
		if rate == 0 || m[1] == "output_cost_per_image" && mode != "image_generation" || !mediaMode(m[1], mode) {
			continue
		}
		into, above := &row.Rates, tiers
		if m[3] != "" {
			service := strings.Replace(m[3], "batches", "batch", 1)
			if services[service] == nil {
				services[service] = &tiered{tiers: map[int64]*Rates{}}
			}
			into, above = &services[service].rates, services[service].tiers
		}
		if m[2] != "" {
			tokens, _ := strconv.ParseInt(m[2], 10, 64) // at most six digits
			if above[tokens*1000] == nil {
				above[tokens*1000] = &Rates{}
			}
			into = above[tokens*1000]
		}
		into.set(m[1], rate)
	}
	row.Context = contextOf(tiers)
	for service, t := range services {
		if t.rates == (Rates{}) {
			continue // a long prompt's rate without a usual one says too little
		}
		if row.Services == nil {
			row.Services = map[string]ServiceRow{}
		}
		row.Services[service] = ServiceRow{Rates: t.rates, Context: contextOf(t.tiers)}
	}
	switch talks := mode == "" || mode == "chat" || mode == "completion" || mode == "responses"; {
	case row.Rates == (Rates{}) && others > 0:
		return row, "charged by pixels, pages, queries or what else is not counted here", nil
	case row.Rates == (Rates{}):
		return row, "no cost, or a cost of 0 that does not say that it is free", nil
	case talks && (row.Input == 0 || row.Output == 0):
		return row, "a chat model without a cost for input and for output", nil
	}
	return row, "", row.Check()
}

type tiered struct {
	rates Rates
	tiers map[int64]*Rates
}

func contextOf(tiers map[int64]*Rates) (rows []ContextRow) {
	for _, above := range slices.Sorted(maps.Keys(tiers)) {
		rows = append(rows, ContextRow{Above: above, Rates: *tiers[above]})
	}
	return rows
}

// mediaMode reports whether a cost is one of what a model of that mode is charged by here: elsewhere characters and seconds are a
// second way to say what the tokens cost, and pictures that come out of a chat are not told apart.
func mediaMode(field, mode string) bool {
	switch field {
	case "input_cost_per_character":
		return mode == "audio_speech"
	case "input_cost_per_second":
		return mode == "audio_transcription"
	case "output_cost_per_image_token":
		return mode == "image_generation" || mode == "image_edit"
	}
	return true
}

func (r *Rates) set(field string, rate Dollars) {
	switch field {
	case "input_cost_per_image_token":
		r.ImageInput = rate
	case "output_cost_per_image_token":
		r.Output = max(r.Output, rate)
	case "input_cost_per_character":
		r.Characters = rate
	case "input_cost_per_second":
		r.Seconds = rate / 1_000_000
	case "input_cost_per_token":
		r.Input = rate
	case "output_cost_per_token":
		r.Output = max(r.Output, rate)
	case "cache_read_input_token_cost":
		r.CacheRead = rate
	case "cache_creation_input_token_cost":
		r.CacheWrite = rate
	case "cache_creation_input_token_cost_above_1hr":
		r.CacheWriteLong = rate
	case "input_cost_per_audio_token":
		r.AudioInput = rate
	case "output_cost_per_audio_token":
		r.AudioOutput = rate
	case "output_cost_per_reasoning_token":
		r.Reasoning = rate
	case "output_cost_per_image":
		r.Images = rate / 1_000_000
	case "input_cost_per_request":
		r.Requests = rate / 1_000_000
	}
}

// perMillionOf turns dollars for one token into dollars for a million, to the nearest nano-dollar: such files hold
// what floating point made of a price.
func perMillionOf(text json.RawMessage) (Dollars, error) {
	s := string(text)
	if s == "null" {
		return 0, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || len(s) > 64 || math.IsNaN(f):
		return 0, fmt.Errorf("%s is not a number", clip(s))
	case f < 0:
		return 0, fmt.Errorf("%s is negative", clip(s))
	case f > float64(mostDollars/money.Dollar)/1e6:
		return 0, fmt.Errorf("%s is more than anybody charges", clip(s))
	case f < 1e-15:
		return 0, nil
	}
	exact, ok := new(big.Rat).SetString(s) // bounded, because its exponent is by now
	if !ok {
		return 0, fmt.Errorf("%s is not a number", clip(s))
	}
	exact.Mul(exact, big.NewRat(1_000_000*int64(money.Dollar), 1)).Add(exact, big.NewRat(1, 2))
	return Dollars(new(big.Int).Quo(exact.Num(), exact.Denom()).Int64()), nil
}

// litellmProvider is our name of a provider there.
func litellmProvider(name string) string {
	name = strings.TrimPrefix(name, "text-completion-")
	switch {
	case name == "gemini":
		return "google"
	case name == "cohere_chat":
		return "cohere"
	case name == "bedrock_converse":
		return "bedrock"
	case strings.HasPrefix(name, "vertex_ai"):
		return "vertex_ai"
	case strings.HasPrefix(name, "fireworks_ai"):
		return "fireworks_ai"
	}
	return name
}

func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
