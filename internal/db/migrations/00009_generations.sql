-- +goose Up
-- Generations beside each other: one is live, one may be built, one may be kept to go back to. A version has a manifest for
-- each way of cutting that a generation of its collection has: a cut is a number within the collection, and generations
-- that cut alike share it.
ALTER TABLE generations ADD COLUMN cut BIGINT NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN chunking TEXT NOT NULL DEFAULT '';        -- as JSON; empty: as the collection's configuration says
ALTER TABLE generations ADD COLUMN reason TEXT NOT NULL DEFAULT '';          -- request, schedule, file
ALTER TABLE generations ADD COLUMN started_by TEXT NOT NULL DEFAULT '';
ALTER TABLE generations ADD COLUMN phase TEXT NOT NULL DEFAULT '';           -- cut, embed, follow
ALTER TABLE generations ADD COLUMN cursor TEXT NOT NULL DEFAULT '';          -- the document that the phase has reached
ALTER TABLE generations ADD COLUMN position BIGINT NOT NULL DEFAULT 0;       -- the change up to which it has everything
ALTER TABLE generations ADD COLUMN total BIGINT NOT NULL DEFAULT 0;          -- what the phase has to do: documents, passages
ALTER TABLE generations ADD COLUMN done BIGINT NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN embedded BIGINT NOT NULL DEFAULT 0;       -- passages that the model was asked for
ALTER TABLE generations ADD COLUMN embed_us BIGINT NOT NULL DEFAULT 0;       -- how long that took
ALTER TABLE generations ADD COLUMN refused BIGINT NOT NULL DEFAULT 0;        -- passages and documents that could not be made anew
ALTER TABLE generations ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN error TEXT NOT NULL DEFAULT '';
ALTER TABLE generations ADD COLUMN gate TEXT NOT NULL DEFAULT '';            -- the figures, as JSON
ALTER TABLE generations ADD COLUMN auto_switch BIGINT NOT NULL DEFAULT 0;     -- it becomes live by itself when it has passed
ALTER TABLE generations ADD COLUMN leased_by TEXT NOT NULL DEFAULT '';
ALTER TABLE generations ADD COLUMN leased_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN ready_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN live_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN kept_until BIGINT NOT NULL DEFAULT 0;     -- of a previous one
ALTER TABLE generations ADD COLUMN reclaimed_at BIGINT NOT NULL DEFAULT 0;   -- its rows are gone
UPDATE generations SET state = 'reclaimed', reclaimed_at = created_at WHERE state = 'retired';
CREATE INDEX generations_collection ON generations (collection_id, created_at);
CREATE INDEX generations_open ON generations (state) WHERE reclaimed_at = 0;

CREATE TABLE manifests (
    version_id  TEXT NOT NULL,
    cut         BIGINT NOT NULL,
    ordinal     BIGINT NOT NULL,
    chunk_id    TEXT NOT NULL,
    page_from   BIGINT NOT NULL DEFAULT 0,
    page_to     BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (version_id, cut, ordinal)
);
INSERT INTO manifests (version_id, cut, ordinal, chunk_id, page_from, page_to) SELECT version_id, 0, ordinal, chunk_id, page_from, page_to FROM version_chunks;
DROP TABLE version_chunks;
CREATE INDEX manifests_chunk ON manifests (chunk_id);

-- +goose Down
CREATE TABLE version_chunks (
    version_id  TEXT NOT NULL,
    ordinal     BIGINT NOT NULL,
    chunk_id    TEXT NOT NULL,
    page_from   BIGINT NOT NULL DEFAULT 0,
    page_to     BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (version_id, ordinal)
);
INSERT INTO version_chunks (version_id, ordinal, chunk_id, page_from, page_to)
SELECT DISTINCT m.version_id, m.ordinal, m.chunk_id, m.page_from, m.page_to FROM manifests m JOIN versions v ON v.id = m.version_id
    JOIN collections c ON c.id = v.collection_id JOIN generations g ON g.id = c.generation_id AND g.cut = m.cut;
CREATE INDEX version_chunks_chunk ON version_chunks (chunk_id);
DROP TABLE manifests;
DROP INDEX generations_open;
DROP INDEX generations_collection;
ALTER TABLE generations DROP COLUMN reclaimed_at;
ALTER TABLE generations DROP COLUMN kept_until;
ALTER TABLE generations DROP COLUMN live_at;
ALTER TABLE generations DROP COLUMN ready_at;
ALTER TABLE generations DROP COLUMN leased_until;
ALTER TABLE generations DROP COLUMN leased_by;
ALTER TABLE generations DROP COLUMN auto_switch;
ALTER TABLE generations DROP COLUMN gate;
ALTER TABLE generations DROP COLUMN error;
ALTER TABLE generations DROP COLUMN due_at;
ALTER TABLE generations DROP COLUMN attempts;
ALTER TABLE generations DROP COLUMN refused;
ALTER TABLE generations DROP COLUMN embed_us;
ALTER TABLE generations DROP COLUMN embedded;
ALTER TABLE generations DROP COLUMN done;
ALTER TABLE generations DROP COLUMN total;
ALTER TABLE generations DROP COLUMN position;
ALTER TABLE generations DROP COLUMN cursor;
ALTER TABLE generations DROP COLUMN phase;
ALTER TABLE generations DROP COLUMN started_by;
ALTER TABLE generations DROP COLUMN reason;
ALTER TABLE generations DROP COLUMN chunking;
ALTER TABLE generations DROP COLUMN cut;
