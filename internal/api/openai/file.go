package openai

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"airfield/internal/api"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

// uploadTime is how long an upload or a download may take.
const uploadTime = 30 * time.Minute

// undoTime is how long taking back a half-made upload may take.
const undoTime = 10 * time.Second

// createFile reads the form part by part: the file goes to the bucket as it arrives and is never held in memory. The
// purpose may come before or after it.
func (d *Door) createFile(w http.ResponseWriter, r *http.Request) (any, error) {
	defer api.Extend(w, uploadTime)()
	r.Body = http.MaxBytesReader(w, r.Body, d.MaxUpload+1<<20)
	form, err := r.MultipartReader()
	if err != nil {
		return nil, fault.New(fault.Invalid, "form", "a file is sent as multipart/form-data with the parts purpose and file").Hinted("curl -F purpose=assistants -F file=@contract.pdf …")
	}
	purpose, made := "", (*ingest.File)(nil)
	undo := func(err error) (any, error) {
		if made != nil { // also where the client has left
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), undoTime)
			defer cancel()
			err = errors.Join(err, d.Ingest.DeleteFile(ctx, made.ID))
		}
		return nil, err
	}
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return undo(d.partError(err))
		}
		switch part.FormName() {
		case "purpose":
			text, err := io.ReadAll(io.LimitReader(part, 65))
			if err != nil {
				return undo(d.formError(err))
			}
			purpose = string(text)
		case "file":
			if made != nil {
				return undo(fault.New(fault.Invalid, "form", "the form has two parts named file").At("file"))
			}
			file, err := d.Ingest.CreateFile(r.Context(), ingest.NewFile{Name: part.FileName(), Purpose: purpose, MediaType: mediaType(part.Header.Get("Content-Type")), Reader: part})
			if err != nil {
				return nil, d.formError(err)
			}
			made = &file
		}
	}
	switch {
	case made == nil:
		return nil, fault.New(fault.Invalid, "form", "the form has no part named file").At("file")
	case purpose == "":
		return undo(fault.New(fault.Invalid, "form", "the form has no part named purpose").Hinted("use assistants, user_data or batch").At("purpose"))
	}
	if made.Purpose != purpose {
		file, err := d.Ingest.SetPurpose(r.Context(), made.ID, purpose)
		if err != nil {
			return undo(err)
		}
		made = &file
	}
	return fileObject(*made), nil
}

func (d *Door) formError(err error) error {
	var limit *http.MaxBytesError
	var f *fault.Fault
	switch {
	case errors.As(err, &limit):
		return fault.New(fault.TooLarge, "file_too_large", "the file has more than the %d bytes allowed", d.MaxUpload).Hinted("send less, or raise server.max_upload_bytes")
	case errors.As(err, &f):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New(fault.Invalid, "form_cut", "the upload ended early; nothing was kept")
	}
	return err
}

// partError tells what is wrong between two parts; what a reader of a request says beyond formError is about the form.
func (d *Door) partError(err error) error {
	if told := d.formError(err); told != err || fault.Is(err, fault.Cancelled) {
		return told
	}
	return fault.New(fault.Invalid, "form", "the form cannot be read: %v", err)
}

func mediaType(header string) string {
	t, _, err := mime.ParseMediaType(header)
	if err != nil || t == "application/octet-stream" {
		return ""
	}
	return t
}

func (d *Door) listFiles(_ http.ResponseWriter, r *http.Request) (any, error) {
	after, limit, err := paging(r, 100)
	if err != nil {
		return nil, err
	}
	files, err := d.Ingest.ListFiles(r.Context(), ingest.FileFilter{Purpose: r.URL.Query().Get("purpose"), After: after, Limit: limit + 1})
	if err != nil {
		return nil, err
	}
	return page(files, limit, fileObject, func(f ingest.File) string { return f.ID }), nil
}

func (d *Door) getFile(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, err := d.Ingest.GetFile(r.Context(), r.PathValue("file"))
	if err != nil {
		return nil, err
	}
	return fileObject(f), nil
}

func (d *Door) deleteFile(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := d.Ingest.DeleteFile(r.Context(), r.PathValue("file")); err != nil {
		return nil, err
	}
	return deleted("file", r.PathValue("file")), nil
}

func (d *Door) fileContent(w http.ResponseWriter, r *http.Request) {
	content, file, err := d.Ingest.FileContent(r.Context(), r.PathValue("file"))
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	defer content.Close()
	defer api.Extend(w, uploadTime)()
	// Never shown inline: a document is somebody's HTML.
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(file.Name))
	w.Header().Set("Content-Length", strconv.FormatInt(file.Bytes, 10))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if _, err := io.Copy(w, content); err != nil {
		panic(http.ErrAbortHandler) // a file cut short must not look whole
	}
}

func fileObject(f ingest.File) any {
	return map[string]any{"id": f.ID, "object": "file", "bytes": f.Bytes, "created_at": f.CreatedAt.Unix(), "filename": f.Name, "purpose": f.Purpose, "status": "processed"}
}

func deleted(object, id string) any {
	return map[string]any{"id": id, "object": object, "deleted": true}
}
