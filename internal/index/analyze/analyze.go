// Package analyze is the one way from text to the words that keyword search compares, for every index that does not
// leave that to a server.
package analyze

import (
	"strings"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/analysis/char/asciifolding"
	"github.com/blevesearch/bleve/v2/analysis/lang/cjk"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/analysis/token/lowercase"
	"github.com/blevesearch/bleve/v2/analysis/token/porter"
	"github.com/blevesearch/bleve/v2/analysis/token/stop"
	"github.com/blevesearch/bleve/v2/analysis/tokenizer/unicode"
)

// New returns the way from text to terms, for passages and queries of any language: words by Unicode's rules,
// width and accents folded, lower case, pairs of neighbouring ideographs, English stop words out, English endings off.
// Other languages lose nothing by the English steps: they treat passage and query alike. Whoever changes this must
// raise the format version of every index.
func New() (analysis.Analyzer, error) {
	stops := analysis.NewTokenMap()
	if err := stops.LoadBytes(en.EnglishStopWords); err != nil {
		return nil, err
	}
	return &analysis.DefaultAnalyzer{
		CharFilters: []analysis.CharFilter{asciifolding.New()},
		Tokenizer:   unicode.NewUnicodeTokenizer(),
		TokenFilters: []analysis.TokenFilter{
			cjk.NewCJKWidthFilter(), en.NewPossessiveFilter(), lowercase.NewLowerCaseFilter(), cjk.NewCJKBigramFilter(false),
			stop.NewStopTokensFilter(stops), porter.NewPorterStemmer(), bounded{},
		},
	}, nil
}

// MaxTermBytes bounds a term: longer ones are base64, keys or noise that nobody types.
const MaxTermBytes = 128

// bounded drops terms that are empty or absurdly long.
type bounded struct{}

func (bounded) Filter(in analysis.TokenStream) analysis.TokenStream {
	out := in[:0]
	for _, t := range in {
		if n := len(t.Term); n > 0 && n <= MaxTermBytes {
			out = append(out, t)
		}
	}
	return out
}

// Passage is the text that a chunk is found by.
func Passage(title, heading, text string) string {
	var b strings.Builder
	b.Grow(len(title) + len(heading) + len(text) + 2)
	for _, part := range []string{title, heading, text} {
		if part != "" && b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(part)
	}
	return strings.ToValidUTF8(b.String(), " ")
}
