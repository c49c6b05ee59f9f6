-- +goose Up
-- Responses that callers may continue. A conversation is the way from one of them back over previous_id.
CREATE TABLE responses (
    id          TEXT PRIMARY KEY,
    environment TEXT NOT NULL,
    workflow    TEXT NOT NULL,               -- whose it is
    key_id      TEXT NOT NULL,               -- whose it is where there is no workflow, else empty
    clearance   BIGINT NOT NULL,             -- of the key that made it: who has less does not see it
    previous_id TEXT NOT NULL,               -- the response it continues, or empty
    turn        BIGINT NOT NULL,             -- its place in the conversation, from 1
    created_at  BIGINT NOT NULL,
    used_at     BIGINT NOT NULL,             -- when it was made or continued last: it is kept from then on
    input       TEXT NOT NULL,               -- the items of this turn, a JSON array
    response    TEXT NOT NULL                -- the object as it was given, without the passages of searches
);
CREATE INDEX responses_used ON responses (used_at);

-- The items that models made, so that a request may refer to one by its id.
CREATE TABLE response_items (
    item_id     TEXT NOT NULL,
    response_id TEXT NOT NULL,
    PRIMARY KEY (item_id, response_id)
);
CREATE INDEX response_items_response ON response_items (response_id);

-- +goose Down
DROP TABLE response_items;
DROP TABLE responses;
