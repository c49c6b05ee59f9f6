package app

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/providertest"
)

// Whoever adds a kind records what is said to it, and has its test run the suite, which knows which cases there must be.
func TestEveryKindOfProviderRunsTheConformanceSuite(t *testing.T) {
	for name := range Kinds() {
		if name == gateway.Builtin {
			continue // it is asked over no network
		}
		folder := filepath.Join("..", "gateway", "provider", name)
		recorded, err := providertest.Recorded(folder)
		if err != nil || len(recorded) == 0 {
			t.Errorf("%s has no recordings: %v", name, err)
		}
		files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		runs := false
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			runs = runs || bytes.Contains(text, []byte("providertest.Run("))
		}
		if !runs {
			t.Errorf("no test of %s runs providertest.Run", name)
		}
	}
}
