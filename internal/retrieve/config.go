package retrieve

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Config is the part of airfield.yaml that this package owns.
type Config struct {
	Limit         int                `yaml:"limit" json:"limit" doc:"Passages a search returns where it does not say how many."`
	MaxLimit      int                `yaml:"max_limit" json:"max_limit" doc:"Passages a search may ask for at the most."`
	Passages      int                `yaml:"answer_passages" json:"answer_passages" doc:"Passages an answer is written from where the question does not say how many."`
	PassageTokens int                `yaml:"answer_passage_tokens" json:"answer_passage_tokens" doc:"Estimated tokens of passages that are put before a model at the most."`
	MaxTokens     int                `yaml:"answer_max_tokens" json:"answer_max_tokens" doc:"Tokens an answer may have where the question does not say how many."`
	AnswerModel   string             `yaml:"answer_model" json:"answer_model" doc:"The model that answers where neither the question nor the collection names one."`
	VectorWeight  float64            `yaml:"vector_weight" json:"vector_weight" doc:"The share of the vector list in a hybrid search, from 0 (keywords only) to 1 (vectors only), for embedding models without a weight of their own."`
	VectorWeights map[string]float64 `yaml:"vector_weights" json:"vector_weights" doc:"The share of the vector list by embedding model: it belongs to the model, because it depends on what the vectors know that the words do not."`
	CatchUp       time.Duration      `yaml:"catch_up" json:"catch_up" doc:"How long a search waits for the index to take in the newest changes before it goes on without them."`
	Interval      time.Duration      `yaml:"interval" json:"interval" doc:"How often the index is compared with the database when nobody says that something changed."`
}

// Default suits the builtin models and any embedder of ordinary quality.
func Default() Config {
	return Config{
		Limit:         10,
		MaxLimit:      50,
		Passages:      8,
		PassageTokens: 6000,
		MaxTokens:     800,
		AnswerModel:   "builtin-answer",
		VectorWeight:  0.5,
		VectorWeights: map[string]float64{"builtin-embed": 0.2},
		CatchUp:       3 * time.Second,
		Interval:      2 * time.Second,
	}
}

// Check refuses what cannot work and warns about what is unwise.
func (c Config) Check() (warnings []string, err error) {
	for _, f := range []struct {
		name     string
		value    int
		most     int
		smallest int
	}{
		{"limit", c.Limit, c.MaxLimit, 1}, {"max_limit", c.MaxLimit, 200, 1}, {"answer_passages", c.Passages, c.MaxLimit, 1},
		{"answer_passage_tokens", c.PassageTokens, 1 << 20, 100}, {"answer_max_tokens", c.MaxTokens, 1 << 17, 1},
	} {
		if f.value < f.smallest || f.value > f.most {
			return nil, fmt.Errorf("%s must be between %d and %d, not %d", f.name, f.smallest, f.most, f.value)
		}
	}
	if c.AnswerModel == "" {
		return nil, fmt.Errorf("answer_model is missing")
	}
	if !(c.VectorWeight >= 0 && c.VectorWeight <= 1) {
		return nil, fmt.Errorf("vector_weight must be between 0 and 1, not %g", c.VectorWeight)
	}
	for _, model := range slices.Sorted(maps.Keys(c.VectorWeights)) {
		if w := c.VectorWeights[model]; !(w >= 0 && w <= 1) {
			return nil, fmt.Errorf("vector_weights.%s must be between 0 and 1, not %g", model, w)
		}
	}
	if c.CatchUp < 10*time.Millisecond || c.CatchUp > time.Minute {
		return nil, fmt.Errorf("catch_up must be between 10ms and 1m, not %s", c.CatchUp)
	}
	if c.Interval < 100*time.Millisecond || c.Interval > 10*time.Minute {
		return nil, fmt.Errorf("interval must be between 100ms and 10m, not %s", c.Interval)
	}
	if c.CatchUp > 10*time.Second {
		warnings = append(warnings, "catch_up above 10s makes searches wait while a large collection is indexed")
	}
	return warnings, nil
}

// weight is the vector list's share for an embedding model.
func (c Config) weight(model string) float64 {
	if w, ok := c.VectorWeights[model]; ok {
		return w
	}
	return c.VectorWeight
}
