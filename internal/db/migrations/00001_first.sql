-- +goose Up
-- One file for SQLite and PostgreSQL. Times are microseconds since 1970 UTC, money is nano-dollars, flags are 0 or 1,
-- access tiers are 1 public, 2 internal, 3 confidential, 4 restricted. Ids are made by Airfield.

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- access ---------------------------------------------------------------------------------------------------------

CREATE TABLE keys (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    role         TEXT NOT NULL,
    workflow     TEXT NOT NULL DEFAULT '',
    clearance    BIGINT NOT NULL,
    hash         TEXT NOT NULL UNIQUE,
    hint         TEXT NOT NULL,              -- the last characters of the key, to recognise it by
    created_by   TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    last_used_at BIGINT
);

-- Append-only: each row's hash covers its content and the hash before it.
CREATE TABLE audit (
    sequence BIGINT PRIMARY KEY,
    at       BIGINT NOT NULL,
    actor    TEXT NOT NULL,
    action   TEXT NOT NULL,
    target   TEXT NOT NULL,
    detail   TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash     TEXT NOT NULL
);
CREATE INDEX audit_target ON audit (target, sequence);

-- ingest ---------------------------------------------------------------------------------------------------------

CREATE TABLE collections (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    title         TEXT NOT NULL DEFAULT '',   -- as its creator calls it; need not be unique
    owner         TEXT NOT NULL,              -- file (airfield.yaml) or api
    workflow      TEXT NOT NULL DEFAULT '',   -- that created it, where owner is api
    config        TEXT NOT NULL,
    metadata      TEXT NOT NULL DEFAULT '{}',
    generation_id TEXT NOT NULL,              -- the live one
    epoch         BIGINT NOT NULL DEFAULT 0,  -- raised whenever an answer could change
    sequence      BIGINT NOT NULL DEFAULT 0,  -- of the newest row in changes
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    missing_since BIGINT,                     -- owned by airfield.yaml and no longer in it
    deleted_at    BIGINT
);
CREATE UNIQUE INDEX collections_name ON collections (name) WHERE deleted_at IS NULL;

CREATE TABLE generations (
    id            TEXT PRIMARY KEY,
    collection_id TEXT NOT NULL,
    model         TEXT NOT NULL,
    dimensions    BIGINT NOT NULL,
    state         TEXT NOT NULL,              -- building, live, retired
    created_at    BIGINT NOT NULL
);

