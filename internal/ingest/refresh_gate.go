package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"airfield/internal/access"
	"airfield/internal/db"
)

const (
	gateDepth    = 10   // hits that are compared
	gateDecline  = 0.02 // nDCG that the new generation may lack against the live one
	gateQuery    = 30 * time.Second
	gateExamples = 5
)

// Gate is what came out of holding a generation against the live one.
type Gate struct {
	Passed     bool      `json:"passed"`
	Reasons    []string  `json:"reasons"` // why it did not
	Queries    int       `json:"queries"` // of the sample
	Overlap    float64   `json:"overlap"` // the share of the first ten hits that both have, on the average
	MinOverlap float64   `json:"min_overlap"`
	By         string    `json:"by"` // what was compared: passages, documents
	Apart      []Apart   `json:"apart"`
	Golden     int       `json:"golden"`    // queries whose right documents are known
	LiveNDCG   float64   `json:"live_ndcg"` // nDCG@10 on them
	NDCG       float64   `json:"ndcg"`
	MinNDCG    float64   `json:"min_ndcg"`
	Refused    int64     `json:"refused"` // passages and documents that could not be made anew
	At         time.Time `json:"at"`
}

// Apart is a query for which the generations differ most.
type Apart struct {
	Query   string  `json:"query"`
	Overlap float64 `json:"overlap"`
}

// judge compares the generation with the live one and writes down whether it may become live.
func (p *Pipeline) judge(ctx context.Context, c Collection, g *Generation) error {
	gate, err := p.compare(ctx, c, g)
	if err != nil {
		return fmt.Errorf("hold generation %s against the live one: %w", g.ID, err)
	}
	raw, err := json.Marshal(gate)
	if err != nil {
		return err
	}
	state := GenerationReady
	if !gate.Passed {
		state = GenerationHeld
		p.Log.Warn("a generation did not pass its gate and is held", "collection", c.Name, "generation", g.ID, "reasons", strings.Join(gate.Reasons, "; "))
	}
	return p.inGeneration(ctx, g, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE generations SET state = ?, gate = ?, attempts = 0, error = '' WHERE id = ?", state, storable(string(raw)), g.ID); err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "refresh." + state, Target: c.ID, Detail: map[string]any{
			"collection": c.Name, "generation": g.ID, "model": g.Model, "overlap": gate.Overlap, "ndcg": gate.NDCG, "live_ndcg": gate.LiveNDCG, "refused": gate.Refused, "reasons": gate.Reasons}})
	})
}

func (p *Pipeline) compare(ctx context.Context, c Collection, g *Generation) (Gate, error) {
	rules := c.Config.Refresh
	gate := Gate{Reasons: []string{}, Apart: []Apart{}, MinOverlap: rules.MinOverlap, MinNDCG: rules.MinNDCG, Refused: g.Refused, By: "passages", At: time.Now().UTC()}
	if g.cut != c.Cut {
		gate.By = "documents" // passages that are cut differently are different ones
	}
	sample, err := p.sample(ctx, c, rules.Sample)
	if err != nil {
		return gate, err
	}
	sum := 0.0
	for _, query := range sample {
		live, fresh, err := p.both(ctx, c, g, query)
		if err != nil {
			return gate, err
		}
		share := overlap(names(live, gate.By), names(fresh, gate.By))
		sum += share
		gate.Apart = append(gate.Apart, Apart{query, share})
	}
	gate.Queries = len(sample)
	slices.SortStableFunc(gate.Apart, func(a, b Apart) int { return cmp.Compare(a.Overlap, b.Overlap) })
	gate.Apart = gate.Apart[:min(len(gate.Apart), gateExamples)]
	if gate.Queries > 0 {
		if gate.Overlap = sum / float64(gate.Queries); gate.Overlap < rules.MinOverlap {
			gate.Reasons = append(gate.Reasons, fmt.Sprintf("the first ten %s overlap by %.2f, and min_overlap is %.2f", gate.By, gate.Overlap, rules.MinOverlap))
		}
	}
	golden, err := rules.golden()
	if err != nil {
		gate.Reasons = append(gate.Reasons, err.Error()) // somebody has to put it right; what was built is kept
	}
	for _, q := range golden {
		live, fresh, err := p.both(ctx, c, g, q.Query)
		if err != nil {
			return gate, err
		}
		gate.LiveNDCG += ndcg(live, q.Relevant) / float64(len(golden))
		gate.NDCG += ndcg(fresh, q.Relevant) / float64(len(golden))
	}
	if gate.Golden = len(golden); gate.Golden > 0 {
		if gate.NDCG < rules.MinNDCG {
			gate.Reasons = append(gate.Reasons, fmt.Sprintf("nDCG@10 on the golden queries is %.3f, and min_ndcg is %.3f", gate.NDCG, rules.MinNDCG))
		}
		if gate.NDCG < gate.LiveNDCG-gateDecline {
			gate.Reasons = append(gate.Reasons, fmt.Sprintf("nDCG@10 on the golden queries is %.3f, and that of the live generation %.3f", gate.NDCG, gate.LiveNDCG))
		}
	}
	if gate.Refused > 0 {
		gate.Reasons = append(gate.Reasons, fmt.Sprintf("%d passages or documents could not be made anew; passages are found by their keywords only, documents keep their cut", gate.Refused))
	}
	gate.Passed = len(gate.Reasons) == 0
	return gate, nil
}

