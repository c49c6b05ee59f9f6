package scale

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"testing"
	"time"

	"airfield/internal/db/dbtest"
	"airfield/test/binary"
	"airfield/test/upstream"
)

// as makes a request with the workflow's key that must succeed, and reads its answer, or takes it as it is.
func (f *fleet) as(s *binary.Server, method, path string, body []byte, out any, header ...string) {
	f.t.Helper()
	a, err := s.Ask(f.t.Context(), method, path, body, append(binary.As(f.key), header...)...)
	if err != nil || a.Status != http.StatusOK {
		f.t.Fatalf("%s %s: %d %s %v", method, path, a.Status, a.Body, err)
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = a.Body
	} else if err := json.Unmarshal(a.Body, out); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) callsFile(text []byte) string {
	f.t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	form.WriteField("purpose", "batch")
	w, err := form.CreateFormFile("file", "calls.jsonl")
	if err == nil {
		_, err = w.Write(text)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	form.Close()
	var file struct{ ID string }
	f.as(f.all[0], http.MethodPost, "/v1/files", b.Bytes(), &file, "Content-Type", form.FormDataContentType())
	return file.ID
}

// Two processes share a batch, one of them is killed with lines in hand, and the other makes those again: each line is
// answered once in the output.
func TestTwoProcessesShareABatchAndOneIsKilled(t *testing.T) {
	u := upstream.New(t, upstream.Options{Default: upstream.Behaviour{Use: 1, Delay: 150 * time.Millisecond}})
	url := dbtest.Postgres(t)
	f := launch(t, 2, u, url, stores(t, url)+models(u, 1, 1)+workflow+"batch: {lease_for: 2s, parallel: 8}\njobs: {workers: 1}\n") // so that each takes one lane
	const lines = 300
	var input bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&input, `{"custom_id":"line-%d","method":"POST","url":"/v1/chat/completions","body":%s}`+"\n", i, upstream.Question("", i, false, `"max_tokens":10`))
	}
	var b struct {
		ID, Status string
		Output     *string                                  `json:"output_file_id"`
		Errors     *string                                  `json:"error_file_id"`
		Counts     struct{ Total, Completed, Failed int64 } `json:"request_counts"`
	}
	f.as(f.all[0], http.MethodPost, "/v1/batches", fmt.Appendf(nil, `{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"24h"}`, f.callsFile(input.Bytes())), &b)
	left, dead := f.all[0], f.all[1]
	shared := func(s *binary.Server) bool { return s.Metric("airfield_calls_total") >= 10 }
	left.Await("both to make lines", func() bool { return shared(left) && shared(dead) })
	dead.Kill()
	left.AwaitFor(2*time.Minute, 50*time.Millisecond, "the batch to be completed", func() bool {
		f.as(left, http.MethodGet, "/v1/batches/"+b.ID, nil, &b)
		return b.Status == "completed"
	})
	if b.Counts.Total != lines || b.Counts.Completed != lines || b.Counts.Failed != 0 || b.Output == nil || b.Errors != nil {
		t.Fatalf("%+v", b)
	}
	var output []byte
	f.as(left, http.MethodGet, "/v1/files/"+*b.Output+"/content", nil, &output)
	seen, cut, n := map[string]bool{}, 0, 0
	for text := range bytes.Lines(output) {
		var r struct {
			CustomID string `json:"custom_id"`
			Response struct {
				Status int `json:"status_code"`
			}
			Airfield struct{ Cut int }
		}
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("line-%d", n); r.CustomID != want || seen[r.CustomID] || r.Response.Status != http.StatusOK {
			t.Errorf("line %d is %s with %d, twice: %v", n, r.CustomID, r.Response.Status, seen[r.CustomID])
		}
		seen[r.CustomID], n = true, n+1
		cut += min(r.Airfield.Cut, 1)
	}
	if n != lines || cut == 0 || cut > 8 {
		t.Errorf("%d of %d lines are answered; %d were cut, where the dead process had 1 to 8 in hand", n, lines, cut)
	}
}
