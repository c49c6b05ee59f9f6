// Package binary builds the airfield binary for tests that drive it from outside, once in each test process, and starts, awaits,
// measures and ends servers of it.
package binary

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

var (
	once  sync.Once
	path  string
	built error
)

// Build returns the path of a binary made from the code as it is now. Main removes it.
func Build(t testing.TB) string {
	t.Helper()
	once.Do(func() { path, built = build() })
	if built != nil {
		t.Fatal(built)
	}
	return path
}

// Main runs a package's tests and takes the binary away again; a package that calls Build calls it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if path != "" {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func build() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	dir, err := os.MkdirTemp("", "airfield-test-*")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "airfield")
	cmd := exec.Command("go", "build", "-o", out, "./cmd/airfield")
	cmd.Dir = filepath.Dir(filepath.Dir(filepath.Dir(here)))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("build airfield: %w\n%s", err, text)
	}
	return out, nil
}
