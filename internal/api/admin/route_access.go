package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/fault"
)

// NewKey is what a key is made from.
type NewKey struct {
	Name      string     `json:"name" doc:"For people: who or what uses it."`
	Role      string     `json:"role" enum:"admin,operator,auditor,viewer,workflow"`
	Workflow  string     `json:"workflow,omitempty" doc:"For the role workflow: a name from airfield.yaml."`
	Clearance string     `json:"clearance,omitempty" doc:"At most the workflow's own, which it is where nothing is said." enum:"public,internal,confidential,restricted"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// MadeKey is a new key. Its text is shown this once.
type MadeKey struct {
	access.Key
	Text string `json:"key"`
}

type newKeyIn struct{ Body NewKey }

type keyIn struct {
	ID string `path:"id"`
}

type auditIn struct {
	Actor  string    `query:"actor"`
	Action string    `query:"action" doc:"key.create, or key. for everything about keys."`
	Target string    `query:"target"`
	From   time.Time `query:"from"`
	To     time.Time `query:"to"`
	Before int64     `query:"before" doc:"Only entries with a lower sequence: the next page."`
	After  int64     `query:"after" doc:"Only entries with a higher sequence: to follow."`
	Limit  int       `query:"limit" minimum:"0" maximum:"1000"`
}

type verifyIn struct {
	Sequence int64  `query:"sequence" doc:"A head that was noted elsewhere."`
	Hash     string `query:"hash"`
}

func (d *Door) registerAccess(a huma.API) {
	add(a, d.Log, route{http.MethodGet, "/api/keys", "listKeys", "Keys, without their texts", adminsOnly}, func(ctx context.Context, _ *struct{}) ([]access.Key, error) {
		return d.Keys.List(ctx)
	})
	add(a, d.Log, route{http.MethodPost, "/api/keys", "createKey", "Make a key; its text is shown this once", adminsOnly}, func(ctx context.Context, in *newKeyIn) (MadeKey, error) {
		n := access.New{Name: in.Body.Name, Role: caller.Role(in.Body.Role), Workflow: in.Body.Workflow}
		if in.Body.Clearance != "" {
			var err error
			if n.Clearance, err = caller.ParseTier(in.Body.Clearance); err != nil {
				return MadeKey{}, fault.New(fault.Invalid, "clearance", "%w", err).At("clearance")
			}
		}
		if in.Body.ExpiresAt != nil {
			n.ExpiresAt = *in.Body.ExpiresAt
		}
		key, text, err := d.Keys.Create(ctx, n)
		return MadeKey{Key: key, Text: text}, err
	})
	add(a, d.Log, route{http.MethodPost, "/api/keys/{id}/revoke", "revokeKey", "Revoke a key", adminsOnly}, func(ctx context.Context, in *keyIn) (access.Key, error) {
		return d.Keys.Revoke(ctx, in.ID)
	})
	add(a, d.Log, route{http.MethodGet, "/api/audit", "listAudit", "The audit log, newest first", auditors}, func(ctx context.Context, in *auditIn) ([]access.Record, error) {
		return d.Audit.List(ctx, access.Filter{Actor: in.Actor, Action: in.Action, Target: in.Target, From: in.From, To: in.To, Before: in.Before, After: in.After, Limit: in.Limit})
	})
	add(a, d.Log, route{http.MethodGet, "/api/audit/verify", "verifyAudit", "Prove that the audit log is whole", auditors}, func(ctx context.Context, in *verifyIn) (access.Report, error) {
		return d.Audit.Verify(ctx, access.Head{Sequence: in.Sequence, Hash: in.Hash})
	})
	add(a, d.Log, route{http.MethodGet, "/api/audit/head", "auditHead", "The end of the chain, worth noting elsewhere", auditors}, func(ctx context.Context, _ *struct{}) (access.Head, error) {
		return d.Audit.Head(ctx)
	})
}
