package prompt

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"airfield/internal/access"
	"airfield/internal/fault"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// Bodies gives what was asked in a call, in the caller's own words, and what was answered. A not-found fault says that it is
// not kept.
type Bodies interface {
	Body(ctx context.Context, callID string) (request, answer []byte, err error)
}

// Past is the log of calls.
type Past interface {
	// CallsOf returns calls of a prompt, or of one version of it where that is not 0: the newest first, those before an id.
	CallsOf(ctx context.Context, name string, version int, before string, limit int) ([]llm.Call, error)
}

// Again makes a past call once more, with another body, under the allowance that it was made with.
type Again func(ctx context.Context, past *llm.Call, body []byte, model string, tags map[string]string) (llm.Call, []byte, error)

// AllowanceSpent is the code of the fault with which Again ends when the allowance cannot hold a call.
const AllowanceSpent = "allowance_spent"

// Replayer runs past calls under another version.
type Replayer struct {
	Registry *Registry
	Bodies   Bodies // nil where none are kept
	Past     Past
	Begin    func(budget money.Nanos) Again
}

// Replay says which calls are run again, and how.
type Replay struct {
	To          Ref    // under which version
	From        string // only calls that got this version: a number or a label; empty for all
	Model       string // in place of the one that is asked
	Last        int
	Budget      money.Nanos
	Concurrency int
}

// Side is one of the two answers that are compared.
type Side struct {
	CallID       string      `json:"call_id,omitempty"`
	Version      int         `json:"version"`
	Model        string      `json:"model"`
	Answer       string      `json:"answer"`
	Finish       string      `json:"finish_reason,omitempty"`
	CostUSD      money.Nanos `json:"cost_usd"`
	Priced       bool        `json:"priced"`
	DurationMS   float64     `json:"duration_ms"`
	OutputTokens int64       `json:"output_tokens"`
	Valid        *bool       `json:"valid,omitempty" doc:"Whether the answer is as the version's JSON schema says, where it has one."`
}

// Replayed is a call that was run again.
type Replayed struct {
	Old   Side   `json:"old"`
	New   Side   `json:"new"`
	Same  bool   `json:"same" doc:"The two answers are the same text."`
	Error string `json:"error,omitempty" doc:"Why there is no new answer."`
}

// ReplayTotals are the sums over a replay.
type ReplayTotals struct {
	Name       string         `json:"name"`
	Version    int            `json:"version"`
	Calls      int            `json:"calls" doc:"Past calls that were looked at."`
	Replayed   int            `json:"replayed" doc:"Those that have a new answer."`
	Same       int            `json:"same"`
	Failed     int            `json:"failed"`
	NotKept    int            `json:"not_kept" doc:"Calls whose bodies are not kept."`
	NotRun     int            `json:"not_run" doc:"Calls that the budget had no room for."`
	OldUSD     money.Nanos    `json:"old_usd" doc:"Of those that have a new answer."`
	NewUSD     money.Nanos    `json:"new_usd"`
	SpentUSD   money.Nanos    `json:"spent_usd" doc:"With those that failed."`
	OldMS      float64        `json:"old_mean_ms"`
	NewMS      float64        `json:"new_mean_ms"`
	OldFinish  map[string]int `json:"old_finish_reasons"`
	NewFinish  map[string]int `json:"new_finish_reasons"`
	OldInvalid int            `json:"old_invalid" doc:"Answers that are not as the JSON schema of the version says."`
	NewInvalid int            `json:"new_invalid"`
}

const (
	mostReplayed   = 1000
	mostConcurrent = 16
	replayTag      = "replay"
)

