package admin

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/access"
	"airfield/internal/api"
	"airfield/internal/caller"
	"airfield/internal/cost"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

// streamRoute is an operation that carries a file, which is not JSON and not held in memory.
type streamRoute struct {
	route
	parameters []*huma.Param
	sends      string       // media type of the request's body
	returns    string       // and of the answer's
	answer     reflect.Type // of a JSON answer; each line of an ndjson one
	status     string
	handler    func(http.ResponseWriter, *http.Request) error
}

func (d *Door) streams() []streamRoute {
	text := &huma.Schema{Type: huma.TypeString}
	in := func(where, name, about string) *huma.Param {
		return &huma.Param{Name: name, In: where, Description: about, Required: where == "path", Schema: text}
	}
	return []streamRoute{
		{route{http.MethodPost, "/api/collections/{name}/documents", "upload", "Upload a document as the raw body", documents},
			[]*huma.Param{in("path", "name", "Name or id of the collection."), {Name: "name", In: "query", Description: "Name of the file.", Required: true, Schema: text},
				in("query", "key", "What identifies the document, by default its name: uploading it again makes a version."),
				in("header", "airfield-metadata", "Its metadata as a JSON object.")},
			"application/octet-stream", "application/json", reflect.TypeFor[ingest.Receipt](), "202", d.upload},
		{route{http.MethodGet, "/api/documents/{id}/content", "getContent", "A version's bytes as they came in", documents},
			[]*huma.Param{in("path", "id", "Id of the document."), in("query", "version", "Its number; by default the live one.")},
			"", "application/octet-stream", nil, "200", d.content},
		{route{http.MethodPost, "/api/backup", "backup", "A consistent copy of the installation", adminsOnly}, nil, "", "application/x-tar", nil, "200", d.backup},
		{route{http.MethodPost, "/api/prices/import", "importPrices", "Take over a file of prices, all of it or nothing", adminsOnly},
			[]*huma.Param{in("query", "dry_run", "true: say what it would change."), in("query", "skip_bad", "true: leave out rows that are bad, instead of refusing all."),
				in("query", "as_of", "The day on which prices without one were true; by default today."), in("query", "from", "The day from which prices without one hold; by default always.")},
			"application/json", "application/json", reflect.TypeFor[cost.ImportReport](), "200", d.importPrices},
		{route{http.MethodPost, "/api/prices/reprice", "reprice", "Find the cost of calls in the log anew; a line of progress after each batch, the last one says done", adminsOnly},
			[]*huma.Param{in("query", "since", "Calls that began then or later, RFC 3339. It must be there."), in("query", "until", "Calls that began before."), in("query", "workflow", "Only this workflow's."),
				in("query", "model", "Only those that asked for this model."), in("query", "only_unpriced", "true: only calls whose price was not known."), in("query", "dry_run", "true: change nothing.")},
			"", "application/x-ndjson", reflect.TypeFor[RepriceLine](), "200", d.reprice},
		{route{http.MethodPost, "/api/prompts/{name}/replay", "replayPrompt", "Run past calls under another version, within a budget; a line for each call as it is done, the last one says done", adminsOnly},
			[]*huma.Param{in("path", "name", "The prompt."), in("query", "to", "The version that is tried: a number, or a label; by default candidate."), in("query", "from", "Only calls that got this version: a number, or a label."),
				in("query", "model", "In place of the model that is asked."), in("query", "last", "How many calls; by default 50."), in("query", "budget", "What it may cost at the most, in dollars."),
				in("query", "concurrency", "How many calls run at once; by default 4.")},
			"", "application/x-ndjson", reflect.TypeFor[ReplayLine](), "200", d.replayPrompt},
	}
}

