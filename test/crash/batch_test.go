package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"testing"
	"time"

	"airfield/test/binary"
)

const teamOfBatches = `
log: {level: warn}
business_units: {product: {}}
workflows: {team: {business_unit: product, clearance: internal}}
`

// lineBatch is a batch as the model API shows it.
type lineBatch struct {
	ID     string                                   `json:"id"`
	Status string                                   `json:"status"`
	Output string                                   `json:"output_file_id"`
	Errors string                                   `json:"error_file_id"`
	Counts struct{ Total, Completed, Failed int64 } `json:"request_counts"`
}

// callsFile keeps a file for a batch and returns its id.
func (s *installation) callsFile(key string, text []byte) string {
	s.T.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	form.WriteField("purpose", "batch")
	w, err := form.CreateFormFile("file", "calls.jsonl")
	if err == nil {
		_, err = w.Write(text)
	}
	if err != nil {
		s.T.Fatal(err)
	}
	form.Close()
	var file struct{ ID string }
	s.as(key, http.MethodPost, "/v1/files", b.Bytes(), &file, "Content-Type", form.FormDataContentType())
	return file.ID
}

// as makes a request with a key that must succeed.
func (s *installation) as(key, method, path string, body []byte, out any, header ...string) {
	s.T.Helper()
	a, err := s.Ask(context.Background(), method, path, body, append(binary.As(key), header...)...)
	if err != nil || a.Status != 200 {
		s.T.Fatalf("%s %s: %d %s %v", method, path, a.Status, a.Body, err)
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = a.Body
		return
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		s.T.Fatal(err)
	}
}

func TestKilledAgainAndAgainABatchAnswersEachLineOnce(t *testing.T) {
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 3))
	u := newUpstream(t, 6, 60*time.Millisecond)
	s := install(t, teamOfBatches+u.Models())
	s.Start()
	key := s.Key("team")
	const lines = 300
	var input bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&input, `{"custom_id":"line-%d","method":"POST","url":"/v1/chat/completions","body":%s}`+"\n", i, question(i, false))
	}
	var b lineBatch
	s.as(key, http.MethodPost, "/v1/batches", fmt.Appendf(nil, `{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"24h"}`, s.callsFile(key, input.Bytes())), &b)
	inWork := 0
	for range 5 {
		time.Sleep(time.Duration(100+random.IntN(400)) * time.Millisecond) // any moment
		s.as(key, http.MethodGet, "/v1/batches/"+b.ID, nil, &b)
		if b.Status == "in_progress" || b.Status == "finalizing" {
			inWork++
		}
		s.Kill()
		s.Start()
	}
	s.AwaitFor(2*time.Minute, 50*time.Millisecond, "the batch to be completed", func() bool {
		s.as(key, http.MethodGet, "/v1/batches/"+b.ID, nil, &b)
		return b.Status == "completed"
	})
	if b.Counts.Total != lines || b.Counts.Completed != lines || b.Counts.Failed != 0 || b.Errors != "" {
		t.Errorf("%+v", b)
	}
	var output []byte
	s.as(key, http.MethodGet, "/v1/files/"+b.Output+"/content", nil, &output)
	seen, cut := map[string]bool{}, 0
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
		if seen[r.CustomID] || r.Response.Status != 200 {
			t.Errorf("%s is there twice, or with %d", r.CustomID, r.Response.Status)
		}
		if seen[r.CustomID] = true; r.Airfield.Cut > 0 {
			cut++
		}
	}
	rows := s.calls("chat")
	t.Logf("killed 5 times, %d of them in the middle of it; %d lines were cut, %d calls for %d lines", inWork, cut, len(rows), lines)
	if len(seen) != lines || inWork < 2 || len(rows) < lines {
		t.Errorf("%d of %d lines are answered; %d kills met work; %d calls", len(seen), lines, inWork, len(rows))
	}
	for id, row := range rows {
		if row.Tags["batch"] != b.ID {
			t.Errorf("the call %s does not say of which batch it is: %v", id, row.Tags)
		}
	}
}
