package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/builtin"
	"airfield/internal/llm"
)

// embedsFor is an embedding model that knows these texts.
func embedsFor(vectors map[string]string) act {
	return func(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
		var q struct{ Input []string }
		if err := json.Unmarshal(a.Body, &q); err != nil || vectors[q.Input[0]] == "" {
			return nil, fmt.Errorf("%s: %w", a.Body, err)
		}
		return vectorsOf(vectors[q.Input[0]])(ctx, a)
	}
}

const (
	asked      = "where is the parcel that was sent"
	paraphrase = "please tell me where the parcel is that was sent"
	different  = "what does a parcel cost"
)

var meanings = map[string]string{asked: `[1,0,0]`, paraphrase: `[10,1,0]`, different: `[1,1,0]`, paraphrase + " 30": `[1,0,0]`, paraphrase + " 60": `[1,0,0]`}

func saying(text string) string {
	return `{"model":"chat","temperature":0,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"` + text + `"}]}`
}

func comparing(change ...func(*gateway.SemanticConfig)) gateway.Config {
	s := gateway.SemanticConfig{Model: "embed", Threshold: 0.95}
	for _, f := range change {
		f(&s)
	}
	w := gateway.WorkflowConfig{Cache: gateway.CacheConfig{TTL: time.Hour, Semantic: &s}}
	cfg := guarded(w)
	cfg.Workflows["other"] = w
	return cfg
}

func TestAParaphraseInTheSamePositionGetsTheAnswer(t *testing.T) {
	type position struct {
		body   string
		who    caller.Caller
		epochs string
		cache  gateway.CacheControl
	}
	first := position{body: saying(asked), who: *support}
	with := func(change func(p *position)) position {
		p := position{body: saying(paraphrase), who: *support}
		change(&p)
		return p
	}
	replaced := func(old, new string) position {
		return with(func(p *position) { p.body = strings.Replace(p.body, old, new, 1) })
	}
	for name, c := range map[string]struct {
		first, second position
		hit           bool
	}{
		"a paraphrase": {first, with(func(*position) {}), true},
		"another order of fields": {first, with(func(p *position) {
			p.body = strings.Replace(p.body, `"temperature":0,`, "", 1)
			p.body = p.body[:len(p.body)-1] + `,"temperature":0}`
		}), true},
		"another key of the workflow":    {first, with(func(p *position) { p.who.KeyID = "key_2" }), true},
		"something else":                 {first, position{body: saying(different), who: *support}, false},
		"another number":                 {position{body: saying(paraphrase + " 30"), who: *support}, position{body: saying(paraphrase + " 60"), who: *support}, false},
		"another system message":         {first, replaced("brief", "long"), false},
		"another bound":                  {first, replaced(`"temperature":0`, `"temperature":0,"max_tokens":5`), false},
		"another user":                   {first, replaced(`{"model"`, `{"user":"bob","model"`), false},
		"another workflow":               {first, with(func(p *position) { p.who.Workflow = "other" }), false},
		"another clearance":              {first, with(func(p *position) { p.who.Clearance = caller.Restricted }), false},
		"another environment":            {first, with(func(p *position) { p.who.Environment = "prod" }), false},
		"documents that have changed":    {first, with(func(p *position) { p.epochs = "handbook:8" }), false},
		"a stream":                       {first, replaced(`{"model"`, `{"stream":true,"model"`), false},
		"a caller who wants a fresh one": {first, with(func(p *position) { p.cache = gateway.CacheRefresh }), false},
		"a caller who wants no cache":    {first, with(func(p *position) { p.cache = gateway.CacheOff }), false},
		"a chance of something else":     {with(func(p *position) { p.body = strings.Replace(saying(asked), ":0", ":0.9", 1) }), replaced(":0", ":0.9"), false},
		"tools":                          {with(func(p *position) { p.body = strings.Replace(saying(asked), "{", `{"tools":[],`, 1) }), replaced(`{"model"`, `{"tools":[],"model"`), false},
		"two answers":                    {with(func(p *position) { p.body = strings.Replace(saying(asked), "{", `{"n":2,`, 1) }), replaced(`{"model"`, `{"n":2,"model"`), false},
		"a text in parts": {with(func(p *position) {
			p.body = strings.Replace(saying(asked), `"`+asked+`"`, `[{"type":"text","text":"`+asked+`"}]`, 1)
		}), replaced(`"`+paraphrase+`"`, `[{"type":"text","text":"`+paraphrase+`"}]`), true},
		"two parts": {with(func(p *position) {
			p.body = strings.Replace(saying(asked), `"`+asked+`"`, `[{"type":"text","text":"a"},{"type":"text","text":"`+asked+`"}]`, 1)
		}), replaced(`"`+paraphrase+`"`, `[{"type":"text","text":"a"},{"type":"text","text":"`+paraphrase+`"}]`), false},
		"a last message of somebody else's": {with(func(p *position) { p.body = strings.Replace(saying(asked), `"user"`, `"tool"`, 1) }), replaced(`"user"`, `"tool"`), false},
	} {
		t.Run(name, func(t *testing.T) {
			acts := everyoneWorks()
			acts["vectors"] = embedsFor(meanings)
			bubble(t, comparing(), acts, func(t *testing.T, s *stage) {
				var header func(string) string
				for _, p := range []position{c.first, c.second} {
					w, err := s.call(caller.With(t.Context(), &p.who), gateway.Request{Body: []byte(p.body), Epochs: p.epochs, Cache: p.cache})
					if err != nil || w.Code != 200 {
						t.Fatal(err)
					}
					header = w.Header().Get
				}
				row, calls := s.row(), strings.Count(s.order(), "a")
				if hit := calls == 1; hit != c.hit || (header("X-Airfield-Cache") == "semantic") != c.hit {
					t.Fatalf("asked %s, %s", s.order(), header("X-Airfield-Cache"))
				}
				if c.hit && (row.Cache != "semantic" || row.Cost != 0 || row.Usage.Total() != 0 || row.Deployment != "cache" || header("X-Airfield-Cache-Similarity") != "0.995") {
					t.Errorf("%+v %s", row, header("X-Airfield-Cache-Similarity"))
				}
				s.balanced()
			})
		})
	}
}

