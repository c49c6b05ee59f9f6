// Package program starts the servers for tests that are modules of their own below test/: each is built and started once
// for each test process, listens on the loopback interface, and ends with the process.
package program

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Start returns the address of the server that is the module test/NAME. Where it cannot be built the test is skipped, or
// fails if CI or AIRFIELD_REQUIRE_SERVERS is set.
func Start(t testing.TB, name string) (address string) {
	t.Helper()
	address, err := once(name)
	if err != nil && errors.Is(err, errBuild) && os.Getenv("CI") == "" && os.Getenv("AIRFIELD_REQUIRE_SERVERS") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return address
}

var errBuild = errors.New("a server for tests cannot be built")

// started is a server, or why there is none. The first who asks starts it.
type started struct {
	turn    sync.Once
	address string
	err     error
	hold    *os.File // our end of its standard input: it ends, and removes its folder, when this closes, however that happens
}

var (
	mu      sync.Mutex
	servers = map[string]*started{}
)

func once(name string) (string, error) {
	mu.Lock()
	s := servers[name]
	if s == nil {
		s = &started{}
		servers[name] = s
	}
	mu.Unlock()
	s.turn.Do(func() { s.address, s.err = s.start(name) })
	return s.address, s.err
}

func (s *started) start(name string) (string, error) {
	source, err := find(name)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "airfield-"+name+"-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, name)
	build := exec.Command("go", "build", "-o", file, ".")
	build.Dir = source
	if said, err := build.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("%w: %w: %s", errBuild, err, said)
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer theirs.Close()
	s.hold = ours
	var stderr bytes.Buffer
	cmd := exec.Command(file, dir)
	cmd.Stdin, cmd.Stderr = theirs, &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer late.Stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		cmd.Wait()
		return "", fmt.Errorf("%s did not start: %w: %s", name, err, stderr.String())
	}
	return strings.TrimSpace(line), nil
}

// find looks for the server's module from the test's folder upwards.
func find(name string) (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		source := filepath.Join(dir, "test", name)
		if _, err := os.Stat(filepath.Join(source, "go.mod")); err == nil {
			return source, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("there is no test/%s above this folder", name)
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}
