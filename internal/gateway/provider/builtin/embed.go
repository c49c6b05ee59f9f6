package builtin

import (
	"math"
	"unicode/utf8"
)

// Dimensions is the length of the builtin embedder's vectors.
const Dimensions = 384

// The weights of a text's features, chosen on an English collection of 1,400 abstracts (Cranfield). They are part of
// what the model's name means: vectors made with other weights cannot be compared with stored ones, so a change of
// anything in this file is a new model under a new name.
const (
	weightWord   = 1.0  // the stem of a word
	weightPrefix = 0.2  // its first six letters: inflection in any language, long compounds
	weightGram   = 0.15 // each of its four-letter parts: typing errors, parts of compounds
	weightPair   = 0.2  // two neighbouring stems
	prefixRunes  = 6
	gramBytes    = 4
	maxGrams     = 24 // of one word: a long run of letters is no word
)

// Embedder makes vectors from the words of a text alone, without a trained model: each stem, the beginning and the
// parts of each word and each pair of neighbours is hashed to places of the vector, weighted by how often the text has
// it (logarithmically), and the whole is normalised. Texts are near when they share words, word parts and phrases. It
// knows nothing of meaning: "car" and "vehicle" are strangers. It needs no network, no files and no time to speak of.
type Embedder struct {
	stop stopwords
}

// NewEmbedder makes the embedder. It may be used from many goroutines.
func NewEmbedder() *Embedder { return &Embedder{stop: newStopwords()} }

// batch is the memory of one call: words repeat, and stemming is the dear part.
type batch struct {
	e     *Embedder
	words map[string]*features
	count map[uint64]*tally
	order []*tally // in the order of first sight, so that sums of floats are the same every time
}

type features struct {
	skip  bool
	stem  uint64
	parts []part
}

type part struct {
	hash   uint64
	weight float64
}

type tally struct {
	hash   uint64
	weight float64
	n      int
}

const maxMemory = 1 << 16 // words remembered in one call

// Embed returns one vector of Dimensions for each text, of length 1, or all zeros for a text without a word.
func (e *Embedder) Embed(texts []string) [][]float32 {
	b := &batch{e: e, words: map[string]*features{}}
	out := make([][]float32, len(texts))
	for i, text := range texts {
		out[i] = b.embed(text)
	}
	return out
}

func (b *batch) embed(text string) []float32 {
	b.count, b.order = make(map[uint64]*tally, 256), b.order[:0]
	var previous uint64
	words(text, func(w word) {
		f := b.features(w)
		if f.skip {
			return
		}
		b.add(f.stem, weightWord)
		for _, p := range f.parts {
			b.add(p.hash, p.weight)
		}
		if previous != 0 {
			b.add(mix(previous*31+f.stem), weightPair)
		}
		previous = f.stem
	})
	var sum [Dimensions]float64
	for _, t := range b.order {
		project(&sum, t.hash, t.weight*(1+math.Log(float64(t.n))))
	}
	return normal(&sum)
}

func (b *batch) add(hash uint64, weight float64) {
	if t := b.count[hash]; t != nil {
		t.n++
		return
	}
	t := &tally{hash: hash, weight: weight, n: 1}
	b.count[hash] = t
	b.order = append(b.order, t)
}

func (b *batch) features(w word) *features {
	if f := b.words[w.folded]; f != nil {
		return f
	}
	f := b.e.features(w)
	if len(b.words) < maxMemory {
		b.words[w.folded] = f
	}
	return f
}

func (e *Embedder) features(w word) *features {
	if e.stop[w.folded] || len(w.folded) == 1 && !w.number {
		return &features{skip: true}
	}
	f := &features{stem: hash('w', stem(w.folded))}
	if w.number {
		return f // a part of a number is another number
	}
	if n := prefix(w.folded, prefixRunes); n > 0 {
		f.parts = append(f.parts, part{hash('p', w.folded[:n]), weightPrefix})
	}
	if len(w.folded) > gramBytes {
		padded := "^" + w.folded + "$"
		for i := 0; i+gramBytes <= len(padded) && i < maxGrams; i++ {
			f.parts = append(f.parts, part{hash('g', padded[i:i+gramBytes]), weightGram})
		}
	}
	return f
}

// prefix is the length in bytes of the first n characters, or 0 where there are no more than n.
func prefix(s string, n int) int {
	at := 0
	for range n {
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	if at >= len(s) {
		return 0
	}
	return at
}

// project adds a feature to the place its hash names, half of them with the sign turned: under such a projection the
// scalar product of two texts is kept on average (Weinberger and others, Feature hashing, 2009).
func project(sum *[Dimensions]float64, h uint64, weight float64) {
	at := (h & 0xffffffff) * Dimensions >> 32
	if h>>63 == 1 {
		weight = -weight
	}
	sum[at] += weight
}

func normal(sum *[Dimensions]float64) []float32 {
	out := make([]float32, Dimensions)
	length := 0.0
	for _, v := range sum {
		length += v * v
	}
	if length == 0 {
		return out
	}
	scale := 1 / math.Sqrt(length)
	for i, v := range sum {
		out[i] = float32(v * scale)
	}
	return out
}

// hash is FNV-1a over a kind and a text, then mixed so that every bit depends on every other.
func hash(kind byte, s string) uint64 {
	h := uint64(14695981039346656037)
	h = (h ^ uint64(kind)) * 1099511628211
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finaliser of SplitMix64.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