// Run runs calls again and reports each as it is done. What it costs is held before each call is made: the budget is never
// exceeded. The calls are made for the workflow of the past one, carry the tag replay and are not cached.
func (p *Replayer) Run(ctx context.Context, q Replay, report func(Replayed) error) (ReplayTotals, error) {
	sum := ReplayTotals{Name: q.To.Name, OldFinish: map[string]int{}, NewFinish: map[string]int{}}
	switch {
	case q.Last < 1 || q.Last > mostReplayed:
		return sum, fault.New(fault.Invalid, "replay_last", "between 1 and %d calls can be replayed, not %d", mostReplayed, q.Last).At("last")
	case q.Budget <= 0:
		return sum, fault.New(fault.Invalid, "replay_budget", "a replay needs a budget above 0").At("budget")
	case q.Concurrency < 1 || q.Concurrency > mostConcurrent:
		return sum, fault.New(fault.Invalid, "replay_concurrency", "between 1 and %d calls can run at once, not %d", mostConcurrent, q.Concurrency).At("concurrency")
	case p.Bodies == nil:
		return sum, notKept("nothing of what is asked and answered is kept here")
	}
	version, err := p.Registry.Find(ctx, q.To.Name, which(q.To))
	if err != nil {
		return sum, err
	}
	sum.Version = version.Version
	check, err := schemaOf(version.Prompt)
	if err != nil {
		return sum, err
	}
	past, err := p.choose(ctx, q, &sum)
	if err != nil {
		return sum, err
	}
	r := &replaying{q: q, to: version, check: check, again: p.Begin(q.Budget), tags: map[string]string{replayTag: fmt.Sprintf("%s@%d", q.To.Name, version.Version)}, sum: &sum, report: report}
	return sum, r.all(ctx, past)
}

func notKept(why string) error {
	return fault.New(fault.Conflict, "replay_no_bodies", "no call can be replayed: %s", why).Hinted("a replay needs the requests of past calls: have the workflow keep bodies, and try again after some calls")
}

func which(f Ref) string {
	switch {
	case f.Version > 0:
		return fmt.Sprint(f.Version)
	case f.Label != "":
		return f.Label
	}
	return Live
}

// pastCall is a call with what was said in it.
type pastCall struct {
	row             llm.Call
	request, answer []byte
}

// choose finds the calls that are to be replayed and reads what was said in them, which is written down first.
func (p *Replayer) choose(ctx context.Context, q Replay, sum *ReplayTotals) ([]pastCall, error) {
	from := 0
	if q.From != "" {
		v, err := p.Registry.Find(ctx, q.To.Name, q.From)
		if err != nil {
			return nil, err
		}
		from = v.Version
	}
	var rows []llm.Call
	for before := ""; len(rows) < q.Last; {
		page, err := p.Past.CallsOf(ctx, q.To.Name, from, before, 200)
		if err != nil {
			return nil, err
		}
		for _, c := range page {
			if _, again := c.Tags[replayTag]; !again && c.Outcome == llm.OK && len(rows) < q.Last {
				rows = append(rows, c)
			}
			before = c.ID
		}
		if len(page) < 200 {
			break
		}
	}
	if sum.Calls = len(rows); len(rows) == 0 {
		return nil, fault.New(fault.NotFound, "replay_no_calls", "there are no calls of the prompt %s to replay", q.To.Name).Hinted("airfield calls --prompt %s shows them", q.To.Name)
	}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	detail := map[string]any{"version": sum.Version, "calls": ids, "budget_usd": q.Budget}
	if q.Model != "" {
		detail["model"] = q.Model
	}
	if err := p.Registry.audit.Note(ctx, access.Entry{Action: "prompt.replay", Target: q.To.Name, Detail: detail}); err != nil {
		return nil, err
	}
	var past []pastCall
	var missing error
	for _, row := range rows {
		request, answer, err := p.Bodies.Body(ctx, row.ID)
		switch {
		case err == nil && len(request) > 0:
			past = append(past, pastCall{row, request, answer})
			continue
		case err != nil && !fault.Is(err, fault.NotFound):
			return nil, fmt.Errorf("read what was said in %s: %w", row.ID, err)
		}
		missing = err
		sum.NotKept++
	}
	if len(past) == 0 {
		why := fmt.Sprintf("of %d calls none has its request kept", len(rows))
		if missing != nil {
			why += ": " + fault.As(missing).Text
		}
		return nil, notKept(why)
	}
	return past, nil
}

// replaying is a replay under way.
type replaying struct {
	q      Replay
	to     PromptVersion
	check  *schema
	again  Again
	tags   map[string]string
	report func(Replayed) error

	mu    sync.Mutex // of what follows
	sum   *ReplayTotals
	spent bool  // the budget has no room for another call
	err   error // of report
}

