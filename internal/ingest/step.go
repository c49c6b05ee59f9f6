package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/klauspost/compress/zstd"

	"airfield/internal/bucket"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/ingest/chunk"
	"airfield/internal/ingest/extract"
)

// step does the run's next step. Each may be done again from its start: what it leaves outside of the database has a
// name that a second try uses again.
func (p *Pipeline) step(ctx context.Context, r *runRow) (err error) {
	ctx, span := p.Tracer.Start(ctx, "ingest."+r.Step)
	defer func() {
		// A document that breaks our own code is a dead letter like any other.
		if broken := recover(); broken != nil {
			err = fmt.Errorf("panic in the step %s: %v\n%s", r.Step, broken, debug.Stack())
		}
		span.Done(err)
	}()
	r.started = time.Now()
	if r.Kind == kindPurge {
		return p.purgeStep(ctx, r)
	}
	switch r.Step {
	case StepExtract:
		return p.extract(ctx, r)
	case StepValidate:
		return p.validate(ctx, r)
	case StepChunk:
		return p.chunk(ctx, r)
	case StepEmbed:
		return p.embed(ctx, r)
	case StepStore:
		return p.store(ctx, r)
	}
	return fmt.Errorf("run %s is at the unknown step %q", r.ID, r.Step)
}

// keepBlocksAbove is the text from which on extracted blocks are kept for the steps to come. Less than that is extracted
// again where a worker died in between: cheaper than two more files for every document.
const keepBlocksAbove = 64 << 10

