package caller

import (
	"context"
	"testing"
)

func TestClearanceFailsClosed(t *testing.T) {
	for _, c := range []struct {
		clearance, document Tier
		want                bool
	}{
		{Public, Public, true}, {Public, Internal, false}, {Restricted, Restricted, true}, {Confidential, Internal, true},
		{None, Public, false}, {Restricted, None, false}, {Tier(9), Public, false}, {Restricted, Tier(9), false}, {None, None, false},
	} {
		if got := c.clearance.Sees(c.document); got != c.want {
			t.Errorf("%s sees %s: %v", c.clearance, c.document, got)
		}
	}
}

func TestTierText(t *testing.T) {
	var tier Tier
	if err := tier.UnmarshalText([]byte("confidential")); err != nil || tier != Confidential {
		t.Fatal(tier, err)
	}
	if _, err := ParseTier("none"); err == nil {
		t.Error("none must not be given to anything")
	}
}

func TestRoles(t *testing.T) {
	var nobody *Caller
	if nobody.Is(Viewer) || From(context.Background()) != nil {
		t.Error("nobody has no role")
	}
	admin := &Caller{Role: Admin}
	if !admin.Is(Auditor) || (&Caller{Role: Viewer}).Is(Operator) || From(With(context.Background(), admin)) != admin {
		t.Error("wrong roles")
	}
}

func TestAWorkflowReadsWhatItIsGivenAndOwnsWhatItMade(t *testing.T) {
	w := &Caller{Role: Workflow, Workflow: "support", Collections: []string{"handbook"}}
	for _, c := range []struct {
		who               *Caller
		collection, owner string
		reads, owns       bool
	}{
		{w, "handbook", "", true, false},
		{w, "contracts", "", false, false},
		{w, "mine", "support", true, true},
		{w, "theirs", "sales", false, false},
		{&Caller{Role: Workflow, Collections: []string{"*"}}, "contracts", "", true, false},
		{&Caller{Role: Viewer}, "contracts", "", true, false},
		{&Caller{Role: Operator}, "contracts", "sales", true, true},
		{nil, "handbook", "", false, false},
	} {
		if got := c.who.Reads(c.collection, c.owner); got != c.reads {
			t.Errorf("%+v reads %s: %v", c.who, c.collection, got)
		}
		if got := c.who.Owns(c.owner); got != c.owns {
			t.Errorf("%+v owns what %q made: %v", c.who, c.owner, got)
		}
	}
}
