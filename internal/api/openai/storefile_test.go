package openai

import (
	"maps"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/ingest"
)

func TestAttributesAreFlatAndLeaveOutWhatIsNotSaid(t *testing.T) {
	for _, c := range []struct {
		name string
		doc  ingest.Document
		want map[string]any
	}{
		{"nothing but a tier", ingest.Document{Tier: caller.Public, Tags: []string{}}, map[string]any{"tier": "public"}},
		{"lists as text, the free fields as they are",
			ingest.Document{Tier: caller.Internal, Type: "policy", Tags: []string{"a", "b"}, Metadata: map[string]any{"floor": 7.0, "halls": []any{"C", "D"}}},
			map[string]any{"tier": "internal", "type": "policy", "tags": "a,b", "floor": 7.0, "halls": "C,D"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := attributes(c.doc); !maps.Equal(got, c.want) {
				t.Errorf("%v, not %v", got, c.want)
			}
		})
	}
}
