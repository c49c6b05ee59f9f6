package access

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/id"
)

func TestAKeyIsShownOnceAndKeptAsAHash(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, k := context.Background(), openKeys(t, d)
		ctx = caller.With(ctx, &caller.Caller{KeyID: "key_boss", Role: caller.Admin})
		expires := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		key, plaintext, err := k.Create(ctx, New{Name: " bot ", Role: caller.Workflow, Workflow: "support", ExpiresAt: expires})
		if err != nil {
			t.Fatal(err)
		}
		if key.Name != "bot" || key.CreatedBy != "key:key_boss" || key.Clearance != caller.Internal || !strings.HasSuffix(plaintext, key.Hint) || len(plaintext) != keyLength {
			t.Fatalf("%+v", key)
		}
		got, err := k.Get(ctx, key.ID)
		if err != nil || got != key {
			t.Fatalf("%+v %v", got, err)
		}
		var inTable, inAudit int
		if err := d.QueryRow(ctx, "SELECT COUNT(*) FROM keys WHERE hash LIKE '%afk_%' OR LENGTH(hash) != 64").Scan(&inTable); err != nil || inTable != 0 {
			t.Error("the key itself is kept", err)
		}
		if err := d.QueryRow(ctx, "SELECT COUNT(*) FROM audit WHERE action = 'key.create' AND target = ? AND detail NOT LIKE '%afk_%'", key.ID).Scan(&inAudit); err != nil || inAudit != 1 {
			t.Error("audit", inAudit, err)
		}
		if _, err := k.Get(ctx, "key_none"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if _, err := k.Revoke(ctx, "key_none"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestWhatCannotBeAKey(t *testing.T) {
	k := openKeys(t, openSQLite(t))
	for name, n := range map[string]New{
		"no name":                   {Role: caller.Admin},
		"a name of many lines":      {Name: "a\nb", Role: caller.Admin},
		"no role":                   {Name: "a"},
		"a role that is ours":       {Name: "a", Role: caller.System},
		"a workflow nobody knows":   {Name: "a", Role: caller.Workflow, Workflow: "sales"},
		"a workflow key of none":    {Name: "a", Role: caller.Workflow},
		"an admin with a workflow":  {Name: "a", Role: caller.Admin, Workflow: "support"},
		"a clearance above the top": {Name: "a", Role: caller.Admin, Clearance: 9},
		"above its workflow":        {Name: "a", Role: caller.Workflow, Workflow: "support", Clearance: caller.Restricted},
		"one that has expired":      {Name: "a", Role: caller.Admin, ExpiresAt: time.Now().Add(-time.Second)},
	} {
		if _, plaintext, err := k.Create(context.Background(), n); !fault.Is(err, fault.Invalid) || plaintext != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := k.List(context.Background()); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
}

func TestOfTwoProcessesThatStartOneMakesTheFirstKey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		type result struct {
			made bool
			err  error
		}
		results := make(chan result)
		for range 6 {
			go func() {
				_, plaintext, made, err := openKeys(t, d).Bootstrap(context.Background(), "first")
				results <- result{made && plaintext != "", err}
			}()
		}
		made := 0
		for range 6 {
			r := <-results
			if r.err != nil {
				t.Error(r.err)
			}
			if r.made {
				made++
			}
		}
		if made != 1 {
			t.Error(made, "were made")
		}
	})
}

func TestAuthenticate(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, k := context.Background(), openKeys(t, d)
		key, plaintext, err := k.Create(ctx, New{Name: "bot", Role: caller.Workflow, Workflow: "support"})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // from the database, then from memory
			who, err := k.Authenticate(ctx, plaintext)
			if err != nil || who.KeyID != key.ID || who.Workflow != "support" || who.BusinessUnit != "service" || who.Environment != "dev" || who.Clearance != caller.Internal || !who.Reads("handbook", "") {
				t.Fatalf("%+v %v", who, err)
			}
		}
		wrong := plaintext[:len(plaintext)-1] + map[bool]string{true: "0", false: "1"}[plaintext[len(plaintext)-1] != '0']
		for _, c := range []struct{ name, key, code string }{
			{"none", "", "key_missing"},
			{"too short", "afk_x", "key_malformed"},
			{"of another product", "sk-" + strings.Repeat("x", keyLength-3), "key_malformed"},
			{"one character wrong", wrong, "key_unknown"},
			{"again, from memory", wrong, "key_unknown"},
		} {
			who, err := k.Authenticate(ctx, c.key)
			wantFault(t, err, fault.Unauthenticated, c.code)
			if who != nil || (c.key != "" && strings.Contains(err.Error()+fault.As(err).Hint, c.key)) {
				t.Errorf("%s: %v %v", c.name, who, err)
			}
		}
		// A narrower clearance of the key stays; another configuration is followed at once.
		k.SetWorkflows(map[string]Workflow{"support": {BusinessUnit: "other", Clearance: caller.Public}})
		if who, err := k.Authenticate(ctx, plaintext); err != nil || who.BusinessUnit != "other" || who.Clearance != caller.Public || who.Reads("handbook", "") {
			t.Fatalf("%+v %v", who, err)
		}
		k.SetWorkflows(nil)
		_, err = k.Authenticate(ctx, plaintext)
		wantFault(t, err, fault.Denied, "workflow_gone")
	})
}

