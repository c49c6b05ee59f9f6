// Package mcp is the door for assistants: over the Model Context Protocol they list collections, search them, have
// questions answered and read documents, each within the workflow and the clearance of the key that is shown.
// https://modelcontextprotocol.io/specification
package mcp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"airfield/internal/api"
	"airfield/internal/fault"
	"airfield/internal/ingest"
	"airfield/internal/retrieve"
)

// Door serves /mcp.
type Door struct {
	Ingest         *ingest.Pipeline
	Retrieve       *retrieve.Retriever
	Version        string
	Authentication api.Authenticate
	Log            *slog.Logger
}

// maxMessage bounds a request: a question, a filter.
const maxMessage = 1 << 20

const instructions = "Searches the documents of this organisation that your key may see. list_collections says what there is; search finds passages; " +
	"answer has a question answered from the documents, with citations; get_document reads one. Cite documents by their title, with heading or page."

// Handler returns the door. No session is kept: each request stands for itself, so that any of several processes behind
// a load balancer can answer it.
func (d *Door) Handler() http.Handler { return d.handler(d.server()) }

func (d *Door) handler(server *sdk.Server) http.Handler {
	serve := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return server }, &sdk.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, MaxRequestBodyBytes: maxMessage, PropagateRequestCancellation: true,
		DisableLocalhostProtection: true, // foreign, below, does the same for browsers and lets proxies on this machine through
	})
	return foreign(api.Guard(d.Authentication, api.WriteProblem, api.ModelRoles, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			serve.ServeHTTP(w, r) // which says what is taken
			return
		}
		body, err := api.Body(w, r, maxMessage)
		if fault.Is(err, fault.TooLarge) {
			err = fault.New(fault.TooLarge, "request_too_large", "a message has at most %d bytes", maxMessage)
		}
		if err == nil && bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
			err = fault.New(fault.Invalid, "batch_unsupported", "a request holds one message, not a list").Hinted("the protocol has no lists of messages since 2025-06-18")
		}
		if err != nil {
			api.WriteProblem(w, r, err)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		serve.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, r.Context())))
	})))
}

// requestKey is under what a request's own context is found, which ends when the client leaves.
type requestKey struct{}

// foreign refuses what a page of another site sends from somebody's browser, also where that site's name was made to
// point at this machine.
func foreign(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := protection.Check(r)
		local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if r.Header.Get("Origin") != "" && ok && loopback(local.String()) && !loopback(r.Host) {
			err = errors.New("a loopback address under another name")
		}
		if err != nil {
			api.WriteProblem(w, r, fault.New(fault.Denied, "origin_denied", "pages of other sites may not use this: %w", err))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// server has the tools and the resources.
func (d *Door) server() *sdk.Server {
	s := sdk.NewServer(&sdk.Implementation{Name: "airfield", Title: "Airfield", Version: d.Version}, &sdk.ServerOptions{
		Instructions: instructions, Capabilities: &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{}, Resources: &sdk.ResourceCapabilities{}},
	})
	for _, t := range Tools() {
		t.add(d, s)
	}
	s.AddResourceTemplate(&sdk.ResourceTemplate{
		Name: "document", Title: "Document", URITemplate: documentURI + "{id}", MIMEType: "text/plain", Description: "The text of a document, by its id.",
	}, d.readDocument)
	return s
}

// Tool is one that the door offers.
type Tool struct {
	Name, Title, Description string
	add                      func(*Door, *sdk.Server)
}

// Tools are all of them, for the reference. The server is made from the same list.
func Tools() []Tool {
	return []Tool{
		tool("list_collections", "List collections", "Lists the collections of documents that can be searched.", (*Door).listCollections),
		tool("search", "Search documents", "Finds the passages that fit a query best, with the document, heading and page each is from. The result is passages, not an answer.", (*Door).search),
		tool("answer", "Answer from documents", "Has a question answered by a language model from the documents alone, with citations, or says that they do not hold the answer. It costs what the model costs.", (*Door).answer),
		tool("list_documents", "List documents", "Lists the documents of a collection, page by page.", (*Door).listDocuments),
		tool("get_document", "Read a document", "Reads the text of a document by its id, part by part: the result says where the next part begins.", (*Door).getDocument),
	}
}

// answered is what a tool gives: the same for programs and for people.
type answered[Out any] struct {
	out  Out
	text string
}

// tool makes a tool of a function. What goes wrong is told to the assistant, which can do something about it, in the words
// that users get everywhere; a panic is one call's error.
func tool[In, Out any](name, title, description string, do func(*Door, context.Context, In) (answered[Out], error)) Tool {
	no := false
	add := func(d *Door, s *sdk.Server) {
		sdk.AddTool(s, &sdk.Tool{Name: name, Title: title, Description: description, Annotations: &sdk.ToolAnnotations{Title: title, ReadOnlyHint: true, IdempotentHint: true, OpenWorldHint: &no}},
			func(ctx context.Context, _ *sdk.CallToolRequest, in In) (res *sdk.CallToolResult, out Out, err error) {
				defer func() {
					if p := recover(); p != nil {
						d.Log.Error("a tool panicked", "part", "mcp", "tool", name, "panic", p, "stack", string(debug.Stack()))
						err = errors.New(told(errors.New("panic")))
					}
				}()
				ctx, stop := whileAsked(ctx)
				defer stop()
				a, err := do(d, ctx, in)
				if err != nil {
					if fault.Is(err, fault.Internal) {
						d.Log.Error("a tool failed", "part", "mcp", "tool", name, "error", err)
					}
					return nil, out, errors.New(told(err))
				}
				return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: a.text}}}, a.out, nil
			})
	}
	return Tool{name, title, description, add}
}

// whileAsked ends when whoever asked has left.
func whileAsked(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if request, ok := ctx.Value(requestKey{}).(context.Context); ok {
		stop := context.AfterFunc(request, cancel)
		return ctx, func() { stop(); cancel() }
	}
	return ctx, cancel
}

// told is an error as an assistant reads it: what is wrong and what to do, and never its cause.
func told(err error) string {
	f := fault.As(err)
	text := f.Text + " (" + f.Code + ")"
	if f.Hint != "" {
		text += " — " + f.Hint
	}
	if f.RetryAfter > 0 {
		text += " — try again in " + f.RetryAfter.String()
	}
	return text
}
