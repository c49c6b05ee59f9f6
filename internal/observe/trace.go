package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/llm"
)

// maxTrace is how many spans and how many calls of one trace are read.
const maxTrace = 5000

// Trace is everything that is known of one action, as a tree; times are from the clocks of those who did the work.
type Trace struct {
	ID        string        `json:"id"`
	Start     time.Time     `json:"start"`
	Duration  time.Duration `json:"duration_ns"`
	Nodes     int           `json:"nodes"`
	Truncated bool          `json:"truncated,omitempty"` // there is more than can be shown
	Roots     []*Node       `json:"roots"`               // several where a parent is elsewhere, or not recorded
}

// Node is a piece of work in a trace.
type Node struct {
	Kind       string            `json:"kind"` // span, call or attempt
	ID         string            `json:"id"`   // of the span, or of the call; an attempt has none
	ParentID   string            `json:"parent_id,omitempty"`
	Name       string            `json:"name"`
	Start      time.Time         `json:"start"`
	Duration   time.Duration     `json:"duration_ns"`
	Error      string            `json:"error,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Call       *llm.Call         `json:"-"` // of a call
	Children   []*Node           `json:"children,omitempty"`

	spanID string
}

// Trace returns the tree of a trace, built from its spans, its calls and their attempts.
func (s *Store) Trace(ctx context.Context, traceID string) (Trace, error) {
	nodes, err := s.spanNodes(ctx, traceID)
	if err != nil {
		return Trace{}, fmt.Errorf("read a trace: %w", err)
	}
	t := Trace{ID: traceID, Truncated: len(nodes) == maxTrace}
	rows, err := s.db.Query(ctx, selectCalls+" WHERE trace_id = ? ORDER BY id LIMIT ?", traceID, maxTrace)
	if err != nil {
		return Trace{}, fmt.Errorf("read a trace: %w", err)
	}
	calls, _, err := readCalls(rows)
	if err != nil {
		return Trace{}, err
	}
	t.Truncated = t.Truncated || len(calls) == maxTrace
	for i := range calls {
		nodes = append(nodes, callNode(&calls[i]))
	}
	if len(nodes) == 0 {
		return Trace{}, fault.New(fault.NotFound, "trace_not_found", "there is no trace %s in the log", traceID)
	}
	t.Roots = tree(nodes)
	t.measure(t.Roots)
	return t, nil
}

func (s *Store) spanNodes(ctx context.Context, traceID string) ([]*Node, error) {
	rows, err := s.db.Query(ctx, "SELECT span_id, parent_id, name, started_at, ended_at, error, attributes FROM spans WHERE trace_id = ? ORDER BY started_at LIMIT ?", traceID, maxTrace)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var nodes []*Node
	for rows.Next() {
		n := &Node{Kind: "span"}
		var started, ended int64
		var attributes []byte
		if err := rows.Scan(&n.ID, &n.ParentID, &n.Name, &started, &ended, &n.Error, &attributes); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(attributes, &n.Attributes); err != nil {
			return nil, fmt.Errorf("attributes of %s: %w", n.ID, err)
		}
		n.spanID, n.Start, n.Duration = n.ID, db.Time(started), micros(ended-started)
		nodes = append(nodes, n)
	}
	return nodes, rows.Err()
}

func callNode(c *llm.Call) *Node {
	n := &Node{Kind: "call", ID: c.ID, ParentID: c.ParentSpanID, Name: string(c.Surface) + " " + c.Model, Start: c.Start, Duration: c.Duration, Error: c.Error, Call: c, spanID: c.SpanID}
	if c.Prompt != "" {
		n.Attributes = map[string]string{"prompt": fmt.Sprintf("%s@%d", c.Prompt, c.Version)}
	}
	for _, a := range c.Attempts {
		n.Children = append(n.Children, &Node{Kind: "attempt", Name: a.Deployment, Start: a.Start, Duration: a.Duration, Error: a.Error,
			Attributes: map[string]string{"provider": a.Provider, "model": a.Model, "outcome": string(a.Outcome), "status": fmt.Sprint(a.Status)}})
	}
	return n
}

// tree puts nodes below their parents and returns those that have none here. Ids come from outside too: one that comes
// twice, or a ring of parents, loses no node.
func tree(nodes []*Node) (roots []*Node) {
	byID := make(map[string]*Node, len(nodes))
	for _, n := range nodes {
		if byID[n.spanID] == nil {
			byID[n.spanID] = n
		}
	}
	placed := make(map[*Node]*Node, len(nodes)) // to its parent
	for _, n := range nodes {
		parent := byID[n.ParentID]
		if n.ParentID == "" || parent == nil || ring(placed, n, parent) {
			roots = append(roots, n)
			continue
		}
		placed[n] = parent
		parent.Children = append(parent.Children, n)
	}
	for _, n := range nodes {
		slices.SortStableFunc(n.Children, byStart)
	}
	slices.SortStableFunc(roots, byStart)
	return roots
}

func byStart(a, b *Node) int { return a.Start.Compare(b.Start) }

func ring(placed map[*Node]*Node, n, parent *Node) bool {
	for ; parent != nil; parent = placed[parent] {
		if parent == n {
			return true
		}
	}
	return false
}

// measure sets when the trace began and how long it took from the nodes.
func (t *Trace) measure(nodes []*Node) {
	for _, n := range nodes {
		t.Nodes++
		end := t.Start.Add(t.Duration)
		if t.Start.IsZero() || n.Start.Before(t.Start) {
			t.Start = n.Start
		}
		if last := n.Start.Add(n.Duration); last.After(end) {
			end = last
		}
		t.Duration = end.Sub(t.Start)
		t.measure(n.Children)
	}
}
