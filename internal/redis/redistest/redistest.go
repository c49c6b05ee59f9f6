// Package redistest gives tests a real Redis: a shared one, in which each test has a prefix of its own, and servers that
// a test may kill. Both are the one scripts/redis.sh installs, or what AIRFIELD_TEST_REDIS points to.
package redistest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"airfield/internal/id"
	"airfield/internal/redis"
)

// Config is that of the shared Redis, with a prefix of the test's own. Where no server is installed the test is skipped
// with the command that installs one, or fails if CI or AIRFIELD_REQUIRE_SERVERS is set.
func Config(t testing.TB) redis.Config {
	t.Helper()
	address, err := shared()
	need(t, err)
	c := config(address)
	c.Prefix = id.New("test") + ":"
	return c
}

// config has a long timeout: a busy machine is no failure of Redis. Tests of timeouts set their own.
func config(address string) redis.Config {
	c := redis.Default()
	c.URL, c.Timeout = address, 10*time.Second
	return c
}

// Open opens a client and closes it when the test ends.
func Open(t testing.TB, c redis.Config) *redis.Client {
	t.Helper()
	return OpenLogged(t, c, slog.New(slog.DiscardHandler))
}

// OpenLogged is Open with a logger.
func OpenLogged(t testing.TB, c redis.Config, log *slog.Logger) *redis.Client {
	t.Helper()
	client, err := redis.Open(t.Context(), c, log)
	if err != nil {
		t.Fatalf("open the test's Redis: %v", err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

var errNotInstalled = errors.New("no Redis for tests: run scripts/redis.sh install, or set AIRFIELD_TEST_REDIS and AIRFIELD_TEST_REDIS_SERVER")

func need(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errNotInstalled) && os.Getenv("CI") == "" && os.Getenv("AIRFIELD_REQUIRE_SERVERS") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// shared is the address of the Redis of this process's tests, started by the first that needs it.
var shared = sync.OnceValues(func() (string, error) {
	if address := os.Getenv("AIRFIELD_TEST_REDIS"); address != "" {
		return address, nil
	}
	return ask("serve")
})

// program is the path of the server.
var program = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("AIRFIELD_TEST_REDIS_SERVER"); path != "" {
		return path, nil
	}
	return ask("path")
})

// hold is our end of the server's standard input. It is kept open, and from being collected, for as long as the process
// lives: the server ends when it closes, however that happens.
var hold []*os.File

// ask runs the installer and reads its first line. It has a process group of its own, so that an interrupt reaches the
// tests first.
func ask(what string) (string, error) {
	script, err := findScript()
	if err != nil {
		return "", err
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer theirs.Close()
	hold = append(hold, ours)
	var stderr bytes.Buffer
	cmd := exec.Command(script, what)
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
		return "", fmt.Errorf("scripts/redis.sh %s: %w: %s", what, err, stderr.String())
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
		script := filepath.Join(dir, "scripts", "redis.sh")
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