func (r *replaying) all(ctx context.Context, past []pastCall) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	work := make(chan *pastCall)
	var wait sync.WaitGroup
	for range min(r.q.Concurrency, len(past)) {
		wait.Go(func() {
			for c := range work {
				if r.one(ctx, c) != nil {
					stop()
				}
			}
		})
	}
	for i := range past {
		select {
		case work <- &past[i]:
		case <-ctx.Done():
		}
	}
	close(work)
	wait.Wait()
	if n := float64(r.sum.Replayed); n > 0 {
		r.sum.OldMS /= n
		r.sum.NewMS /= n
	}
	if r.err != nil {
		return r.err
	}
	return context.Cause(ctx)
}

// one runs one call again. An error is one of the report.
func (r *replaying) one(ctx context.Context, c *pastCall) error {
	r.mu.Lock()
	over := r.spent
	if over {
		r.sum.NotRun++
	}
	r.mu.Unlock()
	if over {
		return nil
	}
	made := Replayed{Old: sideOf(&c.row, c.answer, r.check)}
	var row llm.Call
	body, err := r.request(c.request)
	if err == nil {
		var answer []byte
		row, answer, err = r.again(ctx, &c.row, body, r.q.Model, r.tags)
		made.New = sideOf(&row, answer, r.check)
	}
	if err != nil {
		made.Error = fault.As(err).Text
	}
	made.Same = err == nil && made.Old.Answer == made.New.Answer
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sum
	s.SpentUSD = s.SpentUSD.Add(row.Cost)
	switch {
	case err != nil && fault.As(err).Code == AllowanceSpent:
		r.spent = true
		s.NotRun++
		return nil
	case err != nil:
		s.Failed++
	default:
		s.Replayed++
		if made.Same {
			s.Same++
		}
		s.OldUSD, s.NewUSD = s.OldUSD.Add(made.Old.CostUSD), s.NewUSD.Add(made.New.CostUSD)
		s.OldMS, s.NewMS = s.OldMS+made.Old.DurationMS, s.NewMS+made.New.DurationMS
		s.OldFinish[made.Old.Finish]++
		s.NewFinish[made.New.Finish]++
		s.OldInvalid += invalid(made.Old)
		s.NewInvalid += invalid(made.New)
	}
	if r.err == nil {
		r.err = r.report(made)
	}
	return r.err
}

func invalid(s Side) int {
	if s.Valid != nil && !*s.Valid {
		return 1
	}
	return 0
}

// request is the body of a past call with the version that is tried in the place of the one that it asked for, and not as a
// stream.
func (r *replaying) request(body []byte) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fault.New(fault.Invalid, "replay_request", "what was asked cannot be read: %w", err)
	}
	var asked struct {
		Variables json.RawMessage `json:"variables,omitempty"`
	}
	if given := all["prompt"]; len(given) > 0 {
		if err := json.Unmarshal(given, &asked); err != nil {
			return nil, fault.New(fault.Invalid, "replay_request", "what was asked cannot be read: %w", err)
		}
	}
	prompt, err := json.Marshal(struct {
		Name      string          `json:"name"`
		Version   int             `json:"version"`
		Variables json.RawMessage `json:"variables,omitempty"`
	}{r.to.Name, r.to.Version, asked.Variables})
	if err != nil {
		return nil, err
	}
	var model string
	if json.Unmarshal(all["model"], &model) == nil && len(model) > 7 && model[:7] == "prompt/" {
		delete(all, "model")
	}
	delete(all, "stream")
	delete(all, "stream_options")
	all["prompt"] = prompt
	return json.Marshal(all)
}

func sideOf(row *llm.Call, answer []byte, check *schema) Side {
	s := Side{
		CallID: row.ID, Version: row.Version, Model: row.Model, Answer: answerText(answer), Finish: row.Finish, CostUSD: row.Cost, Priced: row.Priced,
		DurationMS: float64(row.Duration) / float64(time.Millisecond), OutputTokens: row.Usage.Completion(),
	}
	if check != nil && len(answer) > 0 {
		ok := check.holds(s.Answer)
		s.Valid = &ok
	}
	return s
}
