package prompt

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
)

var operator = caller.With(context.Background(), &caller.Caller{Role: caller.Operator, KeyID: "key_1", KeyName: "ci"})

func registry(t *testing.T, d *db.DB) *Registry {
	t.Helper()
	r := New(d, access.NewAudit(d), slog.New(slog.DiscardHandler))
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func says(text string) Prompt {
	return Prompt{Messages: []PromptMessage{{"system", text}, {"user", "as " + text}}}
}

// push makes a version that must be made.
func push(t *testing.T, r *Registry, text, label string) Pushed {
	t.Helper()
	p, err := r.Push(operator, "reply", Push{Prompt: says(text), Label: label})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.As(err).Code
}

func TestAVersionNeverChangesAndTheSameContentMakesNone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := registry(t, d)
		zero, one := 0, 1
		first, err := r.Push(operator, "reply", Push{Prompt: says("a"), Note: "the first", IfLatest: &zero})
		if err != nil || !first.Created || first.PromptVersion.Version != 1 || first.Author != "ci" || first.AuthorID != "key:key_1" {
			t.Fatalf("%+v %v", first, err)
		}
		if dry, err := r.Push(operator, "reply", Push{Prompt: says("b"), DryRun: true, Label: "live"}); err != nil || dry.PromptVersion.Version != 2 || !dry.Created || dry.Moved == nil {
			t.Errorf("a dry run: %+v %v", dry, err)
		}
		second := push(t, r, "b", "candidate")
		if second.PromptVersion.Version != 2 || second.Moved == nil || second.Moved.To != (Target{Version: 2}) {
			t.Errorf("%+v", second)
		}
		if _, err := r.Push(operator, "reply", Push{Prompt: says("c"), IfLatest: &one}); code(err) != "prompt_changed" {
			t.Errorf("a push over what somebody else pushed: %v", err)
		}
		again := push(t, r, "a", "candidate")
		if again.Created || again.PromptVersion.Version != 1 || again.Note != "the first" || again.Moved == nil {
			t.Errorf("the same content: %+v", again)
		}
		if again := push(t, r, "a", "candidate"); again.Created || again.Moved != nil {
			t.Errorf("once more: %+v", again)
		}
		h, err := r.History(t.Context(), "reply")
		if err != nil || len(h.Versions) != 2 || len(h.Moves) != 2 || h.Moves[0].From.Version != 2 || h.Moves[0].To.Version != 1 {
			t.Errorf("%+v %v", h, err)
		}
		v, err := r.Find(t.Context(), "reply", "candidate")
		if err != nil || v.Version != 1 || v.Prompt.Messages[0].Content != "a" || v.Hash != first.Hash {
			t.Errorf("%+v %v", v, err)
		}
		for which, want := range map[string]string{"3": "prompt_version_not_found", "live": "prompt_label_not_found"} {
			if _, err := r.Find(t.Context(), "reply", which); code(err) != want {
				t.Errorf("%s: %v", which, err)
			}
		}
		list, err := r.List(t.Context())
		if err != nil || len(list) != 1 || list[0].Latest != 2 || list[0].Labels["candidate"].Version != 1 {
			t.Errorf("%+v %v", list, err)
		}
	})
}

func TestARollbackGoesBackToTheVersionBefore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := registry(t, d)
		for _, text := range []string{"a", "b", "c"} {
			push(t, r, text, Live)
		}
		back := func(want int, wantCode string) {
			t.Helper()
			m, err := r.Rollback(operator, "reply", Live, "it was wrong")
			if code(err) != wantCode || wantCode == "" && m.To != (Target{Version: want}) {
				t.Fatalf("%+v %v", m, err)
			}
		}
		set := func(to, want Target) {
			t.Helper()
			m, err := r.SetLabel(operator, "reply", Live, to, "")
			if err != nil || m == nil || m.To != want {
				t.Fatalf("%+v %v", m, err)
			}
		}
		back(2, "")
		back(1, "")
		back(0, "prompt_no_version_before")
		set(Target{Version: 3, Other: 1, Percent: 90}, Target{Version: 1, Other: 3, Percent: 10}) // the base is what it was
		set(Target{Version: 1, Other: 3, Percent: 50}, Target{Version: 1, Other: 3, Percent: 50})
		back(1, "")
		set(Target{Version: 1, Other: 2, Percent: 20}, Target{Version: 1, Other: 2, Percent: 20})
		set(Target{Version: 1, Other: 2, Percent: 100}, Target{Version: 2})
		back(1, "")
		if m, err := r.SetLabel(operator, "reply", Live, Target{Version: 1}, ""); m != nil || err != nil {
			t.Errorf("where it is already: %+v %v", m, err)
		}
		for _, bad := range []Target{{}, {Version: 9}, {Version: 1, Other: 1, Percent: 5}, {Version: 1, Percent: 5}, {Version: 1, Other: 2, Percent: 101}, {Version: 1, Other: -1, Percent: 5}} {
			if m, err := r.SetLabel(operator, "reply", Live, bad, ""); err == nil {
				t.Errorf("%+v: %+v", bad, m)
			}
		}
		if _, err := r.Rollback(operator, "reply", "other", ""); code(err) != "prompt_label_not_found" {
			t.Error(err)
		}
		entries, err := access.NewAudit(d).List(t.Context(), access.Filter{Action: "prompt.rollback", Limit: 10})
		if err != nil || len(entries) != 4 || !strings.Contains(string(entries[3].Detail), `"from":{"version":3},"label":"live","reason":"it was wrong","to":{"version":2}`) || entries[3].Actor != "key:key_1" {
			t.Errorf("%d %s %v", len(entries), entries[len(entries)-1].Detail, err)
		}
	})
}