CREATE TABLE sources (
    id            TEXT PRIMARY KEY,
    collection_id TEXT NOT NULL,
    name          TEXT NOT NULL,
    kind          TEXT NOT NULL,
    state         TEXT NOT NULL,              -- ok, warning, held
    message       TEXT NOT NULL DEFAULT '',
    held          TEXT NOT NULL DEFAULT '',   -- what waits for a confirmation
    cursor        TEXT NOT NULL DEFAULT '',
    scanned_at    BIGINT,
    created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX sources_name ON sources (collection_id, name);

CREATE TABLE documents (
    id              TEXT PRIMARY KEY,
    collection_id   TEXT NOT NULL,
    source          TEXT NOT NULL,            -- the source's name, or upload, or files
    source_key      TEXT NOT NULL,            -- its name there: a path, a file id
    title           TEXT NOT NULL DEFAULT '',
    tier            BIGINT NOT NULL,
    business_unit   TEXT NOT NULL DEFAULT '',
    type            TEXT NOT NULL DEFAULT '',
    date            TEXT NOT NULL DEFAULT '', -- YYYY-MM-DD
    tags            TEXT NOT NULL DEFAULT '[]',
    metadata        TEXT NOT NULL DEFAULT '{}',
    live_version_id TEXT,
    last_number     BIGINT NOT NULL DEFAULT 0,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    deleted_at      BIGINT
);
CREATE UNIQUE INDEX documents_key ON documents (collection_id, source, source_key) WHERE deleted_at IS NULL;
CREATE INDEX documents_list ON documents (collection_id, id);

-- What a source last saw of each item, so that an unchanged one costs a comparison and nothing else.
CREATE TABLE source_items (
    source_id   TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,                -- cheap: size, time, file id
    identity    TEXT NOT NULL DEFAULT '',     -- survives a rename: the file id
    sha256      TEXT NOT NULL,
    sidecar     TEXT NOT NULL DEFAULT '',     -- the fingerprint of its metadata file
    document_id TEXT NOT NULL,
    PRIMARY KEY (source_id, key)
);

CREATE TABLE versions (
    id             TEXT PRIMARY KEY,
    document_id    TEXT NOT NULL,
    collection_id  TEXT NOT NULL,
    number         BIGINT NOT NULL,
    state          TEXT NOT NULL,             -- pending, running, live, superseded, dead, deleted
    name           TEXT NOT NULL,             -- the file's name
    sha256         TEXT NOT NULL,
    bytes          BIGINT NOT NULL,
    media_type     TEXT NOT NULL DEFAULT '',
    bucket_key     TEXT NOT NULL,
    bucket_version TEXT NOT NULL,
    metadata       TEXT NOT NULL DEFAULT '{}', -- as given with this version, before defaults
    extracted      TEXT NOT NULL DEFAULT '{}', -- metadata found in the bytes
    derived        BIGINT NOT NULL DEFAULT 0,  -- the bucket may hold its extracted blocks
    pages          BIGINT NOT NULL DEFAULT 0,
    partial        BIGINT NOT NULL DEFAULT 0,
    warnings       TEXT NOT NULL DEFAULT '[]',
    created_at     BIGINT NOT NULL,
    live_at        BIGINT
);
CREATE UNIQUE INDEX versions_number ON versions (document_id, number);
CREATE INDEX versions_state ON versions (collection_id, state);
CREATE INDEX versions_derived ON versions (state) WHERE derived = 1;

-- The only truth of progress: the step to do next, who does it, and what went wrong.
CREATE TABLE runs (
    id            TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,              -- ingest, purge
    collection_id TEXT NOT NULL,
    document_id   TEXT NOT NULL,
    version_id    TEXT NOT NULL DEFAULT '',
    state         TEXT NOT NULL,              -- waiting, running, done, dead, cancelled
    step          TEXT NOT NULL,              -- extract, validate, chunk, embed, store; of a purge: index, rows, bytes, proof
    priority      BIGINT NOT NULL DEFAULT 0,
    attempts      BIGINT NOT NULL DEFAULT 0,  -- of this step that failed
    crashes       BIGINT NOT NULL DEFAULT 0,  -- of this step whose worker was not heard of again
    leased_by     TEXT NOT NULL DEFAULT '',
    leased_until  BIGINT NOT NULL DEFAULT 0,
    due_at        BIGINT NOT NULL,
    error_code    TEXT NOT NULL DEFAULT '',
    error         TEXT NOT NULL DEFAULT '',
    trace_id      TEXT NOT NULL DEFAULT '',
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    finished_at   BIGINT
);
CREATE INDEX runs_state ON runs (state, due_at);
CREATE INDEX runs_version ON runs (version_id);
CREATE INDEX runs_document ON runs (document_id, created_at);

CREATE TABLE run_steps (
    run_id     TEXT NOT NULL,
    step       TEXT NOT NULL,
    attempts   BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    detail     TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (run_id, step)
);

-- A chunk belongs to a document, not to a version: versions that share a passage share the row and its vector.
CREATE TABLE chunks (
    id            TEXT PRIMARY KEY,
    document_id   TEXT NOT NULL,
    collection_id TEXT NOT NULL,
    heading       TEXT NOT NULL,              -- the path, as a JSON list
    text          TEXT NOT NULL,
    kind          TEXT NOT NULL DEFAULT '',
    tokens        BIGINT NOT NULL
);
CREATE INDEX chunks_document ON chunks (document_id);

-- The manifest of a version: which chunks, in which order, on which pages.
CREATE TABLE version_chunks (
    version_id  TEXT NOT NULL,
    ordinal     BIGINT NOT NULL,
    chunk_id    TEXT NOT NULL,
    page_from   BIGINT NOT NULL DEFAULT 0,
    page_to     BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (version_id, ordinal)
);
CREATE INDEX version_chunks_chunk ON version_chunks (chunk_id);

CREATE TABLE vectors (
    generation_id TEXT NOT NULL,
    chunk_id      TEXT NOT NULL,
    document_id   TEXT NOT NULL,
    vector        BYTEA NOT NULL,             -- little-endian float32
    PRIMARY KEY (generation_id, chunk_id)
);
CREATE INDEX vectors_document ON vectors (document_id);

-- The ordered changes that feed every index: what is live of a document must be looked at again.
CREATE TABLE changes (
    collection_id TEXT NOT NULL,
    sequence      BIGINT NOT NULL,
    document_id   TEXT NOT NULL,
    kind          TEXT NOT NULL,              -- live, metadata, delete
    at            BIGINT NOT NULL,
    PRIMARY KEY (collection_id, sequence)
);

-- Files uploaded through the OpenAI-compatible surface; attached to a collection they become documents.
CREATE TABLE files (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    purpose        TEXT NOT NULL,
    bytes          BIGINT NOT NULL,
    sha256         TEXT NOT NULL,
    media_type     TEXT NOT NULL DEFAULT '',
    bucket_key     TEXT NOT NULL,
    bucket_version TEXT NOT NULL,
    workflow       TEXT NOT NULL,
    tier           BIGINT NOT NULL,           -- the clearance of who uploaded it
    created_by     TEXT NOT NULL,
    created_at     BIGINT NOT NULL
);
CREATE INDEX files_workflow ON files (workflow, id);

CREATE TABLE file_batches (
    id            TEXT PRIMARY KEY,
    collection_id TEXT NOT NULL,
    documents     TEXT NOT NULL,              -- ids, as a JSON list
    created_by    TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    cancelled_at  BIGINT NOT NULL DEFAULT 0
);

-- calls, traces, money -------------------------------------------------------------------------------------------

-- One row a call. What lists are filtered by has a column; the rest, without empty fields, is in detail. The id sorts by
-- the time the call began, so that its key is also the index by time.
CREATE TABLE calls (
    id          TEXT PRIMARY KEY,
    started_at  BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    workflow    TEXT NOT NULL,
    model       TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    nanos_usd   BIGINT NOT NULL,
    priced      BIGINT NOT NULL,
    trace_id    TEXT NOT NULL,
    detail      TEXT NOT NULL,
    recorded_at BIGINT NOT NULL               -- when the row was written, which is after the end: the order to follow it in
);
CREATE INDEX calls_trace ON calls (trace_id);
CREATE INDEX calls_recorded ON calls (recorded_at);

CREATE TABLE spans (
    trace_id   TEXT NOT NULL,
    span_id    TEXT NOT NULL,
    parent_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    error      TEXT NOT NULL,
    attributes TEXT NOT NULL,
    PRIMARY KEY (trace_id, span_id)
);
CREATE INDEX spans_started ON spans (started_at);

-- The id is that of what cost money, and sorts by time.
CREATE TABLE ledger (
    id            TEXT PRIMARY KEY,
    at            BIGINT NOT NULL,
    kind          TEXT NOT NULL,              -- call
    environment   TEXT NOT NULL,
    business_unit TEXT NOT NULL,
    workflow      TEXT NOT NULL,
    model         TEXT NOT NULL,
    deployment    TEXT NOT NULL,
    nanos_usd     BIGINT NOT NULL,
    priced        BIGINT NOT NULL,
    usage_source  TEXT NOT NULL,
    price_id      TEXT NOT NULL
);

CREATE TABLE usage_hourly (
    hour               BIGINT NOT NULL,       -- its first microsecond
    environment        TEXT NOT NULL,
    business_unit      TEXT NOT NULL,
    workflow           TEXT NOT NULL,
    surface            TEXT NOT NULL,
    model              TEXT NOT NULL,
    deployment         TEXT NOT NULL,
    calls              BIGINT NOT NULL,
    errors             BIGINT NOT NULL,
    unpriced           BIGINT NOT NULL,
    input_tokens       BIGINT NOT NULL,
    cache_read_tokens  BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    output_tokens      BIGINT NOT NULL,
    reasoning_tokens   BIGINT NOT NULL,
    nanos_usd          BIGINT NOT NULL,
    latency            TEXT NOT NULL,         -- exponential histogram, scale 6, of microseconds: {"bucket":count}
    PRIMARY KEY (hour, environment, business_unit, workflow, surface, model, deployment)
);

-- How far each gateway's journal has been brought into this database; moves in the transaction of the rows.
CREATE TABLE journal_positions (
    journal_id TEXT PRIMARY KEY,
    position   TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Calls that were admitted in a journal before its position and have not ended: in flight, or cut by a crash.
CREATE TABLE calls_open (
    call_id    TEXT PRIMARY KEY,
    journal_id TEXT NOT NULL,
    segment    BIGINT NOT NULL,               -- of the journal, in which the call was admitted
    admission  BYTEA NOT NULL                 -- its record
);
CREATE INDEX calls_open_journal ON calls_open (journal_id);

-- +goose Down
DROP TABLE calls_open;
DROP TABLE journal_positions;
DROP TABLE usage_hourly;
DROP TABLE ledger;
DROP TABLE spans;
DROP TABLE calls;
DROP TABLE file_batches;
DROP TABLE files;
DROP TABLE changes;
DROP TABLE vectors;
DROP TABLE version_chunks;
DROP TABLE chunks;
DROP TABLE run_steps;
DROP TABLE runs;
DROP TABLE versions;
DROP TABLE source_items;
DROP TABLE documents;
DROP TABLE sources;
DROP TABLE generations;
DROP TABLE collections;
DROP TABLE audit;
DROP TABLE keys;
DROP TABLE settings;
