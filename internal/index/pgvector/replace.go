package pgvector

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"airfield/internal/index"
	"airfield/internal/index/analyze"
)

// portion is what one statement writes at the most.
const portion = 1000

// entry is a chunk that is there.
type entry struct {
	n   int64
	sum string
}

// change is what one Replace does to the rows of a space.
type change struct {
	tx    pgx.Tx
	s     *space
	terms map[string]int // by how many chunks more, or less, hold a term
}

// replace applies a change within a transaction: searches see all of it at once, or nothing.
func (x *Index) replace(ctx context.Context, tx pgx.Tx, name string, documents []index.Document, sequence int64) (*space, error) {
	s, err := readSpace(ctx, tx, name, " FOR UPDATE")
	if err != nil {
		return nil, err
	}
	dimensions := 0
	if s != nil && s.vectors > 0 {
		dimensions = s.dimensions
	}
	documents, dimensions, err = index.Normal(documents, dimensions)
	if err != nil {
		return nil, err
	}
	if s == nil {
		if s, err = makeSpace(ctx, tx, name); err != nil {
			return nil, err
		}
	}
	c := &change{tx: tx, s: s, terms: map[string]int{}}
	had := s.vectors > 0
	additions, err := c.compare(ctx, documents)
	if err != nil {
		return nil, err
	}
	if had && s.vectors == 0 {
		// The next vector may be of another length.
		if _, err := tx.Exec(ctx, s.sql("DROP INDEX IF EXISTS {v}_graph")); err != nil {
			return nil, err
		}
		s.graph = false
	}
	for some := range slices.Chunk(additions, portion) {
		if err := c.insert(ctx, x, some); err != nil {
			return nil, err
		}
	}
	if err := c.count(ctx); err != nil {
		return nil, err
	}
	if dimensions > 0 {
		s.dimensions = dimensions
	}
	s.sequence = max(s.sequence, sequence)
	_, err = tx.Exec(ctx, `UPDATE spaces SET sequence = $2, next = $3, dimensions = $4, documents = $5, chunks = $6, vectors = $7, terms = $8, graph = $9 WHERE id = $1`,
		s.id, s.sequence, s.next, s.dimensions, s.documents, s.chunks, s.vectors, s.terms, s.graph)
	return s, err
}

// addition is a chunk that is new, or changed.
type addition struct {
	doc   int64
	chunk index.Chunk
	sum   []byte
}

// compare takes out what is no longer there, writes the documents, and returns the chunks that are to be written.
func (c *change) compare(ctx context.Context, documents []index.Document) ([]addition, error) {
	ids := make([]string, len(documents))
	for i, d := range documents {
		ids[i] = keep(d.ID)
	}
	known, err := c.known(ctx, ids)
	if err != nil {
		return nil, err
	}
	old, err := c.entries(ctx, slices.Collect(maps.Values(known)))
	if err != nil {
		return nil, err
	}
	var removed, gone []int64 // documents, chunks
	var written []index.Document
	for i, d := range documents {
		n, there := known[ids[i]]
		if len(d.Chunks) > 0 {
			written = append(written, d)
			continue
		}
		if there {
			removed = append(removed, n)
			for _, e := range old[n] {
				gone = append(gone, e.n)
			}
		}
	}
	numbers, err := c.write(ctx, written)
	if err != nil {
		return nil, err
	}
	var additions []addition
	for i, d := range written {
		n := numbers[i]
		left := old[n]
		if _, there := known[keep(d.ID)]; !there {
			c.s.documents++
		}
		for _, chunk := range d.Chunks {
			id, sum := keep(chunk.ID), sumOf(chunk)
			if e, there := left[id]; there && e.sum == string(sum) {
				delete(left, id)
				continue
			}
			additions = append(additions, addition{n, chunk, sum})
		}
		for _, e := range left {
			gone = append(gone, e.n)
		}
	}
	c.s.documents -= int64(len(removed))
	if err := c.remove(ctx, gone); err != nil {
		return nil, err
	}
	if len(removed) > 0 {
		_, err = c.tx.Exec(ctx, c.s.sql("DELETE FROM {d} WHERE n = ANY($1)"), removed)
	}
	return additions, err
}