// describe adds an operation to the description of the API.
func (s streamRoute) describe(a huma.API) {
	media := func(t string) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{t: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
	}
	op := s.operation()
	op.Parameters, op.Responses = s.parameters, map[string]*huma.Response{"200": {Description: "OK", Content: media(s.returns)}}
	if s.sends != "" {
		op.RequestBody = &huma.RequestBody{Required: true, Content: media(s.sends)}
	}
	if s.answer != nil {
		schema := a.OpenAPI().Components.Schemas.Schema(s.answer, true, "")
		text := map[string]string{"200": "OK", "202": "Accepted"}[s.status]
		op.Responses = map[string]*huma.Response{s.status: {Description: text, Content: map[string]*huma.MediaType{s.returns: {Schema: schema}}}}
	}
	a.OpenAPI().AddOperation(&op)
}

const streamTime = 2 * time.Hour

func (d *Door) stream(roles []caller.Role, fn func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who := caller.From(r.Context()); !who.Is(roles...) {
			api.WriteProblem(w, r, api.Denied(who, roles))
			return
		}
		defer api.Extend(w, streamTime)()
		begun := &started{ResponseWriter: w}
		err := fn(begun, r)
		if err == nil {
			return
		}
		api.LogInternal(d.Log, r, err)
		if begun.yes {
			d.Log.Warn("a download was cut off", "path", r.URL.Path, "error", err)
			panic(http.ErrAbortHandler) // a file cut short must not look whole
		}
		api.WriteProblem(w, r, err)
	})
}

// started notes whether an answer has begun, after which an error cannot be told any more.
type started struct {
	http.ResponseWriter
	yes bool
}

func (s *started) Write(p []byte) (int, error) {
	s.yes = true
	return s.ResponseWriter.Write(p)
}

func (s *started) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (d *Door) backup(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/x-tar")
	return d.System.Backup(r.Context(), w)
}

// upload takes one file as the raw body: its name in the query, its metadata in the header airfield-metadata as JSON.
func (d *Door) upload(w http.ResponseWriter, r *http.Request) error {
	name := r.URL.Query().Get("name")
	if name == "" {
		return fault.New(fault.Invalid, "name", "the query has no name for the file: ?name=contract.pdf").At("name")
	}
	u := ingest.Upload{Name: name, SourceKey: r.URL.Query().Get("key"), Reader: http.MaxBytesReader(w, r.Body, d.MaxUpload)}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && t != "application/octet-stream" {
		u.MediaType = t
	}
	if text := r.Header.Get("Airfield-Metadata"); text != "" {
		var flat map[string]any
		if err := json.Unmarshal([]byte(text), &flat); err != nil {
			return fault.New(fault.Invalid, ingest.CodeMetadata, "the header airfield-metadata is not a JSON object: %w", err)
		}
		var err error
		if u.Metadata, err = ingest.ParseMetadata(flat); err != nil {
			return err
		}
	}
	receipt, err := d.Ingest.Upload(r.Context(), r.PathValue("name"), u)
	if err != nil {
		if strings.Contains(err.Error(), "http: request body too large") {
			return fault.New(fault.TooLarge, "file_too_large", "the file has more than the %d bytes allowed", d.MaxUpload).Hinted("send less, or raise server.max_upload_bytes")
		}
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	return json.NewEncoder(w).Encode(receipt)
}

// content gives a version's bytes back as they came in. Reading a document is written down like reading an answer.
func (d *Door) content(w http.ResponseWriter, r *http.Request) error {
	number, err := strconv.Atoi(r.URL.Query().Get("version"))
	if err != nil && r.URL.Query().Has("version") {
		return fault.New(fault.Invalid, "version", "version must be a number").At("version")
	}
	content, version, err := d.Ingest.Content(r.Context(), r.PathValue("id"), number)
	if err != nil {
		return err
	}
	defer content.Close()
	if err := d.Audit.Note(r.Context(), access.Entry{Action: "document.read", Target: r.PathValue("id"), Detail: map[string]any{"version": version.Number}}); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(version.Name))
	h.Set("Content-Length", strconv.FormatInt(version.Bytes, 10))
	h.Set("X-Content-Type-Options", "nosniff")
	_, err = io.Copy(w, content)
	return err
}
