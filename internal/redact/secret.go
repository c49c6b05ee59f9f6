package redact

import "bytes"

// form is what follows a prefix by which a provider marks its keys.
type form struct {
	rest string // a further fixed part
	min  int    // characters after it
	set  uint8
}

// forms are the keys that begin with a word and - or _. A key has a digit among its first characters, which words joined
// by - or _ seldom have.
var forms = map[string][]form{
	"sk-":     {{"", 20, letter | figure | under}}, // OpenAI, Anthropic (sk-ant-), OpenRouter, DeepSeek
	"sk_":     {{"live_", 16, letter | figure}, {"test_", 16, letter | figure}, {"", 40, letter | figure}},
	"rk_":     {{"live_", 16, letter | figure}, {"test_", 16, letter | figure}},
	"whsec_":  {{"", 24, letter | figure}},
	"ghp_":    {{"", 36, letter | figure}},
	"gho_":    {{"", 36, letter | figure}},
	"ghu_":    {{"", 36, letter | figure}},
	"ghs_":    {{"", 36, letter | figure}},
	"ghr_":    {{"", 36, letter | figure}},
	"github_": {{"pat_", 22, letter | figure | under}},
	"glpat-":  {{"", 20, letter | figure | under}},
	"xoxa-":   {{"", 10, letter | figure | under}},
	"xoxb-":   {{"", 10, letter | figure | under}},
	"xoxe-":   {{"", 10, letter | figure | under}},
	"xoxo-":   {{"", 10, letter | figure | under}},
	"xoxp-":   {{"", 10, letter | figure | under}},
	"xoxr-":   {{"", 10, letter | figure | under}},
	"xoxs-":   {{"", 10, letter | figure | under}},
	"xapp-":   {{"", 10, letter | figure | under}},
	"afk_":    {{"", 43, letter | figure}}, // our own
	"gsk_":    {{"", 40, letter | figure}}, // Groq
	"hf_":     {{"", 30, letter | figure}}, // Hugging Face
	"xai-":    {{"", 40, letter | figure}},
	"pplx-":   {{"", 40, letter | figure}},
	"pcsk_":   {{"", 40, letter | figure | under}}, // Pinecone
	"npm_":    {{"", 36, letter | figure}},
	"lin_":    {{"api_", 32, letter | figure}},
	"dop_":    {{"v1_", 64, letter | figure}},
	"shpat_":  {{"", 32, letter | figure}},
}

const (
	shortestKey   = 10  // after the first - or _
	longestPrefix = 8   // of forms, with its - or _
	looked        = 128 // characters in which a key shows what it is
)

// prefixed finds a key by the word before the - or _ at i, or a private key's block.
func (f *finder) prefixed(i int) {
	b := f.b
	if b[i] == '-' && i+10 < len(b) && string(b[i:i+11]) == "-----BEGIN " {
		f.block(i)
		return
	}
	if end := f.span(i+1, shortestKey, letter|figure|under); end < i+1+shortestKey {
		return
	}
	start := i
	for start > f.done && i-start < longestPrefix && alnum(b[start-1]) {
		start--
	}
	if i-start < 2 || !f.alone(start) {
		return
	}
	for _, form := range forms[string(b[start:i+1])] {
		body := i + 1 + len(form.rest)
		if body > len(b) || string(b[i+1:body]) != form.rest {
			continue
		}
		seen := f.span(body, looked, form.set)
		if seen-body < form.min || !bytes.ContainsAny(b[body:seen], "0123456789") {
			continue
		}
		f.take(start, f.span(seen, len(b), form.set), Secret)
		return
	}
}

// block finds a private key from its first line to its last, or to where it breaks off.
func (f *finder) block(i int) {
	b := f.b
	line := b[i+11 : min(len(b), i+11+64)]
	end := bytes.Index(line, []byte("-----"))
	if end < 0 || !bytes.Contains(line[:end], []byte("PRIVATE KEY")) {
		return
	}
	at := i + 11 + end + 5
	// Base64, line ends (also escaped ones) and the headers of old files.
	for at < len(b) && (alnum(b[at]) || bytes.IndexByte([]byte("+/=\r\n\t \\:,;.()-"), b[at]) >= 0) {
		if b[at] == '-' && bytes.HasPrefix(b[at:], []byte("-----")) {
			if last := bytes.Index(b[at+5:min(len(b), at+5+64)], []byte("-----")); last >= 0 && bytes.HasPrefix(b[at+5:], []byte("END ")) {
				at += 5 + last + 5
			}
			break
		}
		at++
	}
	f.take(i, at, Secret)
}

// cloudKey finds AWS's and Google's keys by the A at i.
func (f *finder) cloudKey(i int) {
	b := f.b
	if i+20 > len(b) || !f.alone(i) {
		return
	}
	switch string(b[i : i+4]) {
	case "AKIA", "ASIA":
		end := f.span(i, 21, letter|figure)
		if end-i != 20 || bytes.ContainsAny(b[i:end], "abcdefghijklmnopqrstuvwxyz") {
			return
		}
		f.take(i, end, Secret)
	case "AIza":
		if end := f.span(i, 64, letter|figure|under); end-i >= 39 {
			f.take(i, f.span(end, len(b), letter|figure|under), Secret)
		}
	}
}

// mailKey finds SendGrid's keys: SG., 22 characters, a dot, 43 characters.
func (f *finder) mailKey(i int) {
	b := f.b
	if i+69 > len(b) || b[i+2] != '.' || !f.alone(i) {
		return
	}
	if mid := f.span(i+3, 23, letter|figure|under); mid != i+25 || b[mid] != '.' {
		return
	}
	if end := f.span(i+26, 44, letter|figure|under); end == i+69 {
		f.take(i, end, Secret)
	}
}

// token finds a JSON web token by the J of its first three characters: three parts of base64, or five.
func (f *finder) token(i int) {
	b, start := f.b, i-2
	if start < 0 || b[i-1] != 'y' || b[i-2] != 'e' || !f.alone(start) {
		return
	}
	end := start
	for part, least := range [3]int{10, 8, 8} {
		from := end
		if end = f.runFrom(part, from); end-from < least {
			return
		}
		if part < 2 {
			if end >= len(b) || b[end] != '.' {
				return
			}
			end++
		}
	}
	for range 2 {
		if end+1 < len(b) && b[end] == '.' && chars[b[end+1]]&(letter|figure|under) != 0 {
			end = f.span(end+1, len(b), letter|figure|under)
		}
	}
	f.take(start, end, Secret)
}

// runFrom returns where the base64 from i ends; of each part of a token the last run is remembered.
func (f *finder) runFrom(part, i int) int {
	r := &f.runs[part]
	if i < r.from || i >= r.to {
		*r = run{i, f.span(i, len(f.b), letter|figure|under)}
	}
	return r.to
}

// bearer finds what follows the word Bearer that begins at i.
func (f *finder) bearer(i int) {
	b := f.b
	if i+7 > len(b) || (b[i+6] != ' ' && b[i+6] != '\t') || !bytes.EqualFold(b[i:i+6], []byte("bearer")) || !f.alone(i) {
		return
	}
	at := i + 7
	for at < len(b) && at < i+12 && b[at] == ' ' {
		at++
	}
	const set = letter | figure | under | value
	seen := f.span(at, looked, set)
	if seen-at < 16 || !bytes.ContainsAny(b[at:seen], "0123456789") {
		return
	}
	f.take(at, f.span(seen, len(b), set), Secret)
}
