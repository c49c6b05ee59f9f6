package gemini

import (
	"regexp"
	"strconv"
	"strings"

	"airfield/internal/gateway/neutral"
)

// version is a family of models, such as 2.5 and 3; its name says which one of them.
type version struct {
	number float64 // 0 for what is no Gemini
	name   string
}

var numbered = regexp.MustCompile(`^gemini-([0-9]+(?:\.[0-9]+)?)(?:-|$)`)

// latest stands for names without a number, such as gemini-flash-latest.
const latest = 1000

func versionOf(model string) version {
	name := model[strings.LastIndexByte(model, '/')+1:]
	if m := numbered.FindStringSubmatch(name); m != nil {
		if n, err := strconv.ParseFloat(m[1], 64); err == nil {
			return version{n, name}
		}
	}
	if strings.HasPrefix(name, "gemini-") {
		return version{latest, name}
	}
	return version{0, name}
}

// signs reports whether calls of functions must come back signed.
func (v version) signs() bool { return v.number >= 3 }

// levels are how hard Gemini 3 and later think; it cannot be kept from it.
var levels = map[string]string{"none": "MINIMAL", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}

// budgets are what Google takes the efforts of OpenAI's API for (https://ai.google.dev/gemini-api/docs/openai).
var budgets = map[string]int64{"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}

const leastOfPro = 128 // Gemini 2.5 Pro cannot be kept from thinking either

// thinking says how hard to think. Models before 2.5 do not, and refuse to be told.
func (w *writer) thinking(q *neutral.Request) *thinking {
	budget, known := budgets[q.Effort]
	if w.model.number < 2.5 || !known && q.Thinking == 0 && !q.Summary {
		return nil
	}
	t := thinking{Include: q.Summary || q.Thinking > 0 || known && q.Effort != "none"}
	pro := strings.Contains(w.model.name, "-pro")
	switch {
	case q.Thinking > 0:
		t.Budget = &q.Thinking
	case !known:
	case w.model.number >= 3:
		if t.Level = levels[q.Effort]; pro && t.Level == "MINIMAL" {
			t.Level = "LOW" // the least that Pro knows
		}
	default:
		if pro {
			budget = max(budget, leastOfPro)
		}
		t.Budget = &budget
	}
	return &t
}
