-- +goose Up
-- Legal holds: what nobody may delete, by whatever way, until the hold is released.
CREATE TABLE holds (
    document_id   TEXT PRIMARY KEY,
    collection_id TEXT NOT NULL,
    reason        TEXT NOT NULL,
    placed_by     TEXT NOT NULL,
    placed_at     BIGINT NOT NULL
);
CREATE INDEX holds_collection ON holds (collection_id);

-- Erasures: deletions of all documents with some metadata. The values are not kept: they may be what had to go.
CREATE TABLE erasures (
    id            TEXT PRIMARY KEY,
    collection_id TEXT NOT NULL,
    collection    TEXT NOT NULL,              -- its name at the time
    fields        TEXT NOT NULL,              -- the names of the fields, as a JSON list
    fingerprint   TEXT NOT NULL,              -- SHA-256 of the condition, for who knows its values
    reason        TEXT NOT NULL,
    ordered_by    TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    finished_at   BIGINT NOT NULL             -- 0 until every document is purged or held
);
CREATE INDEX erasures_open ON erasures (finished_at);

CREATE TABLE erasure_documents (
    erasure_id  TEXT NOT NULL,
    document_id TEXT NOT NULL,
    state       TEXT NOT NULL,                -- chosen, deleted, held
    PRIMARY KEY (erasure_id, document_id)
);
CREATE INDEX erasure_documents_state ON erasure_documents (state);

-- Pauses of a collection (source and run empty), of a source, or of a run.
CREATE TABLE pauses (
    collection_id TEXT NOT NULL,
    source        TEXT NOT NULL,              -- its name
    run_id        TEXT NOT NULL,
    name          TEXT NOT NULL,              -- as it is shown
    reason        TEXT NOT NULL,
    paused_by     TEXT NOT NULL,
    paused_at     BIGINT NOT NULL,
    PRIMARY KEY (collection_id, source, run_id)
);

-- +goose Down
DROP TABLE pauses;
DROP TABLE erasure_documents;
DROP TABLE erasures;
DROP TABLE holds;
