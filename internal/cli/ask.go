package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"airfield/internal/fault"
	"airfield/internal/retrieve"
)

// answered is what POST /v1/answers returns.
type answered struct {
	retrieve.Answer
	CostUSD string `json:"cost_usd"`
}

func askCommand(env *environment) *cobra.Command {
	var collections []string
	var model, filter string
	var limit int
	cmd := &cobra.Command{
		Use: "ask QUESTION", Short: "Answer a question from the documents, with citations", Args: cobra.MinimumNArgs(1),
		Long:    "Prints an answer whose every statement names its document, version and page or heading. Exit code 3 if the documents do not hold an answer.",
		Example: "  airfield ask \"How long may a container wait at the terminal?\"",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			if len(collections) == 0 {
				name, err := c.collection(ctx, "")
				if err != nil {
					return err
				}
				collections = []string{name}
			}
			body := map[string]any{"question": strings.Join(args, " "), "collections": collections, "model": model, "limit": limit}
			if err := addFilter(body, filter); err != nil {
				return err
			}
			var a answered
			if err := c.do(ctx, http.MethodPost, "/v1/answers", body, &a); err != nil {
				return err
			}
			if err := env.show(a, func() { env.answer(a) }); err != nil {
				return err
			}
			if !a.Found {
				return told{fault.New(fault.NotFound, "answer_not_found", "the documents hold no answer to that (%s)", a.Reason)}
			}
			return nil
		}),
	}
	f := cmd.Flags()
	f.StringSliceVarP(&collections, "collection", "c", nil, "name of a collection; may be given several times")
	f.StringVar(&model, "model", "", "the model that answers (default: the collection's)")
	f.StringVar(&filter, "filter", "", `only documents that match: {"type":"eq","key":"type","value":"contract"}`)
	f.IntVar(&limit, "passages", 0, "how many passages the answer is written from")
	return cmd
}

// answer prints an answer as a person reads it.
func (e *environment) answer(a answered) {
	e.printf("%s\n", printable(a.Text))
	for _, c := range a.Citations {
		e.printf("%s %s\n", e.colour(text.FgCyan, fmt.Sprintf("  [%d]", c.N)), printable(where(c)))
		if c.Quote != "" {
			e.printf("      “%s”\n", printable(short(strings.Join(strings.Fields(c.Quote), " "), 160)))
		}
	}
	cost := "$" + a.CostUSD
	if !a.Priced {
		cost = "price unknown"
	}
	if a.Model != "" {
		e.printf("%s\n", e.colour(text.Faint, fmt.Sprintf("  %s · %d tokens in, %d out · %s · call %s · trace %s", a.Model, a.Usage.Prompt(), a.Usage.Completion(), cost, a.CallID, a.TraceID)))
	}
}

// where says where a citation points: document, version, page, heading.
func where(c retrieve.Citation) string {
	parts := []string{c.Document}
	if c.Name != c.Document {
		parts[0] = fmt.Sprintf("%s (%s)", c.Document, c.Name)
	}
	parts = append(parts, fmt.Sprintf("version %d", c.Version))
	switch {
	case c.PageFrom > 0 && c.PageTo > c.PageFrom:
		parts = append(parts, fmt.Sprintf("pages %d–%d", c.PageFrom, c.PageTo))
	case c.PageFrom > 0:
		parts = append(parts, fmt.Sprintf("page %d", c.PageFrom))
	}
	if len(c.Heading) > 0 {
		parts = append(parts, "§ "+c.Heading[len(c.Heading)-1])
	}
	return strings.Join(parts, ", ")
}

// found is what POST /v1/vector_stores/{id}/search returns.
type found struct {
	Data []struct {
		DocumentID string         `json:"document_id"`
		Filename   string         `json:"filename"`
		Title      string         `json:"title"`
		Version    int            `json:"version"`
		ChunkID    string         `json:"chunk_id"`
		Score      float64        `json:"score"`
		Heading    []string       `json:"heading"`
		PageFrom   int            `json:"page_from"`
		PageTo     int            `json:"page_to"`
		Tier       string         `json:"tier"`
		Attributes map[string]any `json:"attributes"`
		Content    []struct {
			Text string `json:"text"`
		} `json:"content"`
	} `json:"data"`
}

func searchCommand(env *environment) *cobra.Command {
	var collection, mode, filter string
	var limit int
	cmd := &cobra.Command{
		Use: "search QUERY", Short: "Find passages in a collection", Args: cobra.MinimumNArgs(1),
		Example: "  airfield search \"notice period\" --limit 5\n  airfield search demurrage --filter '{\"type\":\"eq\",\"key\":\"type\",\"value\":\"contract\"}'",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			name, err := c.collection(ctx, collection)
			if err != nil {
				return err
			}
			body := map[string]any{"query": strings.Join(args, " "), "max_num_results": limit, "mode": mode}
			if err := addFilter(body, filter); err != nil {
				return err
			}
			var result found
			if err := c.do(ctx, http.MethodPost, "/v1/vector_stores/"+url.PathEscape(name)+"/search", body, &result); err != nil {
				return err
			}
			return env.show(result.Data, func() {
				for i, h := range result.Data {
					place := where(retrieve.Citation{Document: h.Title, Name: h.Filename, Version: h.Version, PageFrom: h.PageFrom, PageTo: h.PageTo, Heading: h.Heading})
					env.printf("%2d %.3f  %s\n", i+1, h.Score, env.colour(text.Bold, printable(place)))
					for _, part := range h.Content {
						env.printf("   %s\n", printable(short(strings.Join(strings.Fields(part.Text), " "), 240)))
					}
				}
				if len(result.Data) == 0 {
					env.printf("nothing was found\n")
				}
			})
		}),
	}
	f := cmd.Flags()
	f.StringVarP(&collection, "collection", "c", "", "name of the collection (default: the only one)")
	f.StringVar(&mode, "mode", "", "hybrid, keyword or vector (default: hybrid)")
	f.StringVar(&filter, "filter", "", "only documents that match, as JSON")
	f.IntVar(&limit, "limit", 10, "at most this many passages")
	return cmd
}

// addFilter puts a --filter into a request as it was written.
func addFilter(body map[string]any, filter string) error {
	if filter == "" {
		return nil
	}
	if !json.Valid([]byte(filter)) {
		return usage("--filter is not JSON: %s", filter)
	}
	body["filters"] = json.RawMessage(filter)
	return nil
}
