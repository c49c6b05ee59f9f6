package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

func documentsCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "documents", Short: "Say where documents came from, prove deletions, erase by metadata, and place legal holds",
		Example: "  airfield documents proof doc_…\n  airfield documents erase people --where employee=4711 --dry-run\n  airfield documents hold doc_… --reason 'case 12/26'",
	}
	cmd.AddCommand(proofCommand(env), lineageCommand(env), eraseCommand(env), erasureCommand(env), holdCommand(env, true), holdCommand(env, false), holdsCommand(env))
	return cmd
}

// conditions reads --where FIELD=VALUE, each of which must be true.
func conditions(given []string) (map[string]string, error) {
	where := map[string]string{}
	for _, one := range given {
		field, value, ok := strings.Cut(one, "=")
		if !ok || field == "" || value == "" {
			return nil, usage("--where is written FIELD=VALUE, not %q", one)
		}
		if _, twice := where[field]; twice {
			return nil, usage("--where names %s twice: a document must meet all conditions, so that no document could meet both", field)
		}
		where[field] = value
	}
	return where, nil
}

func eraseCommand(env *environment) *cobra.Command {
	var given []string
	var reason string
	var dry, yes bool
	cmd := &cobra.Command{
		Use: "erase COLLECTION", Short: "Delete every document that has some metadata", Args: cobra.ExactArgs(1),
		Long: `Each --where must be true of a document: of its live version, or of another version whose bytes are kept. A list, such as tags, has each of its members.
--dry-run shows what would go; --yes deletes it, and keeps a record that airfield documents erasure shows with the proof of each document. What is under a legal
hold stays. Documents that come later with the same metadata are not deleted: take them out of their source too.`,
		Example: "  airfield documents erase people --where employee=4711 --dry-run\n  airfield documents erase people --where employee=4711 --yes --reason 'request of 3 March'",
		RunE: func(cmd *cobra.Command, args []string) error {
			where, err := conditions(given)
			if err != nil {
				return err
			}
			if len(where) == 0 || dry == yes {
				return usage("give --where FIELD=VALUE, and either --dry-run to see what would go or --yes to delete it")
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			ctx, path := cmd.Context(), "/api/collections/"+url.PathEscape(args[0])+"/erasures"
			plan, err := post[ingest.Erasure](ctx, c, path, admin.EraseBody{Where: where, DryRun: true})
			if err != nil {
				return err
			}
			if dry {
				return env.show(plan, func() { env.plan(plan) })
			}
			done, err := post[ingest.Erasure](ctx, c, path, admin.EraseBody{Where: where, Reason: reason})
			if err != nil {
				return err
			}
			err = env.show(done, func() {
				env.plan(plan)
				env.printf("erasure %s: %d hidden and being purged; its proofs: airfield documents erasure %s\n", done.ID, done.Matched-done.Held, done.ID)
			})
			if err == nil && done.Held > 0 {
				err = fault.New(fault.Conflict, "document_held", "%d of %d documents are under a legal hold and were not erased", done.Held, done.Matched).
					Hinted("airfield documents holds says why; erase again when they are released")
			}
			return err
		},
	}
	cmd.Flags().StringArrayVar(&given, "where", nil, "FIELD=VALUE that a document must have; may be given several times")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record; without what is to be erased")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only show what would be deleted")
	cmd.Flags().BoolVar(&yes, "yes", false, "delete it")
	return cmd
}

// plan shows what an erasure is about.
func (e *environment) plan(plan ingest.Erasure) {
	e.printf("%d documents of collection %s match, %d of them under a legal hold\n", plan.Matched, plan.Collection, plan.Held)
	var rows [][]any
	for _, x := range plan.Examples {
		note := ""
		switch {
		case x.Held:
			note = "held: stays"
		case x.Earlier:
			note = "by a version that is not live"
		}
		rows = append(rows, []any{x.DocumentID, x.Source, x.SourceKey, note})
	}
	e.table([]string{"DOCUMENT", "SOURCE", "FILE", "NOTE"}, rows, "nothing would be deleted: check the name of the field and the value, which must be the same in every letter")
	if more := plan.Matched - len(plan.Examples); more > 0 {
		e.printf("and %d more\n", more)
	}
}

func erasureCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "erasure ID", Short: "Show the record of an erasure, with the proof of each document", Args: cobra.ExactArgs(1),
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			e, err := get[ingest.Erasure](ctx, c, "/api/erasures/"+url.PathEscape(args[0]))
			if err != nil {
				return err
			}
			return env.show(e, func() {
				env.printf("%s: by %s, ordered %s by %s\n", e.ID, strings.Join(e.Fields, ", "), e.CreatedAt.Local().Format("2006-01-02 15:04:05"), printable(e.OrderedBy))
				if e.Reason != "" {
					env.printf("reason: %s\n", printable(e.Reason))
				}
				env.printf("%d matched, %d purged, %d held\n", e.Matched, e.Purged, e.Held)
				var rows [][]any
				for _, d := range e.Documents {
					at := ""
					if !d.PurgedAt.IsZero() {
						at = d.PurgedAt.Local().Format("2006-01-02 15:04:05")
					}
					rows = append(rows, []any{d.DocumentID, d.State, d.Removed["chunks"], d.Removed["vectors"], d.Removed["objects"], at})
				}
				env.table([]string{"DOCUMENT", "STATE", "CHUNKS", "VECTORS", "OBJECTS", "PURGED"}, rows, "no document had the metadata")
				env.printf("%s\n", e.Scope)
			})
		}),
	}
}

// holdCommand is hold, and release.
func holdCommand(env *environment, place bool) *cobra.Command {
	verb, short, done := "release", "Release documents from a legal hold", "released"
	if place {
		verb, short, done = "hold", "Place documents under a legal hold: nothing deletes them until it is released", "held"
	}
	var given []string
	var reason, collection string
	cmd := &cobra.Command{
		Use: verb + " [DOCUMENT-ID…]", Short: short,
		Long:    "Names documents by their ids, or all of a collection with some metadata by --collection and --where. What went from its source while it was held is hidden, and purged when it is released.",
		Example: "  airfield documents " + verb + " doc_… --reason 'case 12/26'\n  airfield documents " + verb + " -c contracts --where customer=Hansa --reason 'case 12/26'",
		RunE: func(cmd *cobra.Command, args []string) error {
			where, err := conditions(given)
			if err != nil {
				return err
			}
			byFilter := len(where) > 0 && collection != "" && len(args) == 0
			byID := len(args) > 0 && len(where) == 0 && collection == ""
			if !byFilter && !byID {
				return usage("name documents by their ids, or give --collection and --where")
			}
			if strings.TrimSpace(reason) == "" {
				return usage("--reason is needed: the audit log keeps it")
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			count := admin.Count{Count: len(args)}
			if byFilter {
				if count, err = post[admin.Count](cmd.Context(), c, "/api/collections/"+url.PathEscape(collection)+"/"+verb, admin.HoldMatchesBody{Where: where, Reason: reason}); err != nil {
					return err
				}
			}
			for _, documentID := range args {
				if err := c.do(cmd.Context(), http.MethodPost, "/api/documents/"+url.PathEscape(documentID)+"/"+verb, admin.HoldBody{Reason: reason}, nil); err != nil {
					return err
				}
			}
			return env.show(count, func() { env.printf("%d %s\n", count.Count, done) })
		},
	}
	cmd.Flags().StringArrayVar(&given, "where", nil, "FIELD=VALUE that a document must have; may be given several times")
	cmd.Flags().StringVarP(&collection, "collection", "c", "", "the collection that --where looks in")
	cmd.Flags().StringVar(&reason, "reason", "", "why; the audit log keeps it")
	return cmd
}

func holdsCommand(env *environment) *cobra.Command {
	var collection string
	var limit int
	cmd := &cobra.Command{
		Use: "holds", Short: "List the documents that are under a legal hold", Args: cobra.NoArgs,
		RunE: env.connected(func(ctx context.Context, c *client, _ []string) error {
			list, err := get[[]ingest.Hold](ctx, c, "/api/holds?"+url.Values{"collection": {collection}, "limit": {strconv.Itoa(limit)}}.Encode())
			if err != nil {
				return err
			}
			return env.show(list, func() {
				var rows [][]any
				for _, h := range list {
					state := "found"
					if !h.HiddenSince.IsZero() {
						state = "hidden"
					}
					rows = append(rows, []any{h.DocumentID, fmt.Sprintf("%s (%s)", h.SourceKey, h.Source), state, short(h.Reason, 60), h.PlacedBy, ago(h.PlacedAt)})
				}
				env.table([]string{"DOCUMENT", "FILE", "STATE", "REASON", "BY", "SINCE"}, rows, "nothing is under a legal hold")
			})
		}),
	}
	cmd.Flags().StringVarP(&collection, "collection", "c", "", "only of this collection")
	cmd.Flags().IntVar(&limit, "limit", 100, "at most this many")
	return cmd
}
