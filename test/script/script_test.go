// Package script drives the real binary the way its users do: every *.txtar is a session at a shell, with servers, requests
// and files. The core session runs on both databases, and with the index in the second; those in postgres/ need several processes on one database.
package script

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"airfield/internal/db/dbtest"
	"airfield/test/binary"
)

func TestMain(m *testing.M) { binary.Main(m) }

func TestScripts(t *testing.T) {
	run(t, testscript.Params{Dir: "."})
}

func TestScriptsOnPostgres(t *testing.T) {
	files, err := filepath.Glob("postgres/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "core.txtar", "documents.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			run(t, testscript.Params{Files: []string{file}}, "AIRFIELD_DATABASE_URL="+dbtest.Postgres(t))
		})
	}
	for _, file := range []string{"postgres/processes.txtar", "core.txtar", "ingest.txtar"} {
		t.Run("pgvector/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			run(t, testscript.Params{Files: []string{file}}, "AIRFIELD_DATABASE_URL="+dbtest.Postgres(t), "AIRFIELD_INDEX_URL=database")
		})
	}
}

// run runs scripts with the binary first in the path and nothing of the tester's own environment.
func run(t *testing.T, p testscript.Params, environ ...string) {
	built := binary.Build(t)
	p.RequireExplicitExec = true
	p.Cmds = maps.Clone(commands)
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("PATH", filepath.Dir(built)+string(os.PathListSeparator)+os.Getenv("PATH"))
		env.Setenv("AIRFIELD_SERVER_LISTEN", "127.0.0.1:0")
		env.Setenv("TZ", "UTC")
		env.Vars = append(env.Vars, environ...)
		env.Values[sessionKey{}] = &session{servers: map[string]*server{}}
		return nil
	}
	testscript.Run(t, p)
}

// sessionKey finds a script's own things.
type sessionKey struct{}

// session is what a script has running.
type session struct{ servers map[string]*server }

func sessionOf(ts *testscript.TestScript) *session { return ts.Value(sessionKey{}).(*session) }

// commands are what scripts can do besides what testscript brings.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits":       exits,
	"until":       until,
	"take":        take,
	"json":        isJSON,
	"serve":       serve,
	"halt":        halt,
	"hup":         hup,
	"http":        request,
	"sql":         statement,
	"provider":    provider,
	"certificate": certificate,
	"serving":     serving,
	"repeat":      repeat,
	"substitute":  substitute,
	"occupy":      occupy,
	"helps":       helps,
	"roles":       roles,
	"seen":        seen,
	"follow":      follow,
}