// extract reads the file's blocks and keeps them in the bucket, then what was found about it.
func (p *Pipeline) extract(ctx context.Context, r *runRow) error {
	var name, declared, key, version string
	if err := p.DB.QueryRow(ctx, "SELECT name, media_type, bucket_key, bucket_version FROM versions WHERE id = ?", r.Version).Scan(&name, &declared, &key, &version); err != nil {
		return err
	}
	c, err := findCollection(ctx, p.DB, r.Collection)
	if err != nil {
		return gone(err)
	}
	path, done, err := p.localPath(ctx, key, version)
	if err != nil {
		return err
	}
	defer done()
	var blocks []extract.Block
	size := 0
	result, err := p.Extractor.ExtractRecords(ctx, path, name, declared, c.Config.Records, func(page extract.Page) error {
		blocks = append(blocks, page.Blocks...)
		for _, b := range page.Blocks {
			size += len(b.Text)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if len(blocks) == 0 {
		return fault.New(fault.Invalid, extract.CodeEmpty, "%s holds no text", name).Hinted("remove it, or upload a version with text")
	}
	found, warnings, err := foundIn(c.Config, result)
	if err != nil {
		return err
	}
	if size > keepBlocksAbove {
		if err := p.putBlocks(ctx, r.Version, blocks); err != nil {
			return fmt.Errorf("keep the extracted blocks: %w", err)
		}
	}
	r.blocks = blocks
	foundJSON, err := json.Marshal(found)
	if err != nil {
		return err
	}
	warnings = append(result.Warnings, warnings...)
	if warnings == nil {
		warnings = []string{}
	}
	warningsJSON, err := json.Marshal(warnings)
	if err != nil {
		return err
	}
	partial := 0
	if result.Partial {
		partial = 1
	}
	detail := map[string]any{"blocks": len(blocks), "pages": result.PagesRead, "media_type": result.MediaType, "revision": extract.Revision}
	if read := result.Records; read != nil {
		detail["records"], detail["records_left_out"] = read.Records, read.LeftOut
	}
	if result.RecognizedPages > 0 {
		detail["recognized_pages"], detail["ocr_confidence"] = result.RecognizedPages, result.Confidence
	}
	if result.Language != "" {
		detail["language"] = result.Language
	}
	return p.advance(ctx, r, StepValidate, detail, func(tx *db.Tx, doc docRow) error {
		if err := wanted(doc); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE versions SET media_type = ?, pages = ?, partial = ?, warnings = ?, extracted = ? WHERE id = ?",
			result.MediaType, result.Pages, partial, storable(string(warningsJSON)), storable(string(foundJSON)), r.Version)
		return err
	})
}

// wanted fails where the document was deleted meanwhile.
func wanted(doc docRow) error {
	if doc.Deleted {
		return errOvertaken
	}
	return nil
}

// localPath gives the extractor a file. One that had to be fetched goes with done.
func (p *Pipeline) localPath(ctx context.Context, key, version string) (path string, done func(), err error) {
	if local, ok := p.Bucket.(bucket.Local); ok {
		path, _, err := local.Path(ctx, key, version)
		return path, func() {}, err
	}
	from, _, err := p.Bucket.Get(ctx, key, version)
	if err != nil {
		return "", nil, err
	}
	defer from.Close()
	to, err := os.CreateTemp(p.TempDir, "original-*"+filepath.Ext(key))
	if err != nil {
		return "", nil, fmt.Errorf("make room for a file to extract: %w", err)
	}
	done = func() { os.Remove(to.Name()) }
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Close()); err != nil {
		done()
		return "", nil, fmt.Errorf("fetch a file to extract: %w", err)
	}
	return to.Name(), done, nil
}

// putBlocks keeps the blocks, one JSON value a line, compressed.
func (p *Pipeline) putBlocks(ctx context.Context, versionID string, blocks []extract.Block) error {
	read, write := io.Pipe()
	go func() {
		z, err := zstd.NewWriter(write, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err == nil {
			out := json.NewEncoder(z)
			for i := 0; i < len(blocks) && err == nil; i++ {
				err = out.Encode(blocks[i])
			}
			err = errors.Join(err, z.Close())
		}
		write.CloseWithError(err)
	}()
	defer read.Close() // ends the writer where the bucket gave up
	_, err := p.Bucket.Put(ctx, blocksKey(versionID), read, bucket.PutOptions{MediaType: "application/zstd"})
	return err
}

// blocksOf are the run's extracted blocks: at hand where this worker extracted them, else from the bucket.
func (p *Pipeline) blocksOf(ctx context.Context, r *runRow) ([]extract.Block, error) {
	if r.blocks != nil {
		return r.blocks, nil
	}
	from, _, err := p.Bucket.Get(ctx, blocksKey(r.Version), "")
	if err != nil {
		return nil, fmt.Errorf("read the extracted blocks: %w", err)
	}
	defer from.Close()
	z, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	in := json.NewDecoder(z)
	for {
		var b extract.Block
		switch err := in.Decode(&b); {
		case errors.Is(err, io.EOF):
			return r.blocks, nil
		case err != nil:
			return nil, fmt.Errorf("read the extracted blocks: %w", err)
		}
		r.blocks = append(r.blocks, b)
	}
}

// validate holds the metadata against the schema, before any money is spent on the version.
func (p *Pipeline) validate(ctx context.Context, r *runRow) error {
	c, err := findCollection(ctx, p.DB, r.Collection)
	if err != nil {
		return gone(err)
	}
	return p.advance(ctx, r, StepChunk, nil, func(tx *db.Tx, doc docRow) error {
		if err := wanted(doc); err != nil {
			return err
		}
		m, name, err := c.metadataOf(ctx, tx, doc, r.Version)
		if err != nil {
			return err
		}
		if doc.Live == "" {
			return writeMetadata(ctx, tx, doc.ID, name, m)
		}
		// The live version keeps its metadata until the new one takes its place, but closes at once.
		return raise(ctx, tx, doc, given{Metadata: m})
	})
}

// gone is what a missing collection means for a run: it was deleted.
func gone(err error) error {
	if fault.Is(err, fault.NotFound) {
		return errOvertaken
	}
	return err
}

// chunk cuts the blocks and writes the version's manifest. A passage that an earlier version has too is the same row.
func (p *Pipeline) chunk(ctx context.Context, r *runRow) error {
	c, err := findCollection(ctx, p.DB, r.Collection)
	if err != nil {
		return gone(err)
	}
	blocks, err := p.blocksOf(ctx, r)
	if fault.Is(err, fault.NotFound) {
		return p.advance(ctx, r, StepExtract, nil, nil) // they were not worth keeping: read the file again
	}
	if err != nil {
		return err
	}
	r.blocks = nil
	chunks, err := p.split(ctx, c, r.Document, r.Version, blocks)
	if err != nil {
		return err
	}
	return p.advance(ctx, r, StepEmbed, map[string]any{"chunks": len(chunks), "chunking": c.Chunking, "revision": chunk.Revision}, func(tx *db.Tx, doc docRow) error {
		if err := wanted(doc); err != nil {
			return err
		}
		return writeManifest(ctx, tx, c, r.Document, r.Version, chunks)
	})
}

// split cuts a version's blocks as the collection's generation says.
func (p *Pipeline) split(ctx context.Context, c Collection, documentID, versionID string, blocks []extract.Block) ([]chunk.Chunk, error) {
	converted := make([]chunk.Block, len(blocks))
	for i, b := range blocks {
		converted[i] = chunk.Block(b)
	}
	row, err := scanDocRow(p.DB.QueryRow(ctx, docRowColumns+" WHERE id = ?", documentID))
	if err != nil {
		return nil, err
	}
	m, _, err := c.metadataOf(ctx, p.DB, row, versionID)
	if err != nil {
		return nil, err
	}
	// Only a title that the document has itself: a file's new name must not make its chunks new.
	chunks := chunk.Split(c.Chunking, documentID, m.Title, converted)
	if len(chunks) == 0 {
		return nil, fault.New(fault.Invalid, extract.CodeEmpty, "no passage is left after cutting the document")
	}
	return chunks, nil
}

// writeManifest replaces what the version has in the collection's cut.
func writeManifest(ctx context.Context, tx *db.Tx, of Collection, documentID, versionID string, chunks []chunk.Chunk) error {
	headings := make([]string, len(chunks))
	for i, c := range chunks {
		path := c.Heading
		if path == nil {
			path = []string{}
		}
		raw, err := json.Marshal(path)
		if err != nil {
			return err
		}
		headings[i] = storable(string(raw))
	}
	err := insertRows(ctx, tx, "INSERT INTO chunks (id, document_id, collection_id, heading, text, kind, tokens) VALUES", " ON CONFLICT (id) DO NOTHING", 7, len(chunks), func(i int) []any {
		c := chunks[i]
		return []any{c.ID, documentID, of.ID, headings[i], storable(c.Text), c.Kind, c.Tokens}
	})
	if err != nil {
		return fmt.Errorf("write chunks: %w", err)
	}
	if _, err := tx.Exec(ctx, "DELETE FROM manifests WHERE version_id = ? AND cut = ?", versionID, of.Cut); err != nil {
		return err
	}
	return insertRows(ctx, tx, "INSERT INTO manifests (version_id, cut, ordinal, chunk_id, page_from, page_to) VALUES", "", 6, len(chunks), func(i int) []any {
		c := chunks[i]
		return []any{versionID, of.Cut, c.Ordinal, c.ID, c.PageFrom, c.PageTo}
	})
}
