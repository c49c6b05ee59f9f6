-- +goose Up
-- Prompts: numbered versions that never change, and the labels that say which of them is in force.
CREATE TABLE prompts (
    name       TEXT PRIMARY KEY,
    latest     BIGINT NOT NULL,               -- the number of the newest version; they are numbered from 1 without gaps
    moves      BIGINT NOT NULL,               -- how many moves of labels there were
    created_at BIGINT NOT NULL
);

CREATE TABLE prompt_versions (
    name       TEXT NOT NULL,
    version    BIGINT NOT NULL,
    content    TEXT NOT NULL,                 -- as JSON
    hash       TEXT NOT NULL,                 -- SHA-256 of the content: the same content is the same version
    author     TEXT NOT NULL,                 -- the name of the key
    author_id  TEXT NOT NULL,
    note       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name, version),
    UNIQUE (name, hash)
);

CREATE TABLE prompt_labels (
    name     TEXT NOT NULL,
    label    TEXT NOT NULL,
    version  BIGINT NOT NULL,
    other    BIGINT NOT NULL,                 -- a version that gets a share of the calls; 0 is none
    percent  BIGINT NOT NULL,                 -- that share
    moved_at BIGINT NOT NULL,
    PRIMARY KEY (name, label)
);

CREATE TABLE prompt_moves (
    name         TEXT NOT NULL,
    move         BIGINT NOT NULL,             -- numbered from 1 for each prompt
    label        TEXT NOT NULL,
    kind         TEXT NOT NULL,               -- label, rollout, rollback
    from_version BIGINT NOT NULL,             -- 0 where the label was new
    from_other   BIGINT NOT NULL,
    from_percent BIGINT NOT NULL,
    to_version   BIGINT NOT NULL,
    to_other     BIGINT NOT NULL,
    to_percent   BIGINT NOT NULL,
    reason       TEXT NOT NULL,
    actor        TEXT NOT NULL,               -- the name of the key
    actor_id     TEXT NOT NULL,
    moved_at     BIGINT NOT NULL,
    PRIMARY KEY (name, move)
);

ALTER TABLE calls ADD COLUMN prompt TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN prompt_version BIGINT NOT NULL DEFAULT 0;
CREATE INDEX calls_prompt ON calls (prompt, id) WHERE prompt <> '';

-- +goose Down
DROP INDEX calls_prompt;
ALTER TABLE calls DROP COLUMN prompt_version;
ALTER TABLE calls DROP COLUMN prompt;
DROP TABLE prompt_moves;
DROP TABLE prompt_labels;
DROP TABLE prompt_versions;
DROP TABLE prompts;
