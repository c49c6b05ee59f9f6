// Command run measures retrieval through the real binary: it starts a server on a folder of its own, ingests a
// collection of Cranfield's shape as files, and asks every question by keyword, by vector and by both. make quality
// runs it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"airfield/test/quality"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "quality:", err)
		os.Exit(1)
	}
}

// The figures to reach, of docs/guides/quality.md: plain BM25 on Cranfield, and how far hybrid may be below keyword.
const (
	bm25Cranfield = 0.366
	hybridBelow   = 0.005
)

const settings = `environment: quality
server: {listen: "127.0.0.1:0"}
collections:
  quality:
    defaults: {tier: public}
    sources:
      corpus: {folder: corpus}
`

type server struct {
	url, key string
	process  *exec.Cmd
}

func run(ctx context.Context) error {
	binary := flag.String("airfield", "bin/airfield", "the binary to measure")
	data := flag.String("data", "", "a folder with corpus.jsonl, queries.tsv and qrels.tsv")
	flag.Parse()
	c, err := quality.Read(*data)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "airfield-quality-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	written, err := write(c, dir)
	if err != nil {
		return err
	}
	if empty := len(c.Documents) - written; empty > 0 {
		fmt.Printf("%d documents have no text and are left out\n", empty)
	}
	began := time.Now()
	s, err := start(ctx, *binary, dir)
	if err != nil {
		return err
	}
	defer s.stop()
	if err := s.await(ctx, written); err != nil {
		return err
	}
	took := time.Since(began)
	fmt.Printf("%d documents searchable after %s: %.0f documents/s\n\n%-8s %8s %10s %10s\n", written, took.Round(time.Millisecond), float64(written)/took.Seconds(), "search", "nDCG@10", "p50", "p99")
	scores := map[string]float64{}
	for _, mode := range []string{"keyword", "vector", "hybrid"} {
		report, err := quality.Measure(ctx, c, s.searcher(mode))
		if err != nil {
			return err
		}
		scores[mode] = report.NDCG10
		fmt.Printf("%-8s %8.4f %10s %10s\n", mode, report.NDCG10, report.P50.Round(10*time.Microsecond), report.P99.Round(10*time.Microsecond))
	}
	fmt.Printf("\nPlain BM25 (k1 0.9, b 0.4) reaches %.3f on Cranfield; hybrid with the builtin embedder may be %.3f below keyword.\n", bm25Cranfield, hybridBelow)
	if scores["hybrid"] < scores["keyword"]-hybridBelow {
		return fmt.Errorf("hybrid search (%.4f) is below keyword search (%.4f)", scores["hybrid"], scores["keyword"])
	}
	return nil
}

// write makes a file of every document that has text, and counts them.
func write(c *quality.Collection, dir string) (written int, err error) {
	corpus := filepath.Join(dir, "corpus")
	if err := os.MkdirAll(corpus, 0o755); err != nil {
		return 0, err
	}
	for _, d := range c.Documents {
		if strings.TrimSpace(d.Title+d.Text) == "" {
			continue
		}
		if d.ID != filepath.Base(d.ID) || strings.HasPrefix(d.ID, ".") {
			return 0, fmt.Errorf("the document id %q cannot be a file's name", d.ID)
		}
		if err := os.WriteFile(filepath.Join(corpus, d.ID+".txt"), []byte(d.Title+"\n\n"+d.Text+"\n"), 0o644); err != nil {
			return 0, err
		}
		written++
	}
	return written, os.WriteFile(filepath.Join(dir, "airfield.yaml"), []byte(settings), 0o644)
}

func start(ctx context.Context, binary, dir string) (*server, error) {
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &server{process: exec.Command(binary, "serve", "--config", filepath.Join(dir, "airfield.yaml"))}
	s.process.Stderr, s.process.Env = log, []string{"HOME=" + dir, "TMPDIR=" + dir}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		var local struct{ URL, Key string }
		text, err := os.ReadFile(filepath.Join(dir, "data", "local.json"))
		if err == nil && json.Unmarshal(text, &local) == nil {
			s.url, s.key = local.URL, local.Key
			return s, nil
		}
	}
	s.stop()
	text, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("the server did not get ready:\n%s", text)
}

func (s *server) stop() {
	s.process.Process.Signal(syscall.SIGTERM)
	s.process.Wait()
}

// await waits until every document is searchable, at most ten minutes.
func (s *server) await(ctx context.Context, want int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Minute, errors.New("not everything was searchable after ten minutes"))
	defer cancel()
	for {
		var c struct {
			Status struct{ Versions map[string]int }
		}
		if err := s.do(ctx, http.MethodGet, "/api/collections/quality", nil, &c); err != nil {
			return err
		}
		if dead := c.Status.Versions["dead"]; dead > 0 {
			return fmt.Errorf("%d documents could not be ingested", dead)
		}
		if c.Status.Versions["live"] == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// searcher asks the vector store as an SDK would. Documents may have several chunks, so more is asked for than wanted.
func (s *server) searcher(mode string) quality.Searcher {
	return func(ctx context.Context, question string, limit int) ([]string, error) {
		var found struct {
			Data []struct{ Filename string }
		}
		if err := s.do(ctx, http.MethodPost, "/v1/vector_stores/quality/search", map[string]any{"query": question, "max_num_results": 2 * limit, "mode": mode}, &found); err != nil {
			return nil, err
		}
		var ids []string
		seen := map[string]bool{}
		for _, hit := range found.Data {
			if documentID := strings.TrimSuffix(hit.Filename, ".txt"); !seen[documentID] && len(ids) < limit {
				seen[documentID] = true
				ids = append(ids, documentID)
			}
		}
		return ids, nil
	}
}

func (s *server) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	return json.NewDecoder(res.Body).Decode(out)
}
