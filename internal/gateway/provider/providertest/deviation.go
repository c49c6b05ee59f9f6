package providertest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

// deviation is what must come of an answer that is not as the API's own documentation has it. It stands in the file
// heard.json of a recording.
type deviation struct {
	Text    string
	Thought string
	Calls   []string // their arguments
	Stop    neutral.Stop
	Usage   llm.Usage
	Refused string // the message of a refusal
	Torn    string // the message of an error in mid-stream
	None    bool   // it is no answer at all
}

// Deviations gives a provider recorded answers that deviate from the API it speaks, as they are and through its dialect.
func Deviations(t *testing.T, kind gateway.Kind, o Options, pattern string) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings at %s: %v", pattern, err)
	}
	b := newBench(t, kind, o)
	for _, file := range files {
		r, err := read(file)
		if err != nil {
			t.Fatal(err)
		}
		var want deviation
		if err := json.Unmarshal(r.heard, &want); err != nil {
			t.Fatalf("%s: heard.json: %v", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		b.upstream.will(b.gives(r, r.answer, -1))
		t.Run(name+"/dialect", func(t *testing.T) {
			want.heard(t, b.ask(t.Context(), &neutral.Request{Messages: said("Say hello."), Stream: r.kind != "json"}))
		})
		t.Run(name+"/as_it_is", func(t *testing.T) {
			g, rows := b.gateway(t)
			w, row, err := b.pass(t, g, rows, r.request)
			if err != nil {
				row.Error = err.Error()
			}
			want.passed(t, w.Code, row)
		})
	}
}

func (d *deviation) heard(t *testing.T, h heard) {
	switch {
	case d.None:
		if h.err == nil {
			t.Errorf("it is read as %+v %+v", h.answer, h.refused)
		}
		return
	case h.err != nil:
		t.Fatal(h.err)
	case d.Refused != "":
		if h.refused == nil || h.refused.Message != d.Refused {
			t.Errorf("it refused with %+v", h.refused)
		}
		return
	case d.Torn != "":
		if h.torn == nil || h.torn.Message != d.Torn || h.whole {
			t.Errorf("it broke off with %+v", h.torn)
		}
		return
	}
	got := deviation{Stop: h.answer.Stop, Usage: h.answer.Usage}
	for _, p := range h.answer.Parts {
		switch p.Kind {
		case neutral.Text:
			got.Text += p.Text
		case neutral.Reasoning:
			got.Thought += p.Text
		case neutral.ToolCall:
			got.Calls = append(got.Calls, p.Text)
		}
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", *d) || !h.whole {
		t.Errorf("%+v was heard, not %+v; whole: %v", got, *d, h.whole)
	}
}

func (d *deviation) passed(t *testing.T, status int, row llm.Call) {
	switch {
	case d.None || d.Refused != "":
		if row.Outcome != llm.Failed || !strings.Contains(row.Error, d.Refused) {
			t.Errorf("outcome %s: %s", row.Outcome, row.Error)
		}
	case d.Torn != "":
		if row.Outcome != llm.Broken || !strings.Contains(row.Error, d.Torn) {
			t.Errorf("outcome %s: %s", row.Outcome, row.Error)
		}
	case row.Outcome != llm.OK || status != 200 || row.Finish == "":
		t.Errorf("outcome %s, status %d, finish %q: %s", row.Outcome, status, row.Finish, row.Error)
	case d.Usage.Source == llm.Reported && row.Usage != d.Usage || d.Usage.Source == "" && row.Usage.Source != llm.Estimated:
		t.Errorf("it used %+v, not %+v", row.Usage, d.Usage)
	}
}