func TestARevokedKeyEndsHereAtOnceAndElsewhereAtTheNextPoll(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, open func() *db.DB) {
		ctx := context.Background()
		here, there := openKeys(t, open()), openKeys(t, open())
		key, plaintext, err := here.Create(ctx, New{Name: "a", Role: caller.Viewer})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []*Keys{here, there} {
			if err := k.poll(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := k.Authenticate(ctx, plaintext); err != nil {
				t.Fatal(err)
			}
		}
		revoked, err := here.Revoke(ctx, key.ID)
		if err != nil || revoked.RevokedAt.IsZero() {
			t.Fatal(revoked, err)
		}
		_, err = here.Authenticate(ctx, plaintext)
		wantFault(t, err, fault.Unauthenticated, "key_revoked")
		if err := there.poll(ctx); err != nil {
			t.Fatal(err)
		}
		_, err = there.Authenticate(ctx, plaintext)
		wantFault(t, err, fault.Unauthenticated, "key_revoked")
		again, err := here.Revoke(ctx, key.ID)
		if err != nil || !again.RevokedAt.Equal(revoked.RevokedAt) {
			t.Error("revoked twice:", again, err)
		}
	})
}

func TestAKeyExpiresWhileItIsRemembered(t *testing.T) {
	ctx, k := context.Background(), openKeys(t, openSQLite(t))
	_, plaintext, err := k.Create(ctx, New{Name: "a", Role: caller.Viewer, ExpiresAt: time.Now().Add(150 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Authenticate(ctx, plaintext); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err = k.Authenticate(ctx, plaintext); err != nil || time.Now().After(end) {
			break
		}
	}
	wantFault(t, err, fault.Unauthenticated, "key_expired")
}

func TestKnownKeysOutliveTheDatabaseForAWhile(t *testing.T) {
	ctx, d := context.Background(), openSQLite(t)
	k := openKeys(t, d)
	_, plaintext, err := k.Create(ctx, New{Name: "a", Role: caller.Viewer})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Authenticate(ctx, plaintext); err != nil {
		t.Fatal(err)
	}
	left, leave := context.WithCancel(ctx)
	leave()
	if _, err := k.Authenticate(left, id.Secret(Prefix)); !errors.Is(err, context.Canceled) || k.awayUntil.Load() != 0 {
		t.Error("a caller that left is not a database that is away:", err)
	}
	d.Close()
	if _, err := k.Authenticate(ctx, plaintext); err != nil {
		t.Fatal("known, and refused:", err)
	}
	_, err = k.Authenticate(ctx, Prefix+strings.Repeat("0", keyLength-len(Prefix)))
	wantFault(t, err, fault.Unavailable, "keys_unavailable")
	// As if a minute had passed since the database confirmed the key.
	s := &k.shards[sum(plaintext)[0]%shards]
	s.known[sum(plaintext)].loaded -= int64(k.config.KeyCache) + 1
	_, err = k.Authenticate(ctx, plaintext)
	wantFault(t, err, fault.Unavailable, "keys_unavailable")
	if fault.As(err).RetryAfter == 0 {
		t.Error("it does not say when to try again")
	}
	// A poll that succeeds would have kept it fresh.
	k.confirmed.Store(k.clock())
	if _, err := k.Authenticate(ctx, plaintext); err != nil {
		t.Error(err)
	}
}

func TestTheCacheIsBoundedAgainstGuessing(t *testing.T) {
	ctx, k := context.Background(), openKeys(t, openSQLite(t))
	for range 3000 {
		k.Authenticate(ctx, id.Secret(Prefix))
	}
	n := 0
	for i := range k.shards {
		n += len(k.shards[i].unknown)
		if len(k.shards[i].unknown) > maxUnknown {
			t.Error("a shard has", len(k.shards[i].unknown))
		}
	}
	if n == 0 {
		t.Error("nothing is remembered")
	}
}

func TestLastUsesAreWrittenInTheBackground(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, k := context.Background(), openKeys(t, d)
		key, plaintext, err := k.Create(ctx, New{Name: "a", Role: caller.Viewer})
		if err != nil {
			t.Fatal(err)
		}
		before := time.Now().Add(-time.Second)
		if _, err := k.Authenticate(ctx, plaintext); err != nil {
			t.Fatal(err)
		}
		k.flush() // the cache is emptied before the use is written
		ended, end := context.WithCancel(ctx)
		end()
		if err := k.Run(ended); err != nil {
			t.Fatal(err)
		}
		got, err := k.Get(ctx, key.ID)
		if err != nil || got.LastUsedAt.Before(before) {
			t.Fatal(got.LastUsedAt, err)
		}
		if len(k.used) != 0 {
			t.Error("kept after it was written")
		}
	})
}

// The bound on how long a key is believed while the database is away is of time that passed, whatever the wall's clock says.
func TestAKeyIsBelievedForTimeThatPassedWhateverTheClockIsSetTo(t *testing.T) {
	ctx, d := context.Background(), openSQLite(t)
	k := openKeys(t, d)
	now := int64(0)
	k.clock = func() int64 { return now }
	_, plaintext, err := k.Create(ctx, New{Name: "a", Role: caller.Viewer})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Authenticate(ctx, plaintext); err != nil {
		t.Fatal(err)
	}
	d.Close()
	now = int64(k.config.KeyCache)
	if _, err := k.Authenticate(ctx, plaintext); err != nil {
		t.Error(err)
	}
	now++
	_, err = k.Authenticate(ctx, plaintext)
	wantFault(t, err, fault.Unavailable, "keys_unavailable")
}
