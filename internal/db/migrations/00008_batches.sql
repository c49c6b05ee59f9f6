-- +goose Up
-- Batches: files of calls that are made when there is room. The rows say how far each is; jobs only wake workers.
CREATE TABLE batches (
    id                TEXT PRIMARY KEY,
    workflow          TEXT NOT NULL,
    key_id            TEXT NOT NULL,          -- who asked: its lines are calls of this key, as long as it holds
    tier              BIGINT NOT NULL,        -- the clearance of who asked: nobody with less may read it
    endpoint          TEXT NOT NULL,          -- /v1/chat/completions
    input_file        TEXT NOT NULL,
    output_file       TEXT NOT NULL,          -- made beforehand; the files are there when the batch has ended
    error_file        TEXT NOT NULL,
    completion_window TEXT NOT NULL,
    metadata          TEXT NOT NULL,
    status            TEXT NOT NULL,
    ends_as           TEXT NOT NULL,          -- what it becomes after finalizing: completed, expired, cancelled
    errors            TEXT NOT NULL,          -- of the input, as JSON
    total             BIGINT NOT NULL,
    completed         BIGINT NOT NULL,
    failed            BIGINT NOT NULL,
    has_output        BIGINT NOT NULL,
    has_errors        BIGINT NOT NULL,
    nanos_usd         BIGINT NOT NULL,
    unpriced          BIGINT NOT NULL,        -- lines whose cost is not known
    tiers             TEXT NOT NULL,          -- lines by the service tier that was billed, as JSON
    created_at        BIGINT NOT NULL,
    in_progress_at    BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    finalizing_at     BIGINT NOT NULL,
    cancelling_at     BIGINT NOT NULL,
    ended_at          BIGINT NOT NULL,        -- 0 while it goes on
    outputs_expire_at BIGINT NOT NULL,        -- 0 is never
    leased_by         TEXT NOT NULL,          -- who writes its files
    leased_until      BIGINT NOT NULL
);

CREATE INDEX batches_by_workflow ON batches (workflow, id);
CREATE INDEX batches_at_work ON batches (ended_at, status);

CREATE TABLE batch_lines (
    batch_id     TEXT NOT NULL,
    number       BIGINT NOT NULL,             -- of the line in the file, from 1
    custom_id    TEXT NOT NULL,
    state        TEXT NOT NULL,               -- waiting, running, done, expired, cancelled
    request      TEXT NOT NULL,               -- the body; empty when it has ended
    due_at       BIGINT NOT NULL,             -- not before
    attempts     BIGINT NOT NULL,             -- tries that failed for a reason that may pass
    cut          BIGINT NOT NULL,             -- times that its worker died with it in hand
    failed       BIGINT NOT NULL,
    answer       TEXT NOT NULL,               -- the line of the output as JSON
    leased_by    TEXT NOT NULL,
    leased_until BIGINT NOT NULL,
    PRIMARY KEY (batch_id, number)
);

CREATE INDEX batch_lines_by_state ON batch_lines (batch_id, state, due_at);

ALTER TABLE usage_hourly ADD COLUMN image_input_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_hourly ADD COLUMN characters BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_hourly ADD COLUMN seconds BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE usage_hourly DROP COLUMN seconds;
ALTER TABLE usage_hourly DROP COLUMN characters;
ALTER TABLE usage_hourly DROP COLUMN image_input_tokens;
DROP TABLE batch_lines;
DROP TABLE batches;
