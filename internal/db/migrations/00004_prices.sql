-- +goose Up
-- Prices that were imported. One goes before the list in the binary for the time that it covers.
CREATE TABLE prices (
    provider    TEXT NOT NULL,
    model       TEXT NOT NULL,
    valid_from  BIGINT NOT NULL,              -- 0 is always
    valid_until BIGINT NOT NULL,              -- the first moment at which it is no longer true; 0 is never
    price       TEXT NOT NULL,                -- the row as JSON
    source      TEXT NOT NULL,
    as_of       BIGINT NOT NULL,
    imported_at BIGINT NOT NULL,
    imported_by TEXT NOT NULL,
    PRIMARY KEY (provider, model, valid_from)
);

ALTER TABLE usage_hourly ADD COLUMN cache_write_long_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_hourly ADD COLUMN audio_input_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_hourly ADD COLUMN audio_output_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_hourly ADD COLUMN images BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE usage_hourly DROP COLUMN images;
ALTER TABLE usage_hourly DROP COLUMN audio_output_tokens;
ALTER TABLE usage_hourly DROP COLUMN audio_input_tokens;
ALTER TABLE usage_hourly DROP COLUMN cache_write_long_tokens;
DROP TABLE prices;
