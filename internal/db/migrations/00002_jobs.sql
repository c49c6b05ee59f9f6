-- +goose Up
-- When each schedule last began a period: whoever moves it forward enqueues the period's job in the same transaction.
CREATE TABLE schedules (
    name    TEXT PRIMARY KEY,
    last_at BIGINT NOT NULL
);

-- The processes that run jobs, and when each last said so.
CREATE TABLE workers (
    id      TEXT PRIMARY KEY,
    seen_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE workers;
DROP TABLE schedules;
