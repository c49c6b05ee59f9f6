package binary

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
)

// Batch is a batch as the model API shows it.
type Batch struct {
	ID     string                                   `json:"id"`
	Status string                                   `json:"status"`
	Output string                                   `json:"output_file_id"`
	Errors string                                   `json:"error_file_id"`
	Counts struct{ Total, Completed, Failed int64 } `json:"request_counts"`
}

// BatchLine is what a line of a batch was answered.
type BatchLine struct {
	CustomID string `json:"custom_id"`
	Response struct {
		Status int `json:"status_code"`
	}
	Airfield struct{ Cut int }
}

// MakeBatch keeps chat calls, a line of JSON each, as a file and makes a batch of it.
func (s *Server) MakeBatch(key string, calls []byte) (b Batch) {
	s.T.Helper()
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	parts.WriteField("purpose", "batch")
	w, err := parts.CreateFormFile("file", "calls.jsonl")
	if err == nil {
		_, err = w.Write(calls)
	}
	if err != nil {
		s.T.Fatal(err)
	}
	parts.Close()
	var file struct{ ID string }
	s.read(s.with(key, http.MethodPost, "/v1/files", form.Bytes(), "Content-Type", parts.FormDataContentType()), &file)
	s.read(s.with(key, http.MethodPost, "/v1/batches", fmt.Appendf(nil, `{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"24h"}`, file.ID)), &b)
	return b
}

// Batch returns a batch as it is now.
func (s *Server) Batch(key, id string) (b Batch) {
	s.T.Helper()
	s.read(s.with(key, http.MethodGet, "/v1/batches/"+id, nil), &b)
	return b
}

// BatchLines reads a batch's output, in its order.
func (s *Server) BatchLines(key, output string) (lines []BatchLine) {
	s.T.Helper()
	for text := range bytes.Lines(s.with(key, http.MethodGet, "/v1/files/"+output+"/content", nil)) {
		var line BatchLine
		s.read(text, &line)
		lines = append(lines, line)
	}
	return lines
}

// with makes a request with a key that must succeed.
func (s *Server) with(key, method, path string, body []byte, header ...string) []byte {
	s.T.Helper()
	a, err := s.Ask(context.Background(), method, path, body, append(As(key), header...)...)
	if err != nil || a.Status != http.StatusOK {
		s.T.Fatalf("%s %s: %d %s %v", method, path, a.Status, a.Body, err)
	}
	return a.Body
}

func (s *Server) read(text []byte, out any) {
	s.T.Helper()
	if err := json.Unmarshal(text, out); err != nil {
		s.T.Fatal(err)
	}
}