// known finds the numbers of documents.
func (c *change) known(ctx context.Context, ids []string) (map[string]int64, error) {
	known := map[string]int64{}
	rows, err := c.tx.Query(ctx, c.s.sql("SELECT id, n FROM {d} WHERE id = ANY($1)"), ids)
	if err != nil {
		return nil, err
	}
	var id string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error { known[id] = n; return nil })
	return known, err
}

// entries reads the chunks of documents, by document and id.
func (c *change) entries(ctx context.Context, documents []int64) (map[int64]map[string]entry, error) {
	all := map[int64]map[string]entry{}
	rows, err := c.tx.Query(ctx, c.s.sql("SELECT doc, n, id, sum FROM {c} WHERE doc = ANY($1)"), documents)
	if err != nil {
		return nil, err
	}
	var doc, n int64
	var id string
	var sum []byte
	_, err = pgx.ForEachRow(rows, []any{&doc, &n, &id, &sum}, func() error {
		if all[doc] == nil {
			all[doc] = map[string]entry{}
		}
		all[doc][id] = entry{n, string(sum)}
		return nil
	})
	return all, err
}

// write makes or changes the rows of documents and returns their numbers.
func (c *change) write(ctx context.Context, documents []index.Document) ([]int64, error) {
	ids, tiers, attributes, chunks := make([]string, len(documents)), make([]int16, len(documents)), make([]string, len(documents)), make([]int32, len(documents))
	for i, d := range documents {
		text, err := json.Marshal(kept(d.Attributes))
		if err != nil {
			return nil, fmt.Errorf("write attributes of document %s: %w", d.ID, err)
		}
		ids[i], tiers[i], attributes[i], chunks[i] = keep(d.ID), int16(d.Tier), string(text), int32(len(d.Chunks))
	}
	if _, err := c.tx.Exec(ctx, c.s.sql(`INSERT INTO {d} AS d (id, tier, attributes, chunks)
		SELECT id, tier, attributes::jsonb, chunks FROM unnest($1::text[], $2::smallint[], $3::text[], $4::int[]) AS new (id, tier, attributes, chunks)
		ON CONFLICT (id) DO UPDATE SET tier = excluded.tier, attributes = excluded.attributes, chunks = excluded.chunks
		WHERE (d.tier, d.attributes, d.chunks) IS DISTINCT FROM (excluded.tier, excluded.attributes, excluded.chunks)`), ids, tiers, attributes, chunks); err != nil {
		return nil, err
	}
	numbers := make([]int64, len(documents))
	known, err := c.known(ctx, ids)
	for i, id := range ids {
		numbers[i] = known[id]
	}
	return numbers, err
}

// remove takes chunks out.
func (c *change) remove(ctx context.Context, gone []int64) error {
	for some := range slices.Chunk(gone, portion) {
		rows, err := c.tx.Query(ctx, c.s.sql("DELETE FROM {c} WHERE n = ANY($1) RETURNING length, tsvector_to_array(words)"), some)
		if err != nil {
			return err
		}
		var length int64
		var words []string
		if _, err := pgx.ForEachRow(rows, []any{&length, &words}, func() error {
			c.s.terms -= length
			c.s.chunks--
			for _, w := range words {
				if !strings.Contains(w, times) {
					c.terms[w]--
				}
			}
			return nil
		}); err != nil {
			return err
		}
		tag, err := c.tx.Exec(ctx, c.s.sql("DELETE FROM {v} WHERE n = ANY($1)"), some)
		if err != nil {
			return err
		}
		c.s.vectors -= tag.RowsAffected()
	}
	return nil
}

