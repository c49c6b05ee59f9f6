// Package quality measures how well search finds, on any collection of Cranfield's shape: a folder with corpus.jsonl,
// queries.tsv and qrels.tsv. It knows search only as a function. make quality runs it.
package quality

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Collection is documents, questions about them, and which documents people judged to answer each.
type Collection struct {
	Documents []Document
	Queries   []Query
}

// Document is one line of corpus.jsonl.
type Document struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Query is a question with its judgements: document id to relevance, above zero where it is relevant.
type Query struct {
	ID        string
	Text      string
	Relevance map[string]int
}

// Read reads a collection from its folder.
func Read(dir string) (*Collection, error) {
	var c Collection
	if err := read(dir, "corpus.jsonl", c.readCorpus); err != nil {
		return nil, err
	}
	if err := read(dir, "queries.tsv", c.readQueries); err != nil {
		return nil, err
	}
	if err := read(dir, "qrels.tsv", c.readJudgements); err != nil {
		return nil, err
	}
	return &c, nil
}

func read(dir, name string, parse func(io.Reader) error) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := parse(f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// lines calls f with the fields of every line that is not empty.
func lines(r io.Reader, f func(line string) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), 16<<20)
	for n := 1; s.Scan(); n++ {
		if strings.TrimSpace(s.Text()) == "" {
			continue
		}
		if err := f(s.Text()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return s.Err()
}

func (c *Collection) readCorpus(r io.Reader) error {
	seen := map[string]bool{}
	return lines(r, func(line string) error {
		var d Document
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			return err
		}
		if d.ID == "" || seen[d.ID] {
			return fmt.Errorf("document id %q is empty or given twice", d.ID)
		}
		seen[d.ID] = true
		c.Documents = append(c.Documents, d)
		return nil
	})
}

func (c *Collection) readQueries(r io.Reader) error {
	return lines(r, func(line string) error {
		id, text, ok := strings.Cut(line, "\t")
		if !ok {
			return fmt.Errorf("want a number, a tab and a question")
		}
		c.Queries = append(c.Queries, Query{ID: id, Text: text, Relevance: map[string]int{}})
		return nil
	})
}

func (c *Collection) readJudgements(r io.Reader) error {
	byID := map[string]Query{}
	for _, q := range c.Queries {
		byID[q.ID] = q
	}
	return lines(r, func(line string) error {
		fields := strings.Split(line, "\t")
		if len(fields) != 3 {
			return fmt.Errorf("want a query, a document and a relevance, between tabs")
		}
		q, ok := byID[fields[0]]
		if !ok {
			return fmt.Errorf("query %q is not in queries.tsv", fields[0])
		}
		relevance, err := strconv.Atoi(strings.TrimSpace(fields[2]))
		if err != nil {
			return err
		}
		q.Relevance[fields[1]] = relevance
		return nil
	})
}