// Comparing costs: each vector is a call of the workflow with a row of its own.
func TestTheVectorsOfTheCacheAreMetered(t *testing.T) {
	acts := everyoneWorks()
	acts["vectors"] = embedsFor(meanings)
	cfg := comparing()
	w := cfg.Workflows["support"]
	w.Models = []string{"chat"}
	cfg.Workflows["support"] = w
	s := newStage(t, cfg, acts)
	if _, err := s.ask(saying(asked)); err != nil {
		t.Fatal(err)
	}
	row := s.log.finished[0]
	if row.Surface != llm.Embeddings || row.Workflow != "support" || row.BusinessUnit != "service" || row.Usage.Input != 5 || row.Cost == 0 || row.Tags["purpose"] != "cache" || row.TraceID != s.row().TraceID || row.ParentSpanID != s.row().SpanID {
		t.Errorf("%+v", row)
	}
}

func TestASimilarAnswerVanishesWithTheKeptOne(t *testing.T) {
	acts := everyoneWorks()
	acts["vectors"] = embedsFor(meanings)
	bubble(t, comparing(), acts, func(t *testing.T, s *stage) {
		s.ask(saying(asked))
		time.Sleep(time.Hour - time.Minute)
		if w, err := s.ask(saying(paraphrase)); err != nil || w.Header().Get("X-Airfield-Cache") != "semantic" || w.Header().Get("Age") != "3540" {
			t.Fatal(err, w.Header())
		}
		time.Sleep(2 * time.Minute)
		if w, err := s.ask(saying(paraphrase)); err != nil || w.Header().Get("X-Airfield-Cache") != "miss" {
			t.Error(err, w.Header())
		}
	})
}

