package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The files are committed, because a user drops documents and not their sources: what is there must be what is generated.
func TestTheCommittedFilesAreTheGeneratedOnes(t *testing.T) {
	for source, target := range files {
		text, err := os.ReadFile(filepath.Join("sources", source))
		if err != nil {
			t.Fatal(err)
		}
		want, err := write(target, string(text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("..", target))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what %s gives: go run ./examples/generate", target, source)
		}
		if again, _ := write(target, string(text)); !bytes.Equal(again, want) {
			t.Errorf("%s is another file each time", target)
		}
	}
}
