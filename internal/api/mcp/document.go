package mcp

import (
	"context"
	"fmt"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

// documentURI begins the address of a document as a resource.
const documentURI = "airfield://documents/"

type listRequest struct {
	Collection string `json:"collection" jsonschema:"its name"`
	After      string `json:"after,omitempty" jsonschema:"next of the page before"`
	Limit      int    `json:"limit,omitempty" jsonschema:"how many documents are looked at, from 1 to 200; 50 by default"`
}

type documentList struct {
	Documents []documentItem `json:"documents"`
	Next      string         `json:"next,omitempty" jsonschema:"after of the next page; empty where this is the last"`
}

type documentItem struct {
	DocumentID string   `json:"document_id"`
	Title      string   `json:"title"`
	Collection string   `json:"collection"`
	Source     string   `json:"source"`
	SourceKey  string   `json:"source_key" jsonschema:"its name in its source"`
	Tier       string   `json:"tier"`
	Type       string   `json:"type,omitempty"`
	Date       string   `json:"date,omitempty"`
	Tags       []string `json:"tags"`
	State      string   `json:"state" jsonschema:"of its newest version; live is what searches find"`
	URI        string   `json:"uri" jsonschema:"its address as a resource"`
}

func item(d ingest.Document) documentItem {
	return documentItem{d.ID, firstOf(d.Title, d.Newest.Name), d.Collection, d.Source, d.SourceKey, d.Tier.String(), d.Type, d.Date, list(d.Tags), d.Newest.State, documentURI + d.ID}
}

const (
	mostListed = 200
	listed     = 50
)

// listDocuments leaves out what the key is not cleared for, also where its workflow owns the collection: what an assistant
// is told of is what it may read.
func (d *Door) listDocuments(ctx context.Context, q listRequest) (a answered[documentList], err error) {
	if q.Limit < 0 || q.Limit > mostListed {
		return a, fault.New(fault.Invalid, "limit", "limit must be between 1 and %d, not %d", mostListed, q.Limit).At("limit")
	}
	if q.Limit == 0 {
		q.Limit = listed
	}
	all, err := d.Ingest.ListDocuments(ctx, q.Collection, ingest.DocumentFilter{After: q.After, Limit: q.Limit + 1})
	if err != nil {
		return a, err
	}
	if len(all) > q.Limit {
		all = all[:q.Limit]
		a.out.Next = all[q.Limit-1].ID
	}
	a.out.Documents = []documentItem{}
	for _, doc := range all {
		if !caller.From(ctx).Clearance.Sees(doc.Tier) {
			continue
		}
		i := item(doc)
		a.out.Documents = append(a.out.Documents, i)
		a.text += fmt.Sprintf("- %s (document %s, %s, %s)\n", i.Title, i.DocumentID, i.SourceKey, i.State)
	}
	switch {
	case a.out.Next != "":
		a.text += "There are more: after " + a.out.Next
	case a.text == "":
		a.text = "There are no documents in it that this key may see."
	}
	return a, nil
}

type documentRequest struct {
	DocumentID string `json:"document_id"`
	From       int    `json:"from,omitempty" jsonschema:"the passage with which the part begins; next of the part before"`
}

type documentPart struct {
	documentItem
	Version  int           `json:"version" jsonschema:"the number of the version that is read"`
	Total    int           `json:"total" jsonschema:"how many passages the document has"`
	Passages []passagePart `json:"passages"`
	Next     int           `json:"next,omitempty" jsonschema:"from of the next part; left out where this is the last"`
}

type passagePart struct {
	N        int      `json:"n" jsonschema:"its number in the document, from 0"`
	Heading  []string `json:"heading"`
	PageFrom int      `json:"page_from,omitempty"`
	PageTo   int      `json:"page_to,omitempty"`
	Text     string   `json:"text"`
}

const partBytes = 24 << 10 // of text in one part, about six thousand tokens

func (d *Door) getDocument(ctx context.Context, q documentRequest) (a answered[documentPart], err error) {
	doc, live, chunks, err := d.read(ctx, q.DocumentID)
	if err != nil {
		return a, err
	}
	if q.From < 0 || q.From > 0 && q.From >= len(chunks) {
		return a, fault.New(fault.Invalid, "from", "the document has %d passages, from 0: there is none with the number %d", len(chunks), q.From).At("from")
	}
	a.out = documentPart{documentItem: item(doc), Version: live.Number, Total: len(chunks), Passages: []passagePart{}}
	var text strings.Builder
	fmt.Fprintf(&text, "# %s\n", a.out.Title)
	size := 0
	for n := q.From; n < len(chunks); n++ {
		c := chunks[n]
		if size += len(c.Text); size > partBytes && n > q.From {
			a.out.Next = n
			break
		}
		a.out.Passages = append(a.out.Passages, passagePart{n, list(c.Heading), c.PageFrom, c.PageTo, c.Text})
		fmt.Fprintf(&text, "\n%s\n", c.Text)
	}
	if a.out.Next > 0 {
		fmt.Fprintf(&text, "\n(There is more: from %d of %d passages.)", a.out.Next, len(chunks))
	}
	a.text = text.String()
	return a, nil
}

// read is the live version of a document that the caller may read.
func (d *Door) read(ctx context.Context, id string) (doc ingest.Document, live ingest.Version, chunks []ingest.ChunkRow, err error) {
	if doc, err = d.Ingest.GetDocument(ctx, id); err != nil {
		return doc, live, nil, err
	}
	if !caller.From(ctx).Clearance.Sees(doc.Tier) { // whoever owns it
		return doc, live, nil, fault.New(fault.NotFound, "document_not_found", "there is no document %q", id)
	}
	if doc.LiveVersion == "" {
		return doc, live, nil, fault.New(fault.Conflict, "document_not_live", "no version of the document %s is live", id).Hinted("its newest is %s: searches find it once it is live", doc.Newest.State)
	}
	versions, err := d.Ingest.Versions(ctx, []string{doc.LiveVersion})
	if err != nil {
		return doc, live, nil, err
	}
	live = versions[0]
	chunks, err = d.Ingest.ListChunks(ctx, id, live.Number)
	return doc, live, chunks, err
}

// readDocument is a document as a resource: the whole of its text. No cache may give it to another key.
func (d *Door) readDocument(ctx context.Context, q *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
	ctx, stop := whileAsked(ctx)
	defer stop()
	_, _, chunks, err := d.read(ctx, strings.TrimPrefix(q.Params.URI, documentURI))
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			return nil, sdk.ResourceNotFoundError(q.Params.URI)
		}
		d.Log.Error("a resource could not be read", "part", "mcp", "error", err)
		return nil, fmt.Errorf("%s", told(err))
	}
	texts := make([]string, len(chunks))
	size := 0
	for i, c := range chunks {
		if texts[i], size = c.Text, size+len(c.Text); size > maxMessage {
			return nil, fmt.Errorf("the document has more than %d bytes of text: read it in parts, with the tool get_document", maxMessage)
		}
	}
	return &sdk.ReadResourceResult{Cacheable: sdk.Cacheable{CacheScope: "private"}, Contents: []*sdk.ResourceContents{{URI: q.Params.URI, MIMEType: "text/plain", Text: strings.Join(texts, "\n\n")}}}, nil
}
