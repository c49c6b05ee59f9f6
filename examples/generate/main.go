// Generate writes the PDF and DOCX files of examples/documents from the plain texts in sources, always the same bytes from
// the same text. Run it from the repository's root after changing a source: go run ./examples/generate
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// files are the documents to write, by the source each is made from.
var files = map[string]string{
	"cold-chain-handling.txt":      "documents/operations/cold-chain-handling.docx",
	"dock-safety.txt":              "documents/operations/dock-safety.pdf",
	"information-security.txt":     "documents/policies/information-security.pdf",
	"kestrel-truck-lease.txt":      "documents/contracts/kestrel-truck-lease.docx",
	"northsea-foods-agreement.txt": "documents/contracts/northsea-foods-agreement.pdf",
	"travel-policy.v1.txt":         "documents/policies/travel-policy.docx",
	"travel-policy.v2.txt":         "versions/travel-policy.docx",
}

func main() {
	if err := generate("examples"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func generate(root string) error {
	for source, target := range files {
		text, err := os.ReadFile(filepath.Join(root, "generate", "sources", source))
		if err != nil {
			return err
		}
		out, err := write(target, string(text))
		if err != nil {
			return fmt.Errorf("write %s: %w", target, err)
		}
		if err := os.WriteFile(filepath.Join(root, target), out, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// write makes the file that the target's extension names.
func write(target, text string) ([]byte, error) {
	parts := parse(text)
	if strings.HasSuffix(target, ".pdf") {
		return writePDF(parts)
	}
	return writeDOCX(parts)
}
