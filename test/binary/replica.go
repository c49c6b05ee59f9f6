package binary

import (
	"fmt"
	"os"
	"testing"

	"airfield/internal/db/dbtest"
)

// Stores is the part of airfield.yaml by which servers share what the test alone has: a PostgreSQL database and a folder for
// documents.
func Stores(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("database: {url: %q}\nbucket: {url: %q}\n", dbtest.Postgres(t), "file:"+t.TempDir())
}

// Redis is the address of the Redis that AIRFIELD_TEST_REDIS names. Where it names none the test is skipped, or fails if CI or
// AIRFIELD_REQUIRE_SERVERS is set.
func Redis(t testing.TB) string {
	t.Helper()
	address := os.Getenv("AIRFIELD_TEST_REDIS")
	if address == "" {
		if os.Getenv("CI") != "" || os.Getenv("AIRFIELD_REQUIRE_SERVERS") != "" {
			t.Fatal("no Redis for tests: set AIRFIELD_TEST_REDIS")
		}
		t.Skip("no Redis for tests: set AIRFIELD_TEST_REDIS")
	}
	return address
}

// Replicas installs and starts servers of one configuration, each in a folder of its own. With Stores in the configuration they
// are one installation.
func Replicas(t testing.TB, n int, config string, args ...string) []*Server {
	t.Helper()
	all := make([]*Server, n)
	for i := range all {
		all[i] = Install(t, config)
		all[i].Args = args
		all[i].Start() // one after the other: the first makes the schema
	}
	return all
}
