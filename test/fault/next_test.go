package fault

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"airfield/internal/money"
	"airfield/test/binary"
	"airfield/test/upstream"
)

// before are faults at which nothing has gone to the client yet, so that another deployment can answer; beforeWhole are
// those where that holds of whole answers only, and mid those that break a stream.
var (
	before      = strings.Fields("refused hang die 401 429 429-seconds 429-date 500 502 503 wrong-type redirect empty")
	beforeWhole = strings.Fields("hang-mid die-mid cut-mid broken-json half-event error-event")
	mid         = strings.Fields("hang-mid die-mid cut-mid half-event error-event broken-json")
	fine        = strings.Fields("crlf comments no-usage usage-zero usage-absurd usage-below giant limits")
)

// Each fault has a deployment of its own at the provider bad, with good behind it, and one at worse, with a fallback.
func twoWays(t *testing.T) (s *site, bad, good *upstream.Upstream) {
	bad, good = well(t), well(t)
	refused := well(t)
	refused.Refuse()
	times := "timeouts: {first_byte: 400ms, between_chunks: 400ms}"
	var models strings.Builder
	all := slices.Concat(before, beforeWhole, fine)
	for _, fault := range all {
		first, second := "bad", "worse"
		if fault == "refused" {
			first, second = "gone", "gone2"
		}
		models.WriteString(model("two+"+fault, "", first, "chat+"+fault, "good", "chat"))
		models.WriteString(model("alone+"+fault, "fallback: [spare], ", second, "chat+"+fault))
	}
	providers := bad.Provider("bad", times) + bad.Provider("worse", times) + refused.Provider("gone") + refused.Provider("gone2") + good.Provider("good")
	s = open(t, quick+"providers:\n"+providers+"models:\n"+models.String()+model("spare", "", "good", "chat")+team+"workflows: {team: {business_unit: product, clearance: internal}}\n")
	return s, bad, good
}