func TestOnlyGoodAnswersAreGivenToOthers(t *testing.T) {
	for name, do := range map[string]act{"an error": answers(400, oops), "a broken one": fails, "another model's": fails} {
		acts := everyoneWorks()
		acts["vectors"], acts["a"] = embedsFor(meanings), do
		if name != "another model's" {
			acts["b"], acts["c"] = do, do
		}
		bubble(t, comparing(), acts, func(t *testing.T, s *stage) {
			s.ask(saying(asked))
			s.set("a", works)
			time.Sleep(time.Minute)
			if w, err := s.ask(saying(paraphrase)); err != nil || w.Header().Get("X-Airfield-Cache") != "miss" || w.Header().Get("X-Airfield-Model") != "" {
				t.Error(name, err, w.Header())
			}
		})
	}
}

func TestASlowEmbedderIsAMissAndLeftAlone(t *testing.T) {
	acts := everyoneWorks()
	acts["vectors"] = hangs
	bubble(t, comparing(), acts, func(t *testing.T, s *stage) {
		begin := time.Now()
		if w, err := s.ask(saying(asked)); err != nil || w.Header().Get("X-Airfield-Cache") != "miss" || time.Since(begin) != 200*time.Millisecond {
			t.Fatal(err, w.Header(), time.Since(begin))
		}
		begin = time.Now()
		if _, err := s.ask(saying(paraphrase)); err != nil || time.Since(begin) != 0 || strings.Count(s.order(), "vectors") != 1 {
			t.Error(err, time.Since(begin), s.order())
		}
		s.set("vectors", embedsFor(meanings))
		time.Sleep(11 * time.Second)
		s.ask(saying(different))
		if strings.Count(s.order(), "vectors") != 2 {
			t.Error(s.order())
		}
		s.balanced()
	})
}

func TestTheOldestMeaningsGoFirst(t *testing.T) {
	acts, known := everyoneWorks(), map[string]string{}
	for i := range 3 {
		for _, text := range []string{"text", "texts"} {
			known[fmt.Sprintf("%s %c", text, 'a'+i)] = []string{`[1,0,0]`, `[0,1,0]`, `[0,0,1]`}[i]
		}
	}
	acts["vectors"] = embedsFor(known)
	s := newStage(t, comparing(func(c *gateway.SemanticConfig) { c.MaxEntries = 2 }), acts)
	for _, letter := range []string{"a", "b", "c"} {
		s.ask(saying("text " + letter))
	}
	for _, c := range [][2]string{{"b", "semantic"}, {"c", "semantic"}, {"a", "miss"}} {
		if w, err := s.ask(saying("texts " + c[0])); err != nil || w.Header().Get("X-Airfield-Cache") != c[1] {
			t.Error(c, err, w.Header())
		}
	}
}

