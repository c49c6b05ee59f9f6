package ingest

import (
	"fmt"
	"os"
	"time"

	"github.com/goccy/go-yaml"

	"airfield/internal/jobs"
)

// What a change of the embedding model or the chunking in airfield.yaml does.
const (
	OnChangePlan  = "plan"  // it is said what a refresh would cost, and nothing is begun
	OnChangeStart = "start" // the refresh begins
)

// RefreshConfig says how a collection's generations replace one another.
type RefreshConfig struct {
	OnChange   string        `yaml:"on_change" json:"on_change" doc:"What a change of embedding_model or chunking in airfield.yaml does: plan (a warning says what is to be done, and the collection serves as before), start (the refresh begins)."`
	Schedule   string        `yaml:"schedule" json:"schedule,omitempty" doc:"A refresh on a schedule, with the same model and chunking: five fields of cron in UTC, or @daily, @weekly, @monthly. Never where empty."`
	AutoSwitch bool          `yaml:"auto_switch" json:"auto_switch" doc:"Whether a generation that passed its gate becomes live by itself."`
	Keep       time.Duration `yaml:"keep" json:"keep" doc:"How long the generation before is kept, and kept up to date, to go back to."`
	Sample     int           `yaml:"sample" json:"sample" doc:"Queries, made of the documents' own headings and titles, by which the gate compares the new generation with the live one."`
	MinOverlap float64       `yaml:"min_overlap" json:"min_overlap" doc:"The share of the first ten passages that both must have in common, on the average of the sample, from 0 (any) to 1; of the documents where they are cut differently."`
	MinNDCG    float64       `yaml:"min_ndcg" json:"min_ndcg" doc:"The nDCG@10 that the new generation must reach on the golden queries, from 0 to 1. In any case it must not be more than 0.02 below that of the live one."`
	Golden     []GoldenQuery `yaml:"golden" json:"golden,omitempty" doc:"Queries whose right documents are known."`
	GoldenFile string        `yaml:"golden_file" json:"golden_file,omitempty" doc:"A YAML file with more of them, a list like golden; relative ones are relative to airfield.yaml. It is read when the gate is."`
}

// GoldenQuery is a query whose right documents are known.
type GoldenQuery struct {
	Query    string         `yaml:"query" json:"query" doc:"What is asked."`
	Relevant map[string]int `yaml:"relevant" json:"relevant" doc:"The right documents, by their name in the source or their id, and how right each is: 1 to 3."`
}

// DefaultRefresh warns of a change and switches when the gate is passed.
func DefaultRefresh() RefreshConfig {
	return RefreshConfig{OnChange: OnChangePlan, AutoSwitch: true, Keep: 7 * 24 * time.Hour, Sample: 50, MinOverlap: 0.3}
}

const maxGolden = 1000

func (c RefreshConfig) check() error {
	switch {
	case c.OnChange != OnChangePlan && c.OnChange != OnChangeStart:
		return fmt.Errorf("on_change: plan or start, not %q", c.OnChange)
	case c.Keep < 0:
		return fmt.Errorf("keep must not be negative")
	case c.Sample < 0 || c.Sample > 1000:
		return fmt.Errorf("sample: between 0 and 1000, not %d", c.Sample)
	case !(c.MinOverlap >= 0 && c.MinOverlap <= 1):
		return fmt.Errorf("min_overlap: between 0 and 1, not %g", c.MinOverlap)
	case !(c.MinNDCG >= 0 && c.MinNDCG <= 1):
		return fmt.Errorf("min_ndcg: between 0 and 1, not %g", c.MinNDCG)
	case c.MinNDCG > 0 && len(c.Golden) == 0 && c.GoldenFile == "":
		return fmt.Errorf("min_ndcg needs golden or golden_file")
	}
	if c.Schedule != "" {
		if _, err := jobs.Cron(c.Schedule); err != nil {
			return err
		}
	}
	return checkGolden("golden", c.Golden)
}

func checkGolden(where string, list []GoldenQuery) error {
	if len(list) > maxGolden {
		return fmt.Errorf("%s: at most %d queries, not %d", where, maxGolden, len(list))
	}
	for i, g := range list {
		if g.Query == "" || len(g.Relevant) == 0 {
			return fmt.Errorf("%s[%d]: query and relevant are needed", where, i)
		}
		for document, grade := range g.Relevant {
			if grade < 1 || grade > 3 {
				return fmt.Errorf("%s[%d]: relevant.%s is between 1 and 3, not %d", where, i, document, grade)
			}
		}
	}
	return nil
}

// golden are the configured queries and those of the file.
func (c RefreshConfig) golden() ([]GoldenQuery, error) {
	if c.GoldenFile == "" {
		return c.Golden, nil
	}
	raw, err := os.ReadFile(c.GoldenFile)
	if err != nil {
		return nil, fmt.Errorf("read golden_file: %w", err)
	}
	var more []GoldenQuery
	if err := yaml.UnmarshalWithOptions(raw, &more, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read golden_file %s: %w", c.GoldenFile, err)
	}
	all := append(append([]GoldenQuery{}, c.Golden...), more...)
	return all, checkGolden("golden_file", all)
}
