-- +goose Up
-- Who may read a file before it is a document: those cleared as far as who uploaded it. Of older files that is not known.
ALTER TABLE files ADD COLUMN tier BIGINT NOT NULL DEFAULT 4;

-- +goose Down
ALTER TABLE files DROP COLUMN tier;
