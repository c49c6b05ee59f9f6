package ingest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/fault"
)

func TestParseMetadata(t *testing.T) {
	for name, c := range map[string]struct {
		flat map[string]any
		want Metadata
		at   string
	}{
		"standard and free fields": {map[string]any{"title": " T ", "tier": "public", "date": "2026-02-28", "tags": []any{"a", "b", "a"}, "n": 3, "ok": true, "list": []any{"x"}},
			Metadata{Title: "T", Tier: caller.Public, Date: "2026-02-28", Tags: []string{"a", "b"}, Fields: map[string]any{"n": 3.0, "ok": true, "list": []string{"x"}}}, ""},
		"tags as one text":        {map[string]any{"tags": "a, b ,,"}, Metadata{Tags: []string{"a", "b"}}, ""},
		"nothing said":            {map[string]any{"tier": nil}, Metadata{}, ""},
		"an unknown tier":         {map[string]any{"tier": "Public"}, Metadata{}, "/tier"},
		"a tier of none":          {map[string]any{"tier": "none"}, Metadata{}, "/tier"},
		"a tier that is empty":    {map[string]any{"tier": ""}, Metadata{}, "/tier"},
		"a tier that is a number": {map[string]any{"tier": 1.0}, Metadata{}, "/tier"},
		"a day that is none":      {map[string]any{"date": "2026-02-30"}, Metadata{}, "/date"},
		"an object":               {map[string]any{"x": map[string]any{}}, Metadata{}, "/x"},
		"a list of numbers":       {map[string]any{"x": []any{1.0}}, Metadata{}, "/x"},
		"a text that is long":     {map[string]any{"x": strings.Repeat("x", maxFieldBytes+1)}, Metadata{}, "/x"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseMetadata(c.flat)
			if c.at == "" {
				if err != nil || !reflect.DeepEqual(got, c.want) {
					t.Fatalf("%+v %v", got, err)
				}
				raw, err := json.Marshal(got)
				if err != nil {
					t.Fatal(err)
				}
				var again Metadata
				if err := json.Unmarshal(raw, &again); err != nil || !reflect.DeepEqual(again, c.want) {
					t.Errorf("%s came back as %+v %v", raw, again, err)
				}
				return
			}
			if f := fault.As(err); err == nil || f.Kind != fault.Invalid || f.Code != CodeMetadata || f.Field != c.at {
				t.Errorf("%v at %s", err, f.Field)
			}
		})
	}
}

func TestOver(t *testing.T) {
	got := Metadata{Type: "a", Tags: []string{}, Fields: map[string]any{"x": 1.0}}.Over(Metadata{Type: "b", Tier: caller.Public, Tags: []string{"t"}, Fields: map[string]any{"x": 2.0, "y": 3.0}})
	want := Metadata{Type: "a", Tier: caller.Public, Tags: []string{}, Fields: map[string]any{"x": 1.0, "y": 3.0}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestParseSidecar(t *testing.T) {
	for name, c := range map[string]struct{ raw, fails string }{
		"fields":               {"tier: public\ntags:\n  - a\n  - b\ndate: 2026-01-02\nyear: 2026\n", ""},
		"nothing":              {"", ""},
		"a comment":            {"# nothing yet\n", ""},
		"a list":               {"- a\n", "line 1: it must be a mapping"},
		"a field twice":        {"tier: public\ntier: internal\n", "line 2"},
		"an unknown tier":      {"title: x\n\ntier: secret\n", "line 3: the metadata field tier must be"},
		"a syntax error":       {"title: x\n  tier: [\n", "the sidecar cannot be used"},
		"an alias":             {"a: &x [b]\nc: *x\n", "anchors, aliases"},
		"two documents":        {"a: b\n---\nc: d\n", "2 YAML documents"},
		"a tier in brackets":   {"tier: [public]\n", "line 1"},
		"too many bytes":       {strings.Repeat("# x\n", maxSidecarBytes), "more than"},
		"a value with a colon": {"note: 'a: b'\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseSidecar([]byte(c.raw))
			if (c.fails == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("%v, not %q", err, c.fails)
			}
		})
	}
	m, err := ParseSidecar([]byte("tier: public\ntags:\n  - a\n  - b\ndate: 2026-01-02\nyear: 2026\n"))
	if err != nil || m.Tier != caller.Public || len(m.Tags) != 2 || m.Date != "2026-01-02" || m.Fields["year"] != 2026.0 {
		t.Errorf("%+v %v", m, err)
	}
}

func FuzzParseSidecar(f *testing.F) {
	for _, seed := range []string{"tier: public\n", "a: &x [b]\nc: *x\n", "? a\n: b\n", "{tier: x", "\xff", "<<: {a: b}\n", "a: !!binary x\n", "- \n-", "tags: [a, 1]\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseSidecar(raw)
		if err == nil {
			if _, err := json.Marshal(m); err != nil {
				t.Errorf("%q gives what cannot be kept: %v", raw, err)
			}
			return
		}
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", raw, err)
		}
	})
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"*.md", "a.md", true}, {"*.md", "x/y/a.md", true}, {"/*.md", "x/a.md", false}, {"x/*.md", "x/a.md", true}, {"x/*.md", "x/y/a.md", false},
		{"x/**", "x/y/z", true}, {"x/", "x/y", true}, {"x/", "y/x", false}, {"**/drafts/*", "a/b/drafts/c", true}, {"**/drafts/*", "drafts/c", true},
		{"a?.md", "ab.md", true}, {"a?.md", "a/.md", false}, {"[a-c].md", "b.md", true}, {"[!a-c].md", "b.md", false}, {"a.md", "aXmd", false}, {"(x).md", "(x).md", true}, {"é*", "été", true},
	} {
		re, err := Glob(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := re.MatchString(c.path); got != c.want {
			t.Errorf("%q and %q: %v", c.pattern, c.path, got)
		}
	}
	for _, bad := range []string{"", "[a", "[]x"} {
		if _, err := Glob(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzGlob(f *testing.F) {
	for _, seed := range []string{"**/[!a]*?", "[z-a]", "[\\]", "a/**/b/", "[^]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		if re, err := Glob(pattern); err == nil {
			re.MatchString("a/b.md")
		}
	})
}

func TestConfigs(t *testing.T) {
	if w, err := Default().Check(); err != nil || len(w) > 0 {
		t.Error(w, err)
	}
	for name, change := range map[string]func(c *CollectionConfig){
		"embedding_model":   func(c *CollectionConfig) { c.EmbeddingModel = "" },
		"max_file_bytes":    func(c *CollectionConfig) { c.MaxFileBytes = 0 },
		"defaults.tier":     func(c *CollectionConfig) { c.Defaults.Tier = caller.None },
		"metadata_schema":   func(c *CollectionConfig) { c.MetadataSchema = map[string]any{"type": "nonsense"} },
		"metadata_schema: ": func(c *CollectionConfig) { c.MetadataSchema = map[string]any{"$ref": "file:///etc/passwd"} },
		"metadata.tier":     func(c *CollectionConfig) { c.Defaults.Metadata = map[string]any{"tier": "public"} },
		"sources.upload":    func(c *CollectionConfig) { c.Sources = map[string]SourceConfig{"upload": {Folder: "x"}} },
		"sources.a":         func(c *CollectionConfig) { c.Sources = map[string]SourceConfig{"a": {}} },
		"chunking":          func(c *CollectionConfig) { c.Chunking.Max = 1 },
	} {
		c := DefaultCollection()
		change(&c)
		if _, err := c.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w, err := DefaultCollection().Check(); err != nil || len(w) > 0 {
		t.Error(w, err)
	}
}
