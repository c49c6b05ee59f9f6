package cli

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"airfield/internal/ingest"
)

func lineageCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "lineage CHUNK-ID|VERSION-ID|DOCUMENT", Short: "Show where something that was cited came from: version, run and source", Args: cobra.ExactArgs(1),
		Long:    "A citation names its chunk_id, version_id and document_id. DOCUMENT may also be its name in its source.",
		Example: "  airfield documents lineage chk_…\n  airfield documents lineage contracts/a.pdf",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			of := args[0]
			if !slices.ContainsFunc([]string{"chk_", "ver_", "doc_"}, func(prefix string) bool { return strings.HasPrefix(of, prefix) }) {
				found, err := c.documentID(ctx, of)
				if err != nil {
					return err
				}
				of = found
			}
			l, err := get[ingest.Lineage](ctx, c, "/api/lineage?of="+url.QueryEscape(of))
			if err != nil {
				return err
			}
			return env.show(l, func() { env.lineage(l) })
		}),
	}
}

func (e *environment) lineage(l ingest.Lineage) {
	const moment = "2006-01-02 15:04:05"
	if l.Chunk != nil {
		e.printf("chunk       %s, number %d of version %d\n", l.Chunk.ID, l.Chunk.Ordinal+1, l.Version.Number)
	}
	e.printf("document    %s in collection %s\n", l.Document.ID, l.Document.Collection)
	e.printf("source      %s (%s): %s\n", l.Document.Source, l.Document.SourceKind, printable(l.Document.SourceKey))
	e.printf("version     %d, %s, %s, came %s\n", l.Version.Number, l.Version.State, l.Version.ID, l.Version.CreatedAt.Local().Format(moment))
	e.printf("bytes       %s, sha256 %s\n", size(l.Version.Bytes), l.Version.SHA256)
	if l.Version.BucketKey != "" {
		e.printf("bucket      %s version %s\n", l.Version.BucketKey, l.Version.BucketVersion)
	}
	e.printf("generation  %s, %s, %d dimensions\n", l.Generation.ID, l.Generation.Model, l.Generation.Dimensions)
	if l.Run == nil {
		e.printf("run         not kept any more\n")
		return
	}
	e.printf("run         %s, %s\n", l.Run.ID, l.Run.State)
	var rows [][]any
	for _, s := range l.Run.Steps {
		var said []string
		for _, key := range sortedKeys(s.Detail) {
			value, err := json.Marshal(s.Detail[key])
			if err == nil {
				said = append(said, key+"="+printable(string(value)))
			}
		}
		rows = append(rows, []any{s.Name, s.Attempts, s.StartedAt.Local().Format(moment), brief(s.EndedAt.Sub(s.StartedAt)), strings.Join(said, " ")})
	}
	e.table([]string{"STEP", "FAILED TRIES", "AT", "TOOK", "BY"}, rows, "no step is done yet")
}
