package binary

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"airfield/internal/api/admin"
	"airfield/test/upstream"
)

// Whatever a provider does, the client gets an answer or a clear error, never an invented end, and the log has its row, which
// costs no less than what the provider bills.
func TestWhateverTheProviderDoesTheClientIsToldAndTheLogKnows(t *testing.T) {
	u := upstream.New(t, upstream.Options{Provider: []string{"timeouts: {first_byte: 500ms, between_chunks: 500ms}"}})
	s := Install(t, hasty+u.Models(upstream.Suffixes()...)+team)
	s.Start()
	key := s.Key("team")
	well := strings.Fields("ok slow crlf comments giant limits no-usage usage-absurd usage-below usage-low usage-zero use-all use-20th")
	wellWhole := strings.Fields("no-prefix no-done no-finish") // wrong in streams only
	for n, suffix := range upstream.Suffixes() {
		for _, stream := range []bool{false, true} {
			e, err := s.Chat(context.Background(), upstream.Question(suffix, n, stream, `"max_tokens":40`), As(key)...)
			if err != nil || e.ID == "" {
				t.Errorf("%s, stream %t: %d %v", suffix, stream, e.Status, err)
				continue
			}
			s.Call(http.MethodPost, "/api/flush", nil, nil)
			var row admin.Call
			s.Call(http.MethodGet, "/api/calls/"+e.ID, nil, &row)
			all := u.Exchanges()
			x := all[len(all)-1]
			good := slices.Contains(well, suffix) || !stream && slices.Contains(wellWhole, suffix)
			switch {
			case good && (!e.Whole || row.Outcome != "ok" || x.End != upstream.Whole):
				t.Errorf("%s, stream %t: whole %t, logged as %s, at the provider %s", suffix, stream, e.Whole, row.Outcome, x.End)
			case !good && suffix != "no-finish" && suffix != "no-done" && (e.Whole || row.Outcome == "ok" || row.Error == "" || !strings.Contains(e.Text, `"error"`)):
				t.Errorf("%s, stream %t: whole %t, logged as %s %q: …%s", suffix, stream, e.Whole, row.Outcome, row.Error, Tail(e.Text, 200))
			case suffix == "no-done" && stream && e.Whole:
				t.Errorf("an end was invented: …%s", Tail(e.Text, 200))
			}
			// What a provider reports is believed, and lines that are no events hold no tokens that could be counted.
			below := suffix == "usage-low" || suffix == "no-prefix" && stream
			if row.InputTokens < x.Input || row.OutputTokens < x.Output && !below {
				t.Errorf("%s, stream %t: the log has %d+%d tokens, the provider bills %d+%d", suffix, stream, row.InputTokens, row.OutputTokens, x.Input, x.Output)
			}
		}
	}
	if u.Strayed() != 0 {
		t.Error("a redirect was followed")
	}
	s.Stop()
}
