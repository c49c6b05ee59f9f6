package cli

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"airfield/internal/fault"
	"airfield/internal/ingest/chunk"
	"airfield/internal/ingest/extract"
)

func chunkCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "chunk", Short: "See how documents are cut", Args: cobra.NoArgs}
	cmd.AddCommand(previewCommand(env))
	return cmd
}

// Preview is what `airfield chunk preview --json` prints.
type Preview struct {
	File     string         `json:"file"`
	Title    string         `json:"title"`
	Type     string         `json:"media_type"`
	Chunking chunk.Config   `json:"chunking"`
	Partial  bool           `json:"partial"`
	Warnings []string       `json:"warnings"`
	Tokens   int            `json:"tokens"` // of all chunks, what is repeated counted again
	Chunks   []PreviewChunk `json:"chunks"`
}

// PreviewChunk is one of its chunks. Ids belong to documents of a collection, so it has none.
type PreviewChunk struct {
	Ordinal  int      `json:"ordinal"`
	Tokens   int      `json:"tokens"`
	Kind     string   `json:"kind"`
	Heading  []string `json:"heading"`
	PageFrom int      `json:"page_from,omitempty"`
	PageTo   int      `json:"page_to,omitempty"`
	Anchor   string   `json:"anchor,omitempty"`
	Text     string   `json:"text"`
}

func previewCommand(env *environment) *cobra.Command {
	var collection string
	given := chunk.Default()
	cmd := &cobra.Command{
		Use: "preview FILE", Short: "Cut a file as it would be ingested, and show the chunks",
		Long: `Reads the file and cuts it, without a server and without keeping anything. --collection takes the chunking, the records and the limits of
airfield.yaml; the other flags change them for this call.`,
		Example: "  airfield chunk preview handbook.pdf\n  airfield chunk preview --strategy recursive --tokens 200 handbook.pdf\n  airfield chunk preview --collection handbook --json rates.xlsx",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cutting, limits := chunk.Default(), extract.Default()
			var records *extract.Records
			if collection != "" {
				c, _, err := env.load()
				if err != nil {
					return err
				}
				found, ok := c.Collections[collection]
				if !ok {
					return fault.New(fault.NotFound, "collection_not_found", "%s names no collection %q", env.configPath(), collection)
				}
				cutting, limits, records = found.Chunking, c.Extract, found.Records
				limits.CacheDir = filepath.Join(c.Data, "cache")
			}
			for name, set := range map[string]func(){
				"strategy":       func() { cutting.Strategy = given.Strategy },
				"tokens":         func() { cutting.Tokens = given.Tokens },
				"max-tokens":     func() { cutting.Max = given.Max },
				"overlap-tokens": func() { cutting.Overlap = given.Overlap },
			} {
				if cmd.Flags().Changed(name) {
					set()
				}
			}
			if cmd.Flags().Changed("tokens") && !cmd.Flags().Changed("max-tokens") {
				cutting.Max = max(cutting.Max, 2*cutting.Tokens)
			}
			warnings, err := cutting.Check()
			if err != nil {
				return usage("%w", err)
			}
			limits.Children = 1
			p, err := preview(cmd.Context(), args[0], cutting, limits, records)
			if err != nil {
				return err
			}
			p.Warnings = append(p.Warnings, warnings...)
			return env.show(p, func() { env.preview(p) })
		},
	}
	f := cmd.Flags()
	f.StringVarP(&collection, "collection", "c", "", "collection of airfield.yaml whose chunking to take")
	f.StringVar(&given.Strategy, "strategy", given.Strategy, strings.Join(chunk.Strategies(), ", "))
	f.IntVar(&given.Tokens, "tokens", given.Tokens, "size in tokens that chunks are packed to")
	f.IntVar(&given.Max, "max-tokens", given.Max, "most tokens a chunk may have (default: twice --tokens)")
	f.IntVar(&given.Overlap, "overlap-tokens", given.Overlap, "tokens of the preceding chunk to repeat")
	return cmd
}

// preview reads and cuts one file, as the pipeline does where nothing is said about the document.
func preview(ctx context.Context, path string, cutting chunk.Config, limits extract.Config, records *extract.Records) (Preview, error) {
	extractor := extract.New(limits, slog.New(slog.DiscardHandler))
	defer extractor.Close()
	var blocks []chunk.Block
	read, err := extractor.ExtractRecords(ctx, path, filepath.Base(path), "", records, func(p extract.Page) error {
		for _, b := range p.Blocks {
			blocks = append(blocks, chunk.Block(b))
		}
		return nil
	})
	if err != nil {
		return Preview{}, err
	}
	p := Preview{File: path, Title: read.Title, Type: read.MediaType, Chunking: cutting, Partial: read.Partial,
		Warnings: append([]string{}, read.Warnings...), Chunks: []PreviewChunk{}}
	for _, c := range chunk.Split(cutting, "", read.Title, blocks) {
		p.Tokens += c.Tokens
		p.Chunks = append(p.Chunks, PreviewChunk{Ordinal: c.Ordinal, Tokens: c.Tokens, Kind: c.Kind, Heading: append([]string{}, c.Heading...),
			PageFrom: c.PageFrom, PageTo: c.PageTo, Anchor: c.Anchor, Text: c.Text})
	}
	return p, nil
}

func (e *environment) preview(p Preview) {
	for _, c := range p.Chunks {
		where := printable(strings.Join(c.Heading, " › "))
		switch {
		case c.PageFrom > 0 && c.PageTo > c.PageFrom:
			where += fmt.Sprintf(", pages %d-%d", c.PageFrom, c.PageTo)
		case c.PageFrom > 0:
			where += fmt.Sprintf(", page %d", c.PageFrom)
		}
		e.printf("── %d · %d tokens · %s · %s\n", c.Ordinal+1, c.Tokens, c.Kind, where)
		for line := range strings.Lines(c.Text) {
			e.printf("%s\n", printable(strings.TrimRight(line, "\n")))
		}
		e.printf("\n")
	}
	mean := 0
	if len(p.Chunks) > 0 {
		mean = p.Tokens / len(p.Chunks)
	}
	e.printf("%d chunks of %d tokens on average, by the strategy %s\n", len(p.Chunks), mean, p.Chunking.Strategy)
	for _, w := range p.Warnings {
		e.printf("warning: %s\n", printable(w))
	}
}
