package ingest

import (
	"fmt"
	"regexp"
	"strings"
)

// Glob compiles a pattern of slash-separated paths: * and ? stay within a folder, ** crosses folders, [a-c] and
// [!a-c] are sets. A pattern without a slash matches the last element at any depth; one that ends with a slash
// matches everything below that folder.
func Glob(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, fmt.Errorf("an empty pattern matches nothing")
	}
	p := strings.TrimPrefix(pattern, "/")
	if strings.HasSuffix(p, "/") {
		p += "**"
	}
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	if !strings.Contains(pattern, "/") {
		b.WriteString(`(?:.*/)?`)
	}
	for i := 0; i < len(p); {
		switch {
		case strings.HasPrefix(p[i:], "**/"):
			b.WriteString(`(?:.*/)?`)
			i += 3
		case strings.HasPrefix(p[i:], "**"):
			b.WriteString(`.*`)
			i += 2
		case p[i] == '*':
			b.WriteString(`[^/]*`)
			i++
		case p[i] == '?':
			b.WriteString(`[^/]`)
			i++
		case p[i] == '[':
			end := strings.IndexByte(p[i+1:], ']')
			if end < 1 {
				return nil, fmt.Errorf("pattern %q: a set that begins with [ has no end", pattern)
			}
			set := p[i+1 : i+1+end]
			not := ""
			if set[0] == '!' || set[0] == '^' {
				not, set = "^", set[1:]
			}
			b.WriteString("[" + not + strings.NewReplacer(`\`, `\\`, `[`, `\[`, `^`, `\^`).Replace(set) + "]")
			i += end + 2
		default:
			n := strings.IndexAny(p[i+1:], "*?[")
			if n < 0 {
				n = len(p) - i - 1
			}
			b.WriteString(regexp.QuoteMeta(p[i : i+1+n]))
			i += 1 + n
		}
	}
	b.WriteString(`\z`)
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	return re, nil
}

// Globs are several patterns.
func Globs(patterns []string) (all []*regexp.Regexp, err error) {
	for _, pattern := range patterns {
		re, err := Glob(pattern)
		if err != nil {
			return nil, err
		}
		all = append(all, re)
	}
	return all, nil
}
