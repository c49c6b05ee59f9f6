package extract

import "strings"

// readText takes paragraphs between empty lines. Lines within a paragraph stay as they are: a plain text may be a list,
// a poem or a log.
func readText(text string, s *sink) error {
	var paragraph []string
	end := func() error {
		b := Block{Kind: KindText, Text: strings.Join(paragraph, "\n")}
		paragraph = paragraph[:0]
		return s.add(b)
	}
	for line := range strings.Lines(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\f", "\n\n")) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" {
			if err := end(); err != nil {
				return err
			}
			continue
		}
		paragraph = append(paragraph, line)
	}
	return end()
}