func TestAnotherProcessTakesOverAMoveAsAWhole(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, open func() *db.DB) {
		r, other := registry(t, open()), registry(t, open())
		ctx, stop := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() { other.Run(ctx) })
		defer wait.Wait()
		defer stop()
		push(t, r, "1", Live)
		push(t, r, "2", Live)
		sees := func(want int) {
			t.Helper()
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				got, err := other.Render(Ref{Name: "reply"}, nil, "")
				if err == nil && (got.Messages[0].Content != fmt.Sprint(got.Version) || got.Messages[1].Content != fmt.Sprint("as ", got.Version)) {
					t.Fatalf("mixed: %+v", got)
				}
				if err == nil && got.Version == want {
					return
				}
				if time.Now().After(end) {
					t.Fatalf("%+v %v, not version %d", got, err, want)
				}
			}
		}
		sees(2)
		if _, err := r.Rollback(operator, "reply", Live, ""); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Render(Ref{Name: "reply"}, nil, ""); err != nil || got.Version != 1 {
			t.Errorf("in the process that did it, at once: %+v %v", got, err)
		}
		sees(1)
		if got, err := other.Render(Ref{Name: "reply", Version: 2}, nil, ""); err != nil || got.Messages[0].Content != "2" {
			t.Errorf("by its number: %+v %v", got, err)
		}
	})
}

func TestASharedLabelIsStickyAndKeepsItsShares(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	r := registry(t, d)
	push(t, r, "1", Live)
	push(t, r, "2", "")
	got := map[string]int{}
	for _, percent := range []int{10, 40, 90} {
		if _, err := r.SetLabel(operator, "reply", Live, Target{Version: 1, Other: 2, Percent: percent}, ""); err != nil {
			t.Fatal(err)
		}
		other, chance := 0, 0
		for i := range 2000 {
			who := fmt.Sprint("session-", i)
			a, err := r.Render(Ref{Name: "reply"}, nil, who)
			b, _ := r.Render(Ref{Name: "reply", Label: Live}, nil, who)
			if err != nil || a.Version != b.Version {
				t.Fatalf("%s got %d, then %d: %v", who, a.Version, b.Version, err)
			}
			if a.Version < got[who] {
				t.Fatalf("%s lost the new version as its share grew", who)
			}
			got[who] = a.Version
			other += a.Version - 1
			c, _ := r.Render(Ref{Name: "reply"}, nil, "")
			chance += c.Version - 1
		}
		for how, n := range map[string]int{"sticky": other, "by chance": chance} {
			if share := n * 100 / 2000; share < percent-5 || share > percent+5 {
				t.Errorf("%s: %d %% of the calls for %d", how, share, percent)
			}
		}
	}
}

func TestWhileTheDatabaseIsAwayTheLabelsStandForAWhile(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	r := registry(t, d)
	push(t, r, "1", Live)
	d.Close()
	if err := r.Load(t.Context()); err == nil {
		t.Fatal("a closed database was read")
	}
	if got, err := r.Render(Ref{Name: "reply"}, nil, ""); err != nil || got.Version != 1 {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := r.Push(operator, "reply", Push{Prompt: says("2")}); err == nil {
		t.Error("a push was taken")
	}
	r.confirmed.Store(time.Now().Add(-trusted - time.Second).UnixNano())
	if _, err := r.Render(Ref{Name: "reply"}, nil, ""); code(err) != "prompt_labels_stale" {
		t.Errorf("after its time: %v", err)
	}
	if got, err := r.Render(Ref{Name: "reply", Version: 1}, nil, ""); err != nil || got.Version != 1 {
		t.Errorf("by its number: %+v %v", got, err)
	}
}

func TestVersionsPushedAtOnceAreNumberedWithoutGaps(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, open func() *db.DB) {
		a, b := registry(t, open()), registry(t, open())
		var wait sync.WaitGroup
		for i := range 20 {
			wait.Go(func() {
				r := []*Registry{a, b}[i%2]
				if _, err := r.Push(operator, "reply", Push{Prompt: says(fmt.Sprint(i / 2)), Label: Live}); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		h, err := a.History(t.Context(), "reply")
		if err != nil || len(h.Versions) != 10 {
			t.Fatalf("%d versions %v", len(h.Versions), err)
		}
		for i, v := range h.Versions {
			if v.Version != 10-i {
				t.Errorf("version %d at %d", v.Version, i)
			}
		}
		for i := 1; i < len(h.Moves); i++ {
			if h.Moves[i-1].From != h.Moves[i].To {
				t.Errorf("a move from %v after one to %v", h.Moves[i-1].From, h.Moves[i].To)
			}
		}
	})
}

func TestWhatIsKeptIsReadBackAsItWas(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	r := registry(t, d)
	p := read(t, `{"description":"d","model":"chat","locked":true,"messages":[{"role":"system","content":"{{#a}}<{{.}}>{{/a}}"}],
		"parameters":{"temperature":0.20,"seed":12345678901234567890},"variables":{"a":{"type":"list","required":false,"max_length":2}}}`)
	made, err := r.Push(operator, "all", Push{Prompt: *p, Label: Live})
	if err != nil {
		t.Fatal(err)
	}
	fresh := registry(t, d)
	got, err := fresh.Render(Ref{Name: "all"}, json.RawMessage(`{"a":["x","{{y}}"]}`), "")
	want := Rendered{Name: "all", Version: 1, Model: "chat", Locked: true, Messages: []PromptMessage{{"system", "<x><{{y}}>"}},
		Parameters: map[string]json.RawMessage{"temperature": json.RawMessage("0.2"), "seed": json.RawMessage("12345678901234567890")}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	v, err := fresh.Find(t.Context(), "all", "latest")
	if diff := cmp.Diff(made.Prompt, v.Prompt); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}
