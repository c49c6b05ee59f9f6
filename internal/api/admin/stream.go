package admin

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"airfield/internal/api"
	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

// streams are the routes that carry files, which are not JSON and not held in memory.
func (d *Door) streams(mux *http.ServeMux) {
	mux.Handle("POST /api/collections/{name}/documents", d.stream(documents, d.upload))
	mux.Handle("GET /api/documents/{id}/content", d.stream(documents, d.content))
	mux.Handle("POST /api/backup", d.stream(adminsOnly, func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Type", "application/x-tar")
		return d.System.Backup(r.Context(), w)
	}))
}

const streamTime = 2 * time.Hour

func (d *Door) stream(roles []caller.Role, fn func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who := caller.From(r.Context()); !who.Is(roles...) {
			api.WriteProblem(w, r, fault.New(fault.Denied, "role_denied", "a key with the role %s may not do this", who.Role).Hinted("it needs one of: %s", roleText(roles)))
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
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(version.Name))
	h.Set("Content-Length", strconv.FormatInt(version.Bytes, 10))
	h.Set("X-Content-Type-Options", "nosniff")
	_, err = io.Copy(w, content)
	return err
}