func TestWhatAProviderBreaksBeforeTheFirstByteTheNextDeploymentAnswers(t *testing.T) {
	s, bad, good := twoWays(t)
	for _, way := range []string{"two", "alone"} {
		for _, stream := range []bool{false, true} {
			for _, fault := range slices.Concat(before, beforeWhole) {
				if stream && !slices.Contains(before, fault) {
					continue
				}
				name := fmt.Sprintf("%s+%s, stream %t", way, fault, stream)
				billed, served := bad.Chats(), good.Chats()
				e, row := s.ask(question(way+"+"+fault, stream, "Is lot 7 in good order?"+polite))
				if !e.Whole || row.Outcome != "ok" || row.Deployment != "good/chat" || row.Error != "" {
					t.Errorf("%s: %d, whole %t; %s by %s: %s …%s", name, e.Status, e.Whole, row.Outcome, row.Deployment, row.Error, binary.Tail(e.Text, 200))
				}
				if n := strings.Count(e.Text, "[DONE]"); stream && n != 1 || !stream && n != 0 {
					t.Errorf("%s: %d ends", name, n)
				}
				if m := e.Header.Get("X-Airfield-Model"); (m == "spare") != (way == "alone") {
					t.Errorf("%s: the answer is said to be of %q", name, m)
				}
				last := len(row.Attempts) - 1
				for i, a := range row.Attempts {
					if (a.Outcome == "ok") != (i == last) || (a.Deployment == "good/chat") != (i == last) || i < last && a.Error == "" {
						t.Errorf("%s: attempt %d at %s: %s %s", name, i+1, a.Deployment, a.Outcome, a.Error)
					}
				}
				cools := strings.HasPrefix(fault, "429") // and the second time nobody asks it
				if last < 1 && !(cools && stream) || last > 3 || way == "two" && last > 1 {
					t.Errorf("%s: %d attempts", name, last+1)
				}
				// What the row costs is its tokens at the price that all deployments have, and no less than was billed: what a
				// provider charges for a request that it did not answer is known to nobody.
				now, after := bad.Chats(), good.Chats()
				in, out := after.Input-served.Input, after.Output-served.Output+now.Output-billed.Output
				if row.InputTokens < in || row.OutputTokens < out || after.Whole != served.Whole+1 {
					t.Errorf("%s: %d+%d tokens, billed were %d+%d", name, row.InputTokens, row.OutputTokens, in, out)
				}
				if want := money.Nanos(1000*row.InputTokens + 2000*row.OutputTokens); row.CostUSD != want || !row.Priced {
					t.Errorf("%s: it costs %s, not %s", name, row.CostUSD, want)
				}
				if want := "reported"; row.UsageSource != want && now.Begun == billed.Begun {
					t.Errorf("%s: usage is %s", name, row.UsageSource)
				}
			}
		}
	}
	if bad.Strayed() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestAStreamThatBreaksIsAnErrorAndIsNotAskedElsewhere(t *testing.T) {
	s, bad, good := twoWays(t)
	for _, fault := range mid {
		for _, way := range []string{"two", "alone"} {
			e, row := s.ask(question(way+"+"+fault, true, "Is lot 8 in good order?"+polite))
			if e.Status != http.StatusOK || strings.Contains(e.Text, "[DONE]") || !strings.Contains(e.Text, `"error"`) || !strings.Contains(e.Text, `"content"`) {
				t.Errorf("%s+%s: %d %s", way, fault, e.Status, e.Text)
			}
			all := bad.Exchanges()
			x := all[len(all)-1]
			if row.Outcome != "broken" || row.Error == "" || len(row.Attempts) != 1 || row.Attempts[0].Outcome != "broken" || !strings.HasSuffix(row.Deployment, "/chat+"+fault) {
				t.Errorf("%s+%s: %s by %s after %d attempts: %s", way, fault, row.Outcome, row.Deployment, len(row.Attempts), row.Error)
			}
			if row.UsageSource != "estimated" || row.InputTokens < x.Input || row.OutputTokens < x.Output || row.CostUSD == 0 {
				t.Errorf("%s+%s: %d+%d tokens %s, %s; billed were %d+%d", way, fault, row.InputTokens, row.OutputTokens, row.UsageSource, row.CostUSD, x.Input, x.Output)
			}
			if said := statement(e.Text); said.CallID != e.ID {
				t.Errorf("%s+%s: the stream does not say what it cost: %s", way, fault, e.Text)
			}
		}
	}
	if n := good.Chats().Begun; n != 0 {
		t.Errorf("%d calls went elsewhere after their first byte", n)
	}
}

func TestWhatIsOddButWholeIsPassedOnByTheFirstDeployment(t *testing.T) {
	s, _, good := twoWays(t)
	for _, fault := range fine {
		for _, stream := range []bool{false, true} {
			e, row := s.ask(question("two+"+fault, stream, "Is lot 9 in good order?"+polite))
			if !e.Whole || row.Outcome != "ok" || len(row.Attempts) != 1 || row.Deployment != "bad/chat+"+fault {
				t.Errorf("%s, stream %t: whole %t, %s after %d attempts by %s: %s", fault, stream, e.Whole, row.Outcome, len(row.Attempts), row.Deployment, row.Error)
			}
			if fault == "giant" && (len(e.Text) < 10<<20 || row.OutputTokens < 1<<20 && row.UsageSource != "reported") {
				t.Errorf("%s, stream %t: %d bytes, %d tokens %s", fault, stream, len(e.Text), row.OutputTokens, row.UsageSource)
			}
			want := map[string]string{"no-usage": "estimated", "usage-zero": "estimated", "usage-absurd": "estimated", "usage-below": "estimated"}[fault]
			if want == "" {
				want = "reported"
			}
			if row.UsageSource != want || row.InputTokens == 0 || row.OutputTokens == 0 || row.CostUSD == 0 || row.CostUSD > money.Dollar*20 {
				t.Errorf("%s, stream %t: %d+%d tokens %s at %s", fault, stream, row.InputTokens, row.OutputTokens, row.UsageSource, row.CostUSD)
			}
		}
	}
	if n := good.Chats().Begun; n != 0 {
		t.Errorf("%d calls went elsewhere", n)
	}
}
