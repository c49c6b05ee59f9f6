package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
	"airfield/internal/id"
	"airfield/internal/ingest"
)

func statusCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show what each collection holds and how its sources are", Args: cobra.NoArgs,
		RunE: env.connected(func(ctx context.Context, c *client, _ []string) error {
			all, err := get[[]admin.CollectionStatus](ctx, c, "/api/collections")
			if err != nil {
				return err
			}
			return env.show(all, func() {
				var rows [][]any
				for _, one := range all {
					v := one.Status.Versions
					rows = append(rows, []any{one.Name, one.Status.Documents, v[ingest.Live], v[ingest.Pending] + v[ingest.Running], v[ingest.Dead], one.Status.Chunks, size(one.Status.Bytes), one.Model})
				}
				env.table([]string{"COLLECTION", "DOCUMENTS", "LIVE", "ON THE WAY", "DEAD", "CHUNKS", "SIZE", "EMBEDDED BY"}, rows, "there is no collection yet: add one under collections in airfield.yaml")
				for _, one := range all {
					for _, s := range one.Status.Sources {
						if s.State != "ok" {
							env.printf("%s/%s is %s: %s\n", one.Name, s.Name, s.State, printable(s.Message))
						}
					}
				}
			})
		}),
	}
}

func listCommand(env *environment) *cobra.Command {
	var collection, state string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the documents of a collection", Args: cobra.NoArgs,
		RunE: env.connected(func(ctx context.Context, c *client, _ []string) error {
			name, err := c.collection(ctx, collection)
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			if state != "" {
				q.Set("state", state)
			}
			docs, err := get[[]ingest.Document](ctx, c, "/api/collections/"+url.PathEscape(name)+"/documents?"+q.Encode())
			if err != nil {
				return err
			}
			return env.show(docs, func() {
				var rows [][]any
				for _, d := range docs {
					rows = append(rows, []any{d.ID, d.SourceKey, fmt.Sprintf("v%d %s", d.Newest.Number, d.Newest.State), d.Tier.String(), d.Type, short(d.Title, 40)})
				}
				empty := "there is no document yet: airfield ingest FILE puts one in"
				if state != "" {
					empty = "there is no such document"
				}
				env.table([]string{"DOCUMENT", "FILE", "VERSION", "TIER", "TYPE", "TITLE"}, rows, empty)
			})
		}),
	}
	cmd.Flags().StringVarP(&collection, "collection", "c", "", "name of the collection")
	cmd.Flags().StringVar(&state, "state", "", "only those whose newest version is pending, running, live, superseded or dead")
	cmd.Flags().IntVar(&limit, "limit", 100, "at most this many")
	return cmd
}

func whyCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "why DOCUMENT", Short: "Explain where a document stands, and why it waits", Args: cobra.ExactArgs(1),
		Long: "DOCUMENT is an id, or the document's name in its source, such as contracts/a.pdf.",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			why, err := get[ingest.Explanation](ctx, c, "/api/why?document="+url.QueryEscape(args[0]))
			if err != nil {
				return err
			}
			return env.show(why, func() {
				for _, line := range why.Lines {
					env.printf("%s\n", printable(line))
				}
			})
		}),
	}
}

// documentID resolves an id or a document's name in a source.
func (c *client) documentID(ctx context.Context, idOrName string) (string, error) {
	if id.Has(idOrName, "doc") {
		return idOrName, nil
	}
	why, err := get[ingest.Explanation](ctx, c, "/api/why?document="+url.QueryEscape(idOrName))
	return why.Document.ID, err
}

func ingestDeleteCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "delete DOCUMENT…", Short: "Delete documents: hidden at once, purged durably", Args: cobra.MinimumNArgs(1),
		Long: "The next search does not find them; bytes, chunks, vectors and old versions are removed by a durable run that counts what is left: airfield ingest proof.",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			done := []string{}
			for _, arg := range args {
				documentID, err := c.documentID(ctx, arg)
				if err != nil {
					return err
				}
				if err := c.do(ctx, http.MethodDelete, "/api/documents/"+url.PathEscape(documentID), nil, nil); err != nil {
					return err
				}
				done = append(done, documentID)
			}
			return env.show(done, func() {
				for _, one := range done {
					env.printf("deleted %s\n", one)
				}
			})
		}),
	}
}

func proofCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "proof DOCUMENT-ID", Short: "Show the proof of a document's deletion", Args: cobra.ExactArgs(1),
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			proof, err := get[ingest.Proof](ctx, c, "/api/documents/"+url.PathEscape(args[0])+"/proof")
			if err != nil {
				return err
			}
			return env.show(proof, func() {
				env.printf("deleted %s, purged %s\n", proof.DeletedAt.Local().Format("2006-01-02 15:04:05"), proof.PurgedAt.Local().Format("2006-01-02 15:04:05"))
				var rows [][]any
				for _, store := range sortedKeys(proof.Removed) {
					rows = append(rows, []any{store, proof.Removed[store], proof.Left[store]})
				}
				env.table([]string{"STORE", "REMOVED", "LEFT"}, rows, "nothing was stored")
				env.printf("%s\n", proof.Scope)
				var beyond [][]any
				for _, b := range proof.Beyond {
					until := ""
					if !b.Until.IsZero() {
						until = b.Until.Local().Format("2006-01-02")
					}
					beyond = append(beyond, []any{b.What, until, b.Note})
				}
				if len(beyond) > 0 {
					env.table([]string{"MAY STILL HOLD IT", "UNTIL", "NOTE"}, beyond, "")
				}
			})
		}),
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// source reads COLLECTION/SOURCE.
func source(arg string) (string, error) {
	collection, name, ok := strings.Cut(arg, "/")
	if !ok || collection == "" || name == "" {
		return "", usage("a source is written COLLECTION/SOURCE; airfield ingest status names those that need something")
	}
	return "/api/collections/" + url.PathEscape(collection) + "/sources/" + url.PathEscape(name), nil
}

func scanCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "scan COLLECTION/SOURCE", Short: "Compare a source with what is there, now", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return env.onSource(cmd, args[0], "scan", "scanned") },
	}
}

func confirmCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "confirm COLLECTION/SOURCE", Short: "Let a held source remove what it holds back", Args: cobra.ExactArgs(1),
		Long: "A source that would remove more than 30 % and more than 20 of its documents at once is held until this says that it is meant.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.onSource(cmd, args[0], "confirm", "confirmed")
		},
	}
}

func (e *environment) onSource(cmd *cobra.Command, arg, verb, done string) error {
	path, err := source(arg)
	if err != nil {
		return err
	}
	c, err := e.connect()
	if err != nil {
		return err
	}
	if err := c.do(cmd.Context(), http.MethodPost, path+"/"+verb, nil, nil); err != nil {
		return err
	}
	return e.show(map[string]string{done: arg}, func() { e.printf("%s %s\n", done, arg) })
}