func TestTheBuiltinEmbedderKnowsWordsApart(t *testing.T) {
	cfg := guarded(gateway.WorkflowConfig{Cache: gateway.CacheConfig{TTL: time.Hour, Semantic: &gateway.SemanticConfig{Wait: 5 * time.Second}}})
	for _, c := range []struct {
		one, other string
		hit        bool
	}{
		{"How can I return a parcel?", "How do I return a parcel?", true},
		{"Where is my parcel?", "Please tell me where my parcel is.", true},
		{"Can I get a refund after 30 days?", "Can I get a refund after 60 days?", false},
		{"Can I get a refund?", "Can I not get a refund?", false},
		{"Where is my parcel?", "When is my parcel there?", false},
		{"A flight from rome to paris", "A flight from paris to rome", false},
		{"How much is 3 + 4?", "How much is 3 * 4?", false},
		{"How much is 3 + 4?", "How much is 3 - 4?", false},
		{"How warm is -5 degrees?", "How warm is 5 degrees?", false},
		{"Is .5 litres enough?", "Is 5 litres enough?", false},
		{"List the orders < 5", "List the orders > 5", false},
		{"What are 20 % of my order?", "What are 20 $ of my order?", false},
		{"Is a dose of 500 mg allowed?", "Is a dose of 500 g allowed?", false},
		{"Which foods contain vitamin b?", "Which foods contain vitamin c?", false},
		{"Write a loop in c++", "Write a loop in c", false},
		{"Solve the equation for x", "Solve the equation for y", false},
		{"Is salt or pepper in the box?", "Is salt and pepper in the box?", false},
		{"EU rules for parcels", "US rules for parcels", false},
		{"I cant open my parcel", "I can open my parcel", false},
		{"Puedo abrir el paquete con llave", "No puedo abrir el paquete con llave", false},
		{"posso aprire il pacco", "posso non aprire il pacco", false},
		{"можно вернуть посылку", "не можно вернуть посылку", false},
		{"可以退货吗", "不可以退货吗", false},
		{longAbout("excellent"), longAbout("dreadful"), false},
		{longAbout("internal"), longAbout("external"), false},
		{"Please tell me: " + longAbout("excellent"), longAbout("excellent"), true},
	} {
		s := newStage(t, cfg, everyoneWorks())
		embedder, err := builtin.New("builtin", gateway.ProviderConfig{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.builtin.Provider = embedder
		s.ask(saying(c.one))
		w, err := s.ask(saying(c.other))
		if err != nil || (w.Header().Get("X-Airfield-Cache") == "semantic") != c.hit {
			t.Errorf("%q and %q: %v %v", c.one, c.other, err, w.Header())
		}
	}
}

// longAbout is a text in which one word is hardly seen.
func longAbout(word string) string {
	return "Say whether this review is friendly. The garden chairs arrived after lunch in brown paper, the driver carried every box into the kitchen, " +
		"assembling took half an afternoon with one screwdriver, neighbours admired the green cushions, rain ran off the wooden table, and our verdict about quality, " +
		"colour, comfort and packaging was therefore " + word
}

func TestAStreamOfASimilarTextIsReplayed(t *testing.T) {
	acts := everyoneWorks()
	acts["vectors"], acts["a"] = embedsFor(meanings), streams(io.EOF, delta("Hello"), stop, done)
	s := newStage(t, comparing(), acts)
	stream := func(text string) string { return strings.Replace(saying(text), "{", `{"stream":true,`, 1) }
	first, _ := s.ask(stream(asked))
	second, err := s.ask(stream(paraphrase))
	if err != nil || withoutStatement(first.Body.String()) != withoutStatement(second.Body.String()) || !strings.Contains(second.Body.String(), `"cache":"semantic"`) || !strings.Contains(second.Body.String(), `"cache_similarity":0.995`) {
		t.Errorf("%v\n%s\n%s", err, first.Body, second.Body)
	}
}

func TestWhatIsRememberedOutlivesAReload(t *testing.T) {
	acts := everyoneWorks()
	acts["vectors"] = embedsFor(meanings)
	cfg := comparing()
	cfg.Providers = stageProviders()
	s := newStage(t, cfg, acts)
	s.ask(saying(asked))
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if w, err := s.ask(saying(paraphrase)); err != nil || w.Header().Get("X-Airfield-Cache") != "semantic" {
		t.Error(err, w.Header())
	}
	stricter := comparing(func(c *gateway.SemanticConfig) { c.Threshold = 0.999 })
	stricter.Providers = stageProviders()
	if err := s.Reload(stricter); err != nil {
		t.Fatal(err)
	}
	if w, err := s.ask(saying(paraphrase)); err != nil || w.Header().Get("X-Airfield-Cache") != "miss" {
		t.Error(err, w.Header())
	}
}

func TestComparisonsThatCannotWork(t *testing.T) {
	for name, c := range map[string]struct {
		config gateway.SemanticConfig
		want   string
	}{
		"no likeness at all": {gateway.SemanticConfig{Threshold: 0.1}, "threshold"},
		"more than the same": {gateway.SemanticConfig{Threshold: 1.1}, "threshold"},
		"a model that chats": {gateway.SemanticConfig{Model: "chat"}, "no embedding model"},
		"a model of nobody":  {gateway.SemanticConfig{Model: "gone"}, "no embedding model"},
		"too many":           {gateway.SemanticConfig{MaxEntries: 1e6}, "max_entries"},
		"a wait of a minute": {gateway.SemanticConfig{Wait: time.Minute}, "wait"},
		"without a time":     {gateway.SemanticConfig{}, "cache.ttl"},
	} {
		cfg := comparing(func(s *gateway.SemanticConfig) { *s = c.config })
		if name == "without a time" {
			w := cfg.Workflows["support"]
			w.Cache.TTL = 0
			cfg.Workflows["support"] = w
		}
		cfg.Providers = stageProviders()
		if _, err := cfg.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
