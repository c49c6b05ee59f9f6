package builtin

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// sentence is the smallest thing an answer is made of: a sentence, a row of a table under its header, a record.
type sentence struct {
	passage int    // index into the passages
	text    string // as it is quoted
	context string // what it stands under in the text: a heading there, the line that leads into a list
	record  bool   // a row or a record: complete in itself
}

const maxParagraph = 4 << 10 // bytes of lines that are joined

// sentences cuts a passage's text.
func sentences(at int, text string) []sentence {
	var list []sentence
	add := func(s, context string, record bool) {
		s = strings.TrimSpace(s)
		if s == "" || strings.IndexFunc(s, unicode.IsLetter) < 0 && !record {
			return
		}
		list = append(list, sentence{passage: at, text: s, context: context, record: record})
	}
	lead := ""  // the last line that ended in a colon: it leads into the list or table that follows
	above := "" // the last line that looks like a heading, in texts whose format has none
	for block := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		if headingLike(block) {
			above = strings.TrimSpace(block)
			continue
		}
		lines := strings.Split(strings.Trim(block, "\n"), "\n")
		var header []string
		for i := 0; i < len(lines); {
			line := strings.TrimSpace(lines[i])
			if cells := row(line); cells != nil {
				if i+1 < len(lines) && header == nil && row(lines[i+1]) != nil && headerLike(cells) {
					header = cells
				} else {
					add(under(header, cells), above+" "+lead, true)
				}
				i++
				continue
			}
			if n := fields(lines[i:]); n > 0 {
				add(strings.Join(trimmed(lines[i:i+n]), ", "), above+" "+lead, true)
				i += n
				continue
			}
			item, isItem := bullet(line)
			// Lines are joined while the text goes on: an extractor may keep a page's line breaks.
			j := i + 1
			for ; j < len(lines); j++ {
				next := strings.TrimSpace(lines[j])
				if _, b := bullet(next); b || row(next) != nil || fields(lines[j:]) > 0 || strings.HasSuffix(item, ":") || len(item) > maxParagraph {
					break
				}
				item += " " + next
			}
			i = j
			if strings.HasSuffix(item, ":") && !isItem {
				lead = strings.TrimSuffix(item, ":")
				continue
			}
			if !isItem {
				lead = ""
			}
			for s := range split(item) {
				add(s, above+" "+lead, false)
			}
		}
	}
	return list
}

// headingLike reports whether a block is one short line that begins with a capital and does not end as a sentence does.
func headingLike(block string) bool {
	block = strings.TrimSpace(block)
	first, _ := utf8.DecodeRuneInString(block)
	last, _ := utf8.DecodeLastRuneInString(block)
	return block != "" && !strings.Contains(block, "\n") && unicode.IsUpper(first) && (unicode.IsLetter(last) || unicode.IsDigit(last)) &&
		strings.Count(block, " ") < 6 && !strings.Contains(block, ": ") && row(block) == nil
}

func trimmed(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.TrimSpace(l)
	}
	return out
}

// row is a line's cells, or nil where it is none of a table.
func row(line string) []string {
	if !strings.Contains(line+" ", " | ") {
		return nil
	}
	cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// headerLike reports whether cells name columns: most have letters and none is a bare number.
func headerLike(cells []string) bool {
	named := 0
	for _, c := range cells {
		first, _ := utf8.DecodeRuneInString(c)
		if unicode.IsDigit(first) {
			return false
		}
		if strings.IndexFunc(c, unicode.IsLetter) >= 0 {
			named++
		}
	}
	return named*2 > len(cells)
}

// under writes a row with the names of its columns.
func under(header, cells []string) string {
	var b strings.Builder
	for i, c := range cells {
		if c == "" || strings.Trim(c, "-: ") == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		if i < len(header) && header[i] != "" {
			b.WriteString(header[i] + ": ")
		}
		b.WriteString(c)
	}
	return b.String()
}

// fields counts the lines at the start that are "name: value", and is 0 under two of them.
func fields(lines []string) int {
	n := 0
	for ; n < len(lines); n++ {
		name, value, ok := strings.Cut(strings.TrimSpace(lines[n]), ": ")
		if _, isItem := bullet(lines[n]); !ok || isItem || len(name) > 40 || strings.ContainsAny(name, ".,;!?") || strings.TrimSpace(value) == "" || strings.Count(name, " ") > 4 {
			break
		}
	}
	if n < 2 {
		return 0
	}
	return n
}

// bullet takes the mark off a list's item.
func bullet(line string) (string, bool) {
	line = strings.TrimSpace(line)
	for _, mark := range []string{"- ", "* ", "• ", "– ", "· "} {
		if rest, ok := strings.CutPrefix(line, mark); ok {
			return strings.TrimSpace(rest), true
		}
	}
	n := 0
	for n < len(line) && isDigit(rune(line[n])) {
		n++
	}
	if n > 0 && n < 4 && n+1 < len(line) && (line[n] == '.' || line[n] == ')') && line[n+1] == ' ' {
		return strings.TrimSpace(line[n+1:]), true
	}
	return line, false
}

// abbreviations end with a point that does not end a sentence, most of the time.
const abbreviations = " mr mrs ms dr prof no nos art sec fig vs approx inc ltd co corp st e.g i.e cf bzw ca z.b nr abs str ggf inkl zzgl p pp vol jan feb mar apr jun jul aug sep sept oct nov dec "

// split cuts running text after . ! ? where the next sentence begins with a capital, a digit or a quote.
func split(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start := 0
		for i, r := range text {
			if !strings.ContainsRune(".!?。！？", r) || i < start {
				continue
			}
			end := i + utf8.RuneLen(r)
			for end < len(text) && strings.ContainsRune(`"')]`, rune(text[end])) {
				end++
			}
			if r < utf8.RuneSelf {
				rest := strings.TrimLeft(text[end:], " \t")
				next, _ := utf8.DecodeRuneInString(rest)
				if end == len(text) || len(rest) == len(text)-end || !(unicode.IsUpper(next) || unicode.IsDigit(next) || strings.ContainsRune(`"“„'([`, next)) || r == '.' && abbreviated(text[start:i]) {
					continue
				}
			}
			if !yield(text[start:end]) {
				return
			}
			start = end
		}
		if strings.TrimSpace(text[start:]) != "" {
			yield(text[start:])
		}
	}
}

// abbreviated reports whether the text before a point ends in an abbreviation, an initial or a bare ordinal.
func abbreviated(before string) bool {
	last := strings.ToLower(before[strings.LastIndexAny(before, " (\t")+1:])
	if last == "" {
		return true
	}
	return len(last) == 1 && unicode.IsLetter(rune(last[0])) || strings.Contains(abbreviations, " "+last+" ")
}
