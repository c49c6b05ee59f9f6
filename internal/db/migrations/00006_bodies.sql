-- +goose Up
-- Where requests and answers are: blocks in the bucket, and what of which call is in which. A block's calls are a range of
-- ids, first_call to last_call, so that a block goes with its rows without an index of its own on them.
CREATE TABLE body_blocks (
    id         TEXT PRIMARY KEY,
    object     TEXT NOT NULL,                 -- its key in the bucket
    bytes      BIGINT NOT NULL,
    calls      BIGINT NOT NULL,               -- rows in bodies
    first_call TEXT NOT NULL,
    last_call  TEXT NOT NULL,
    sealed_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL                -- 0 is never
);
CREATE INDEX body_blocks_expiry ON body_blocks (expires_at);

CREATE TABLE bodies (
    call_id  TEXT NOT NULL,
    what     BIGINT NOT NULL,                 -- 1 the request, 2 the answer, 3 both
    block_id TEXT NOT NULL,
    frame    BIGINT NOT NULL,                 -- offset of the frame in the block
    place    BIGINT NOT NULL,                 -- offset of the record in the frame
    PRIMARY KEY (call_id, what)
);

-- +goose Down
DROP TABLE bodies;
DROP TABLE body_blocks;
