// Package caller says who is asking: the one value that Airfield carries in a context.
package caller

import (
	"context"
	"fmt"
	"slices"
)

// Tier is the access tier of a document and the clearance of a caller. A caller sees documents up to its own.
// The zero value is none: it sees nothing, and a document of tier none is seen by nobody.
type Tier int

const (
	None Tier = iota
	Public
	Internal
	Confidential
	Restricted
)

var tiers = []string{"none", "public", "internal", "confidential", "restricted"}

// Sees reports whether a caller with this clearance may see a document of the tier. It fails closed: unknown
// tiers are seen by nobody.
func (t Tier) Sees(document Tier) bool {
	return t >= Public && t <= Restricted && document >= Public && document <= t
}

func (t Tier) String() string {
	if t < None || t > Restricted {
		return fmt.Sprintf("tier(%d)", int(t))
	}
	return tiers[t]
}

// ParseTier reads public, internal, confidential or restricted.
func ParseTier(s string) (Tier, error) {
	if i := slices.Index(tiers[1:], s); i >= 0 {
		return Tier(i + 1), nil
	}
	return None, fmt.Errorf("%q is not an access tier: public, internal, confidential or restricted", s)
}

func (t Tier) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

func (t *Tier) UnmarshalText(b []byte) error {
	v, err := ParseTier(string(b))
	if err == nil {
		*t = v
	}
	return err
}

// Role says which routes a key opens.
type Role string

const (
	Admin    Role = "admin"    // everything
	Operator Role = "operator" // runs the place: documents, dead letters, calls' metadata; no keys, no audit, no bodies
	Auditor  Role = "auditor"  // reads: audit log, calls, bodies; changes nothing
	Viewer   Role = "viewer"   // reads metadata: health, collections, calls without bodies, costs
	Workflow Role = "workflow" // the model API, search and answers, and the documents of its own collections
	System   Role = "system"   // Airfield's own work; never given to a key
)

// Roles are those a key can have.
var Roles = []Role{Admin, Operator, Auditor, Viewer, Workflow}

// Caller is a key's owner, resolved. It is passed by pointer and never changed after it was made.
type Caller struct {
	KeyID        string
	KeyName      string
	Role         Role
	Workflow     string
	BusinessUnit string
	Environment  string
	Clearance    Tier
	Collections  []string // names of the collections a workflow reads; "*" is all of them
}

// Reads reports whether the caller may search a collection; workflow is the one that created it, if one did.
func (c *Caller) Reads(collection, workflow string) bool {
	if c == nil {
		return false
	}
	if c.Role != Workflow {
		return true
	}
	return c.Owns(workflow) || slices.Contains(c.Collections, collection) || slices.Contains(c.Collections, "*")
}

// Owns reports whether the caller may change what the workflow made: its collections, files and documents.
func (c *Caller) Owns(workflow string) bool {
	return c.Is(Operator) || (c != nil && c.Role == Workflow && workflow != "" && c.Workflow == workflow)
}

// Is reports whether the caller has one of the roles. Admin and system have every role.
func (c *Caller) Is(roles ...Role) bool {
	return c != nil && (c.Role == Admin || c.Role == System || slices.Contains(roles, c.Role))
}

// Actor names the caller in the audit log.
func (c *Caller) Actor() string {
	switch {
	case c == nil:
		return "nobody"
	case c.Role == System:
		return "system:" + c.KeyName
	}
	return "key:" + c.KeyID
}

type contextKey struct{}

// With returns a context that carries who is asking.
func With(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// From returns who is asking, or nil where nobody said.
func From(ctx context.Context) *Caller {
	c, _ := ctx.Value(contextKey{}).(*Caller)
	return c
}
