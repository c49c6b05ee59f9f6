package retrieve

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// marker is one or several numbers in brackets, with the space before it.
var marker = regexp.MustCompile(`\s*\[(\d{1,9}(?:\s*,\s*\d{1,9})*)\]`)

// cite reads the citations of a model's answer. Numbers that point to no passage are taken out of the text, the others
// are numbered anew in the order of their first use.
func cite(text string, passages []Passage) (string, []Citation) {
	var b strings.Builder
	citations := []Citation{}
	numbers := map[int]int{}
	last, claimed := 0, 0
	claim := ""
	for _, at := range marker.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(text[last:at[0]])
		last = at[1]
		if c := strings.TrimSpace(text[claimed:at[0]]); c != "" {
			claim = c
		}
		claimed = at[1]
		mark := ""
		for number := range strings.SplitSeq(text[at[2]:at[3]], ",") {
			n, err := strconv.Atoi(strings.TrimSpace(number))
			if err != nil || n < 1 || n > len(passages) {
				continue
			}
			if numbers[n] == 0 {
				numbers[n] = len(numbers) + 1
				citations = append(citations, passages[n-1].citation(numbers[n], claim))
			}
			mark += "[" + strconv.Itoa(numbers[n]) + "]"
		}
		if mark != "" {
			if !strings.HasSuffix(b.String(), "]") {
				b.WriteByte(' ')
			}
			b.WriteString(mark)
		}
	}
	b.WriteString(text[last:])
	if strings.TrimSpace(marker.ReplaceAllString(text, "")) == "" {
		return "", nil // markers alone state nothing
	}
	return strings.TrimSpace(b.String()), citations
}

func (p Passage) citation(n int, claim string) Citation {
	return Citation{
		N: n, Collection: p.Collection, Document: p.document(), DocumentID: p.DocumentID, Name: p.Name, SourceKey: p.SourceKey, Version: p.Version, VersionID: p.VersionID,
		PageFrom: p.PageFrom, PageTo: p.PageTo, Heading: p.Heading, ChunkID: p.ChunkID, Passage: p.Text, Quote: quote(p.Text, claim),
	}
}

// quote is the sentence or line of a passage that shares most words with a claim.
func quote(text, claim string) string {
	wanted := map[string]bool{}
	for _, w := range plainWords(claim) {
		wanted[w] = true
	}
	best, most := "", -1.0
	for _, s := range pieces(text) {
		shared, all := 0, plainWords(s)
		seen := map[string]bool{}
		for _, w := range all {
			if wanted[w] && !seen[w] {
				seen[w] = true
				shared++
			}
		}
		// Among pieces that share as much, the shorter one says it more plainly.
		if score := float64(shared) - float64(len(all))/1e4; score > most {
			best, most = s, score
		}
	}
	return best
}

func plainWords(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

var sentenceEnd = regexp.MustCompile(`[.!?]["')\]]*\s+`)

// pieces cuts a text into sentences, the rows of tables and whole records ("name: value" lines).
func pieces(text string) (list []string) {
	add := func(s string) {
		if s = strings.Join(strings.Fields(s), " "); s != "" {
			list = append(list, s)
		}
	}
	for block := range strings.SplitSeq(text, "\n\n") {
		if lines := strings.Split(strings.TrimSpace(block), "\n"); len(lines) > 1 && !slices.ContainsFunc(lines, func(l string) bool { return !strings.Contains(l, ": ") }) {
			add(strings.Join(lines, ", "))
			continue
		}
		for line := range strings.SplitSeq(block, "\n") {
			start := 0
			for _, at := range sentenceEnd.FindAllStringIndex(line, -1) {
				add(line[start:at[1]])
				start = at[1]
			}
			add(line[start:])
		}
	}
	return list
}
