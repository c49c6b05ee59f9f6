-- +goose Up
ALTER TABLE usage_hourly ADD COLUMN image_input_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_hourly ADD COLUMN characters BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_hourly ADD COLUMN seconds BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE usage_hourly DROP COLUMN seconds;
ALTER TABLE usage_hourly DROP COLUMN characters;
ALTER TABLE usage_hourly DROP COLUMN image_input_tokens;