// insert writes new chunks, and the vectors of those that have one.
func (c *change) insert(ctx context.Context, x *Index, some []addition) error {
	var numbers, docs, vectorNumbers, vectorDocs []int64
	var ids, words, vectors []string
	var sums [][]byte
	var lengths []int32
	for _, a := range some {
		n := c.s.next
		c.s.next++
		lexemes, length := x.lexemes(a.chunk, c.terms)
		numbers, docs, ids, sums = append(numbers, n), append(docs, a.doc), append(ids, keep(a.chunk.ID)), append(sums, a.sum)
		words, lengths = append(words, lexemes), append(lengths, int32(length))
		c.s.chunks++
		c.s.terms += int64(length)
		if a.chunk.Vector != nil {
			vectorNumbers, vectorDocs, vectors = append(vectorNumbers, n), append(vectorDocs, a.doc), append(vectors, vectorText(unit(a.chunk.Vector)))
			c.s.vectors++
		}
	}
	if _, err := c.tx.Exec(ctx, c.s.sql(`INSERT INTO {c} (n, doc, id, sum, words, length) SELECT n, doc, id, sum, words::tsvector, length
		FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[], $5::text[], $6::int[]) AS new (n, doc, id, sum, words, length)`), numbers, docs, ids, sums, words, lengths); err != nil {
		return err
	}
	if len(vectors) == 0 {
		return nil
	}
	_, err := c.tx.Exec(ctx, c.s.sql(`INSERT INTO {v} (n, doc, v) SELECT n, doc, v::vector FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS new (n, doc, v)`), vectorNumbers, vectorDocs, vectors)
	return err
}

// count brings up to date in how many chunks each term is. A term that no chunk holds any more goes.
func (c *change) count(ctx context.Context) error {
	var terms []string
	var by []int32
	less := false
	for _, term := range slices.Sorted(maps.Keys(c.terms)) {
		if n := c.terms[term]; n != 0 {
			terms, by, less = append(terms, term), append(by, int32(n)), less || n < 0
		}
	}
	if len(terms) == 0 {
		return nil
	}
	_, err := c.tx.Exec(ctx, c.s.sql(`INSERT INTO {t} AS t (term, chunks) SELECT term, chunks FROM unnest($1::text[], $2::int[]) AS new (term, chunks)
		ON CONFLICT (term) DO UPDATE SET chunks = t.chunks + excluded.chunks`), terms, by)
	if err == nil && less {
		_, err = c.tx.Exec(ctx, c.s.sql("DELETE FROM {t} WHERE term = ANY($1) AND chunks <= 0"), terms)
	}
	return err
}

// lexemes analyses a chunk into a text search vector, adds its terms to the count, and says how many words it has.
func (x *Index) lexemes(chunk index.Chunk, count map[string]int) (text string, length int) {
	often := map[string]int{}
	for _, token := range x.analyzer.Analyze([]byte(analyze.Passage(chunk.Title, chunk.Heading, chunk.Text))) {
		term, ok := termOf(token.Term)
		if !ok {
			continue
		}
		often[term]++
		length++
	}
	var b strings.Builder
	for _, term := range slices.Sorted(maps.Keys(often)) {
		if b.Len() > maxLexemes {
			break
		}
		count[term]++
		for level, least := range levels {
			if often[term] < least {
				break
			}
			quote(&b, lexeme(term, level))
			b.WriteByte(' ')
		}
	}
	return b.String(), length
}

// maxLexemes bounds the text of a text search vector, which PostgreSQL takes up to a mebibyte.
const maxLexemes = 512 << 10

// sumOf tells whether a chunk changed.
func sumOf(c index.Chunk) []byte {
	h := sha256.New()
	for _, text := range []string{c.Title, c.Heading, c.Text} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))
		h.Write([]byte(text))
	}
	b := make([]byte, 0, 4*len(c.Vector))
	for _, v := range c.Vector {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	h.Write(b)
	return h.Sum(nil)[:16]
}

// unit is the vector of length one in the same direction.
func unit(v []float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	norm := math.Sqrt(sum)
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / norm)
	}
	return out
}

func vectorText(v []float32) string {
	b := make([]byte, 0, 12*len(v))
	b = append(b, '[')
	for i, x := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, float64(x), 'g', -1, 32)
	}
	return string(append(b, ']'))
}
