package cli

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"airfield/internal/fault"
	"airfield/internal/ingest"
	"airfield/internal/ingest/extract"
)

func recordsCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "records", Short: "See what objects and rows become", Args: cobra.NoArgs}
	cmd.AddCommand(previewRecordsCommand(env))
	return cmd
}

// RecordsPreview is what `airfield records preview --json` prints.
type RecordsPreview struct {
	File      string                  `json:"file"`
	Type      string                  `json:"media_type"`
	Records   int                     `json:"records"`
	LeftOut   int                     `json:"left_out"`
	OnInvalid string                  `json:"on_invalid"`
	Failures  []extract.RecordFailure `json:"failures"`
	More      int                     `json:"more_failures"`
	Metadata  *ingest.Metadata        `json:"metadata"` // of the document; null where it cannot be used
	Problem   string                  `json:"metadata_problem,omitempty"`
	Warnings  []string                `json:"warnings"`
	Shown     []PreviewRecord         `json:"shown"`
}

// PreviewRecord is one record as it would be cut and embedded.
type PreviewRecord struct {
	Place string `json:"place"`
	Title string `json:"title,omitempty"`
	Key   string `json:"key,omitempty"` // as JSON
	Text  string `json:"text"`
}

func previewRecordsCommand(env *environment) *cobra.Command {
	var collection string
	var limit int
	cmd := &cobra.Command{
		Use: "preview FILE", Short: "Make text and metadata of a file's records, and show what is wrong with them",
		Long: `Reads a JSON, JSON Lines, CSV, TSV or XLSX file by what its collection says of records in airfield.yaml, without a server and without
keeping anything. It fails where the document would become a dead letter.`,
		Example: "  airfield records preview --collection parts parts.csv\n  airfield records preview --collection tickets --limit 0 --json ticket-81.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if collection == "" {
				return usage("--collection says by which collection's records")
			}
			if limit < 0 {
				return usage("--limit must not be negative")
			}
			c, _, err := env.load()
			if err != nil {
				return err
			}
			found, ok := c.Collections[collection]
			switch {
			case !ok:
				return fault.New(fault.NotFound, "collection_not_found", "%s names no collection %q", env.configPath(), collection)
			case found.Records == nil:
				return fault.New(fault.Invalid, "records_missing", "%s says nothing of records in the collection %s", env.configPath(), collection).
					Hinted("its objects and rows are read as they are: see airfield chunk preview")
			}
			limits := c.Extract
			limits.CacheDir, limits.Children = filepath.Join(c.Data, "cache"), 1
			p, err := previewRecords(cmd.Context(), args[0], found.CollectionConfig, limits, limit)
			if err != nil {
				return err
			}
			if err := env.show(p, func() { env.previewRecords(p) }); err != nil {
				return err
			}
			switch {
			case p.Records == 0 && p.LeftOut == 0:
				return fault.New(fault.Internal, "records_invalid", "the document would become a dead letter: it holds no records")
			case p.Problem != "":
				return fault.New(fault.Internal, "records_invalid", "the document would become a dead letter: its metadata cannot be used")
			case p.LeftOut > 0 && (p.OnInvalid == extract.InvalidDeadLetter || p.LeftOut >= p.Records):
				return fault.New(fault.Internal, "records_invalid", "the document would become a dead letter: %d of %d records are not as they must be", p.LeftOut, max(p.Records, p.LeftOut))
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&collection, "collection", "c", "", "collection of airfield.yaml whose records to take")
	cmd.Flags().IntVar(&limit, "limit", 10, "records to show; 0 for all")
	return cmd
}

func previewRecords(ctx context.Context, path string, c ingest.CollectionConfig, limits extract.Config, limit int) (RecordsPreview, error) {
	extractor := extract.New(limits, slog.New(slog.DiscardHandler))
	defer extractor.Close()
	p := RecordsPreview{File: path, OnInvalid: c.Records.OnInvalid, Warnings: []string{}, Shown: []PreviewRecord{}}
	if p.OnInvalid == "" {
		p.OnInvalid = extract.InvalidDeadLetter
	}
	read, err := extractor.PreviewRecords(ctx, path, filepath.Base(path), c.Records, func(page extract.Page) error {
		for _, b := range page.Blocks {
			if b.Kind == extract.KindRecord && (limit == 0 || len(p.Shown) < limit) {
				p.Shown = append(p.Shown, PreviewRecord{Place: b.Anchor, Title: b.Title, Key: b.Key, Text: b.Text})
			}
		}
		return nil
	})
	if err != nil {
		return p, err
	}
	if read.Records == nil {
		return p, fault.New(fault.Invalid, "records_missing", "%s is %s, which holds no records", path, read.MediaType)
	}
	p.Type, p.Records, p.LeftOut, p.Failures, p.More = read.MediaType, read.Records.Records, read.Records.LeftOut, read.Records.Failures, read.Records.More
	m, warnings, err := c.Foresee(read)
	if err != nil {
		p.Problem = fault.As(err).Text
	} else {
		p.Metadata = &m
	}
	p.Warnings = append(append(p.Warnings, read.Warnings...), warnings...)
	return p, nil
}

func (e *environment) previewRecords(p RecordsPreview) {
	for _, r := range p.Shown {
		e.printf("── %s\n", printable(strings.Join(nonempty(r.Place, r.Title, r.Key), " · ")))
		for line := range strings.Lines(r.Text) {
			e.printf("%s\n", printable(strings.TrimRight(line, "\n")))
		}
		e.printf("\n")
	}
	if p.Metadata != nil {
		var rows [][]any
		flat := p.Metadata.Flat()
		for _, name := range slices.Sorted(maps.Keys(flat)) {
			rows = append(rows, []any{name, printable(fmt.Sprint(flat[name]))})
		}
		e.table([]string{"METADATA", "OF THE DOCUMENT"}, rows, "")
	}
	if p.Problem != "" {
		e.printf("wrong: %s\n", printable(p.Problem))
	}
	for _, f := range p.Failures {
		e.printf("wrong: %s\n", printable(f.String()))
	}
	if p.More > 0 {
		e.printf("wrong: and %d more\n", p.More)
	}
	for _, w := range p.Warnings {
		e.printf("warning: %s\n", printable(w))
	}
	e.printf("%d records, %d of them left out; shown: %d\n", p.Records, p.LeftOut, len(p.Shown))
}

func nonempty(texts ...string) (out []string) {
	for _, t := range texts {
		if t != "" {
			out = append(out, t)
		}
	}
	return out
}
