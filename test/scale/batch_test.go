package scale

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"airfield/internal/db/dbtest"
	"airfield/test/binary"
	"airfield/test/upstream"
)

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
	b := f.all[0].MakeBatch(f.key, input.Bytes())
	left, dead := f.all[0], f.all[1]
	shared := func(s *binary.Server) bool { return s.Metric("airfield_calls_total") >= 10 }
	left.Await("both to make lines", func() bool { return shared(left) && shared(dead) })
	dead.Kill()
	left.AwaitFor(2*time.Minute, 50*time.Millisecond, "the batch to be completed", func() bool {
		b = left.Batch(f.key, b.ID)
		return b.Status == "completed"
	})
	if b.Counts.Total != lines || b.Counts.Completed != lines || b.Counts.Failed != 0 || b.Output == "" || b.Errors != "" {
		t.Fatalf("%+v", b)
	}
	seen, cut, n := map[string]bool{}, 0, 0
	for _, r := range left.BatchLines(f.key, b.Output) {
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
