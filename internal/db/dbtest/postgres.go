package dbtest

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"airfield/internal/db"
	"airfield/internal/id"
)

// Postgres returns the address of a PostgreSQL database of the test's own, dropped when the test ends. Where no server
// is installed the test is skipped with the command that installs one, or fails if CI or AIRFIELD_REQUIRE_SERVERS is set.
func Postgres(t testing.TB) string {
	t.Helper()
	s, err := server()
	if errors.Is(err, errNotInstalled) && os.Getenv("CI") == "" && os.Getenv("AIRFIELD_REQUIRE_SERVERS") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := id.New("test")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := s.admin.ExecContext(ctx, "CREATE DATABASE "+name+" TEMPLATE "+s.template); err != nil {
		t.Fatalf("create the test's database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := s.admin.ExecContext(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return s.database(name)
}

var errNotInstalled = errors.New("no PostgreSQL for tests: run scripts/postgres.sh install, or set AIRFIELD_TEST_POSTGRES")

type postgres struct {
	url      *url.URL
	admin    *sql.DB
	template string // a database with the schema in place, copied for each test
	stdin    *os.File
}

// server is started by the first test that needs it and ends with the process.
var server = sync.OnceValues(func() (*postgres, error) {
	s := &postgres{}
	address := os.Getenv("AIRFIELD_TEST_POSTGRES")
	if address == "" {
		var err error
		if address, err = s.serve(); err != nil {
			return nil, err
		}
	}
	var err error
	if s.url, err = url.Parse(address); err != nil {
		return nil, fmt.Errorf("the address of the test server: %w", err)
	}
	if s.admin, err = sql.Open("pgx", address); err != nil {
		return nil, err
	}
	s.admin.SetMaxOpenConns(2)
	if err := s.makeTemplate(); err != nil {
		return nil, fmt.Errorf("make the template of the tests' databases: %w", err)
	}
	return s, nil
})

func (s *postgres) database(name string) string {
	u := *s.url
	u.Path = "/" + name
	return u.String()
}

// serve starts a server that ends when our end of its standard input closes, which it does however this process ends.
// It has a process group of its own, so that an interrupt reaches the tests first.
func (s *postgres) serve() (address string, err error) {
	script, err := findScript()
	if err != nil {
		return "", err
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer theirs.Close()
	s.stdin = ours // kept open, and from being collected, for as long as the process lives
	var stderr bytes.Buffer
	cmd := exec.Command(script, "serve")
	cmd.Stdin, cmd.Stderr = theirs, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		cmd.Wait()
		if strings.Contains(stderr.String(), "is not installed") {
			return "", errNotInstalled
		}
		return "", fmt.Errorf("start the test server: %w: %s", err, stderr.String())
	}
	return strings.TrimSpace(line), nil
}

// findScript looks for the installer from the test's folder upwards.
func findScript() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		script := filepath.Join(dir, "scripts", "postgres.sh")
		if _, err := os.Stat(script); err == nil {
			return script, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errNotInstalled
		}
		dir = parent
	}
}

// makeTemplate makes one database with today's schema, once per server, however many test processes share it.
func (s *postgres) makeTemplate() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	hash := fnv.New64a()
	err := fs.WalkDir(db.Migrations(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(db.Migrations(), path)
		fmt.Fprintf(hash, "%s\x00%s\x00", path, text)
		return err
	})
	if err != nil {
		return err
	}
	s.template = fmt.Sprintf("template_%x", hash.Sum64())
	conn, err := s.admin.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	const lock = 7_406_151_203
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", lock); err != nil {
		return err
	}
	defer conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", lock)
	var there bool
	if err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", s.template).Scan(&there); err != nil || there {
		return err
	}
	unfinished := s.template + "_unfinished"
	if _, err := conn.ExecContext(ctx, "DROP DATABASE IF EXISTS "+unfinished+" WITH (FORCE)"); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "CREATE DATABASE "+unfinished); err != nil {
		return err
	}
	c := db.Default()
	c.URL = s.database(unfinished)
	d, err := db.Open(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := d.Close(); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "ALTER DATABASE "+unfinished+" RENAME TO "+s.template)
	return err
}