// both asks the live generation and the other one, each with its own model.
func (p *Pipeline) both(ctx context.Context, c Collection, g *Generation, query string) (live, fresh []Found, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, gateQuery, fmt.Errorf("a query of the gate took more than %s", gateQuery))
	defer cancel()
	if live, err = p.Searcher.SearchGeneration(ctx, c.ID, c.GenerationID, query, gateDepth); err != nil {
		return nil, nil, err
	}
	fresh, err = p.Searcher.SearchGeneration(ctx, c.ID, g.ID, query, gateDepth)
	return live, fresh, err
}

const maxSampleQuery = 300 // bytes

// sample makes queries of the collection's own headings and titles, spread evenly over its documents.
func (p *Pipeline) sample(ctx context.Context, c Collection, most int) (queries []string, err error) {
	var documents int
	if err := p.DB.QueryRow(ctx, "SELECT COUNT(*) FROM documents WHERE collection_id = ? AND deleted_at IS NULL AND live_version_id IS NOT NULL", c.ID).Scan(&documents); err != nil {
		return nil, err
	}
	n := min(most, documents)
	for i := range n {
		var heading, title, text string
		err := p.DB.QueryRow(ctx, `SELECT k.heading, d.title, k.text FROM (SELECT id, title, live_version_id FROM documents WHERE collection_id = ? AND deleted_at IS NULL AND live_version_id IS NOT NULL
			ORDER BY id LIMIT 1 OFFSET ?) d JOIN manifests m ON m.version_id = d.live_version_id AND m.cut = ? JOIN chunks k ON k.id = m.chunk_id ORDER BY m.ordinal DESC LIMIT 1`,
			c.ID, i*documents/n, c.Cut).Scan(&heading, &title, &text)
		if db.IsNone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("sample queries: %w", err)
		}
		var path []string
		json.Unmarshal([]byte(heading), &path) // a row that is no list has no headings
		query := title
		if len(path) > 0 {
			query = path[len(path)-1]
		}
		if strings.TrimSpace(query) == "" {
			words := strings.Fields(text)
			query = strings.Join(words[:min(len(words), 12)], " ")
		}
		query = strings.ToValidUTF8(query[:min(len(query), maxSampleQuery)], "")
		if strings.TrimSpace(query) != "" && !slices.Contains(queries, query) {
			queries = append(queries, query)
		}
	}
	return queries, nil
}

// names are the hits by what is compared, each once, in order.
func names(found []Found, by string) (list []string) {
	for _, f := range found {
		name := f.ChunkID
		if by == "documents" {
			name = f.DocumentID
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// overlap is how many of the longer list's entries both have, from 0 to 1; two empty lists agree.
func overlap(a, b []string) float64 {
	longer := max(len(a), len(b))
	if longer == 0 {
		return 1
	}
	common := 0
	for _, x := range a {
		if slices.Contains(b, x) {
			common++
		}
	}
	return float64(common) / float64(longer)
}

// ndcg is the normalised discounted cumulative gain of the documents of the first ten hits, each counted where it comes
// first (Järvelin and Kekäläinen, 2002; gains of 2^grade - 1).
func ndcg(found []Found, relevant map[string]int) float64 {
	gain := func(grade, rank int) float64 { return (math.Exp2(float64(grade)) - 1) / math.Log2(float64(rank)+2) }
	seen, rank, sum := map[string]bool{}, 0, 0.0
	for _, f := range found {
		if seen[f.DocumentID] || rank == gateDepth {
			continue
		}
		seen[f.DocumentID] = true
		sum += gain(max(relevant[f.DocumentID], relevant[f.SourceKey]), rank)
		rank++
	}
	grades := []int{}
	for _, grade := range relevant {
		grades = append(grades, grade)
	}
	slices.Sort(grades)
	slices.Reverse(grades)
	best := 0.0
	for i, grade := range grades[:min(len(grades), gateDepth)] {
		best += gain(grade, i)
	}
	if best == 0 {
		return 0
	}
	return sum / best
}
