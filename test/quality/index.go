package quality

import (
	"context"
	"fmt"
	"slices"
	"time"

	"airfield/internal/caller"
	"airfield/internal/index"
)

const space = "quality"

// Load puts a collection into an index, a document a chunk, with vectors where there is an embedder. It returns
// documents per second.
func Load(ctx context.Context, x index.Index, c *Collection, embed Embedder) (float64, error) {
	start := time.Now()
	for batch := range slices.Chunk(c.Documents, 500) {
		documents, texts := make([]index.Document, len(batch)), make([]string, len(batch))
		for i, d := range batch {
			texts[i] = d.Title + "\n" + d.Text
			documents[i] = index.Document{ID: d.ID, Tier: caller.Public, Chunks: []index.Chunk{{ID: d.ID, Title: d.Title, Text: d.Text}}}
		}
		if embed != nil {
			vectors, err := embed(ctx, texts)
			if err != nil {
				return 0, fmt.Errorf("embed: %w", err)
			}
			for i := range documents {
				documents[i].Chunks[0].Vector = vectors[i]
			}
		}
		if err := x.Replace(ctx, space, documents, 1); err != nil {
			return 0, err
		}
	}
	return float64(len(c.Documents)) / time.Since(start).Seconds(), nil
}

// Keyword searches the words of an index alone.
func Keyword(x index.Index) Searcher {
	return func(ctx context.Context, question string, limit int) ([]string, error) {
		hits, err := x.Search(ctx, index.Query{Space: space, Text: question, Clearance: caller.Public, Limit: limit})
		return documents(hits.Keyword), err
	}
}

// Vector searches the vectors of an index alone.
func Vector(x index.Index, embed Embedder) Searcher {
	return func(ctx context.Context, question string, limit int) ([]string, error) {
		vectors, err := embed(ctx, []string{question})
		if err != nil {
			return nil, fmt.Errorf("embed: %w", err)
		}
		hits, err := x.Search(ctx, index.Query{Space: space, Vector: vectors[0], Clearance: caller.Public, Limit: limit})
		return documents(hits.Vector), err
	}
}

func documents(hits []index.Hit) []string {
	out := make([]string, len(hits))
	for i, h := range hits {
		out[i] = h.DocumentID
	}
	return out
}
