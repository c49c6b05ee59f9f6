package crash

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const teamOfBatches = `
log: {level: warn}
business_units: {product: {}}
workflows: {team: {business_unit: product, clearance: internal}}
`

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
	b := s.MakeBatch(key, input.Bytes())
	inWork := 0
	for range 5 {
		time.Sleep(time.Duration(100+random.IntN(400)) * time.Millisecond) // any moment
		b = s.Batch(key, b.ID)
		if b.Status == "in_progress" || b.Status == "finalizing" {
			inWork++
		}
		s.Kill()
		s.Start()
	}
	s.AwaitFor(2*time.Minute, 50*time.Millisecond, "the batch to be completed", func() bool {
		b = s.Batch(key, b.ID)
		return b.Status == "completed"
	})
	if b.Counts.Total != lines || b.Counts.Completed != lines || b.Counts.Failed != 0 || b.Errors != "" {
		t.Errorf("%+v", b)
	}
	seen, cut := map[string]bool{}, 0
	for _, r := range s.BatchLines(key, b.Output) {
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
