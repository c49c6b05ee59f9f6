package llm

import "testing"

func TestCostNeverCountsATokenTwice(t *testing.T) {
	p := Price{Rates: Rates{Input: 1_000_000, CacheRead: 100_000, Output: 4_000_000}}
	u := Usage{Input: 60, CacheRead: 40, Output: 7, Reasoning: 3}
	// 60×1 + 40×0.1 + 7×4 + 3×4 nano-dollars
	if got := p.Cost(u); got != 60+4+28+12 {
		t.Fatalf("cost %d", got)
	}
	if u.Prompt() != 100 || u.Completion() != 10 || u.Total() != 110 {
		t.Fatalf("prompt %d completion %d", u.Prompt(), u.Completion())
	}
}

func TestTheWeakerSourceStandsForASum(t *testing.T) {
	sum := Usage{Input: 1, Source: Reported}.Add(Usage{Input: 2, Source: Counted})
	if sum.Source != Counted || sum.Input != 3 {
		t.Fatal(sum)
	}
	if got := sum.Add(Usage{Source: Reported}).Source; got != Counted {
		t.Fatal(got)
	}
	if got := (Usage{}).Add(Usage{Source: Reported}).Source; got != Reported {
		t.Fatal(got)
	}
}
