-- +goose Up
-- Budgets: what was spent of each account, who holds money of it, and which alerts were told. An account is one budget
-- of one spender; a period of it begins at a time. At every commit: spent + the sum of its leases <= the budget, unless
-- a provider reported more than was held for a call.

CREATE TABLE budget_accounts (
    account      TEXT NOT NULL,              -- budget/spender/definition
    period       BIGINT NOT NULL,            -- its first microsecond
    ends_at      BIGINT NOT NULL,
    scope        TEXT NOT NULL,              -- environment, business_unit, workflow, key, user
    unit         TEXT NOT NULL,              -- usd, in nano-dollars, or tokens
    spent        BIGINT NOT NULL,            -- the sum of the account's entries in the ledger
    limit_amount BIGINT NOT NULL,            -- as last seen in a configuration
    updated_at   BIGINT NOT NULL,
    wanted_at    BIGINT NOT NULL DEFAULT 0,  -- when a process last could not get what its calls needed
    wanted_by    TEXT NOT NULL DEFAULT '',   -- its lease
    verify_at    BIGINT NOT NULL DEFAULT 0,  -- from when on spent is to be summed anew at the next touch
    PRIMARY KEY (account, period)
);
CREATE INDEX budget_accounts_wanted ON budget_accounts (wanted_at) WHERE wanted_at > 0;
CREATE INDEX budget_accounts_ends ON budget_accounts (ends_at);

-- Money that one process may spend without asking. Its id names the journal in which its calls are.
CREATE TABLE budget_leases (
    account TEXT NOT NULL,
    period  BIGINT NOT NULL,
    lease   TEXT NOT NULL,
    amount  BIGINT NOT NULL,                 -- what is left of it
    posted  BIGINT NOT NULL,                 -- what its calls have used, in all
    version BIGINT NOT NULL,                 -- rises with every change
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (account, period, lease)
);
CREATE INDEX budget_leases_lease ON budget_leases (lease);

CREATE TABLE budget_alerts (
    account   TEXT NOT NULL,
    period    BIGINT NOT NULL,
    percent   BIGINT NOT NULL,               -- 0: a hard budget began to refuse
    at        BIGINT NOT NULL,
    delivered BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (account, period, percent)
);
CREATE INDEX budget_alerts_waiting ON budget_alerts (at) WHERE delivered = 0;

-- What an account is summed from. There are many users, so that each has its entries found by an index; the others are
-- found by the ids, which sort by time: an index more would double what an entry costs. The kind lost: what was held of one account (in deployment) by a process whose
-- journal is gone.
ALTER TABLE ledger ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
ALTER TABLE ledger ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
ALTER TABLE ledger ADD COLUMN tokens BIGINT NOT NULL DEFAULT 0;
CREATE INDEX ledger_user ON ledger (user_id, at) WHERE user_id <> '';
CREATE INDEX ledger_lost ON ledger (at) WHERE kind = 'lost';

-- +goose Down
DROP INDEX ledger_lost;
DROP INDEX ledger_user;
ALTER TABLE ledger DROP COLUMN tokens;
ALTER TABLE ledger DROP COLUMN user_id;
ALTER TABLE ledger DROP COLUMN key_id;
DROP TABLE budget_alerts;
DROP TABLE budget_leases;
DROP TABLE budget_accounts;
