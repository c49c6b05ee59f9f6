// Package examples holds the papers of a company that does not exist, and questions about them with known answers. The
// demo has them in the binary, so that it runs anywhere.
package examples

import (
	"embed"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
)

// Files are the folders documents and versions, and the questions.
//
//go:embed documents versions questions.yaml
var Files embed.FS

// Question is one of questions.yaml.
type Question struct {
	Question  string   `yaml:"question"`
	Clearance string   `yaml:"clearance"`
	Document  string   `yaml:"document"` // the file the first citation must come from; empty: the answer must be refused
	Page      int      `yaml:"page"`
	Heading   string   `yaml:"heading"`
	Answer    []string `yaml:"answer"` // texts the answer must hold
	RefusedTo string   `yaml:"refused_to"`
}

// Questions reads a file of questions.
func Questions(text []byte) ([]Question, error) {
	var file struct {
		Questions []Question `yaml:"questions"`
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read the questions: %w", err)
	}
	return file.Questions, nil
}

// Given is an answer as a question can be held against it.
type Given struct {
	Text     string
	Document string // of the first citation, the file's name in its source
	Heading  string // the last one above it
	Page     int    // the first and the last that it is on
	PageTo   int
}

// Wrong says what is wrong with an answer, or nothing.
func (q Question) Wrong(a Given) string {
	switch {
	case q.Document == "" && a.Document != "":
		return fmt.Sprintf("answered %q from %s, where the documents hold nothing", a.Text, a.Document)
	case q.Document == "":
		return ""
	case a.Document == "":
		return "not found"
	case a.Document != q.Document:
		return fmt.Sprintf("cited %s instead of %s", a.Document, q.Document)
	case q.Page > 0 && (q.Page < a.Page || q.Page > a.PageTo):
		return fmt.Sprintf("cited pages %d to %d instead of page %d", a.Page, a.PageTo, q.Page)
	case q.Heading != "" && a.Heading != q.Heading:
		return fmt.Sprintf("cited the heading %q instead of %q", a.Heading, q.Heading)
	}
	for _, text := range q.Answer {
		if !strings.Contains(a.Text, text) {
			return fmt.Sprintf("the answer %q does not hold %q", a.Text, text)
		}
	}
	return ""
}
