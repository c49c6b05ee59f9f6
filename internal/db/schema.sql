-- The schema after all migrations, the same on SQLite and PostgreSQL. Written by: go test ./internal/db -run TestTheSchema -update

CREATE TABLE audit (
    sequence BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (sequence)
);
CREATE INDEX audit_target ON audit (target, sequence);

CREATE TABLE batch_lines (
    batch_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    custom_id TEXT NOT NULL,
    state TEXT NOT NULL,
    request TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    cut BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    answer TEXT NOT NULL,
    leased_by TEXT NOT NULL,
    leased_until BIGINT NOT NULL,
    PRIMARY KEY (batch_id, number)
);
CREATE INDEX batch_lines_by_state ON batch_lines (batch_id, state, due_at);

CREATE TABLE batches (
    id TEXT NOT NULL,
    workflow TEXT NOT NULL,
    key_id TEXT NOT NULL,
    tier BIGINT NOT NULL,
    endpoint TEXT NOT NULL,
    input_file TEXT NOT NULL,
    output_file TEXT NOT NULL,
    error_file TEXT NOT NULL,
    completion_window TEXT NOT NULL,
    metadata TEXT NOT NULL,
    status TEXT NOT NULL,
    ends_as TEXT NOT NULL,
    errors TEXT NOT NULL,
    total BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    has_output BIGINT NOT NULL,
    has_errors BIGINT NOT NULL,
    nanos_usd BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    tiers TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    in_progress_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    finalizing_at BIGINT NOT NULL,
    cancelling_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    outputs_expire_at BIGINT NOT NULL,
    leased_by TEXT NOT NULL,
    leased_until BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX batches_at_work ON batches (ended_at, status);
CREATE INDEX batches_by_workflow ON batches (workflow, id);

CREATE TABLE bodies (
    call_id TEXT NOT NULL,
    what BIGINT NOT NULL,
    block_id TEXT NOT NULL,
    frame BIGINT NOT NULL,
    place BIGINT NOT NULL,
    PRIMARY KEY (call_id, what)
);

CREATE TABLE body_blocks (
    id TEXT NOT NULL,
    object TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    first_call TEXT NOT NULL,
    last_call TEXT NOT NULL,
    sealed_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX body_blocks_expiry ON body_blocks (expires_at);

CREATE TABLE budget_accounts (
    account TEXT NOT NULL,
    period BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    scope TEXT NOT NULL,
    unit TEXT NOT NULL,
    spent BIGINT NOT NULL,
    limit_amount BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    wanted_at BIGINT NOT NULL DEFAULT 0,
    wanted_by TEXT NOT NULL DEFAULT '',
    verify_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (account, period)
);
CREATE INDEX budget_accounts_ends ON budget_accounts (ends_at);
CREATE INDEX budget_accounts_wanted ON budget_accounts (wanted_at) WHERE wanted_at > 0;

CREATE TABLE budget_alerts (
    account TEXT NOT NULL,
    period BIGINT NOT NULL,
    percent BIGINT NOT NULL,
    at BIGINT NOT NULL,
    delivered BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (account, period, percent)
);
CREATE INDEX budget_alerts_waiting ON budget_alerts (at) WHERE delivered = 0;

CREATE TABLE budget_leases (
    account TEXT NOT NULL,
    period BIGINT NOT NULL,
    lease TEXT NOT NULL,
    amount BIGINT NOT NULL,
    posted BIGINT NOT NULL,
    version BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (account, period, lease)
);
CREATE INDEX budget_leases_lease ON budget_leases (lease);

CREATE TABLE calls (
    id TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    workflow TEXT NOT NULL,
    model TEXT NOT NULL,
    outcome TEXT NOT NULL,
    nanos_usd BIGINT NOT NULL,
    priced BIGINT NOT NULL,
    trace_id TEXT NOT NULL,
    detail TEXT NOT NULL,
    recorded_at BIGINT NOT NULL,
    prompt TEXT NOT NULL DEFAULT '',
    prompt_version BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id)
);
CREATE INDEX calls_prompt ON calls (prompt, id) WHERE prompt <> '';
CREATE INDEX calls_recorded ON calls (recorded_at);
CREATE INDEX calls_trace ON calls (trace_id);

CREATE TABLE calls_open (
    call_id TEXT NOT NULL,
    journal_id TEXT NOT NULL,
    segment BIGINT NOT NULL,
    admission BYTEA NOT NULL,
    PRIMARY KEY (call_id)
);
CREATE INDEX calls_open_journal ON calls_open (journal_id);

CREATE TABLE changes (
    collection_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    document_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (collection_id, sequence)
);

CREATE TABLE chunks (
    id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    collection_id TEXT NOT NULL,
    heading TEXT NOT NULL,
    text TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT '',
    tokens BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX chunks_document ON chunks (document_id);

CREATE TABLE collections (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    title TEXT NOT NULL DEFAULT '',
    owner TEXT NOT NULL,
    workflow TEXT NOT NULL DEFAULT '',
    config TEXT NOT NULL,
    metadata TEXT NOT NULL DEFAULT '{}',
    generation_id TEXT NOT NULL,
    epoch BIGINT NOT NULL DEFAULT 0,
    sequence BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    missing_since BIGINT,
    deleted_at BIGINT,
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX collections_name ON collections (name) WHERE deleted_at IS NULL;

CREATE TABLE documents (
    id TEXT NOT NULL,
    collection_id TEXT NOT NULL,
    source TEXT NOT NULL,
    source_key TEXT NOT NULL,
    title TEXT NOT NULL DEFAULT '',
    tier BIGINT NOT NULL,
    business_unit TEXT NOT NULL DEFAULT '',
    type TEXT NOT NULL DEFAULT '',
    date TEXT NOT NULL DEFAULT '',
    tags TEXT NOT NULL DEFAULT '[]',
    metadata TEXT NOT NULL DEFAULT '{}',
    live_version_id TEXT,
    last_number BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX documents_key ON documents (collection_id, source, source_key) WHERE deleted_at IS NULL;
CREATE INDEX documents_list ON documents (collection_id, id);

CREATE TABLE erasure_documents (
    erasure_id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (erasure_id, document_id)
);
CREATE INDEX erasure_documents_state ON erasure_documents (state);

CREATE TABLE erasures (
    id TEXT NOT NULL,
    collection_id TEXT NOT NULL,
    collection TEXT NOT NULL,
    fields TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    reason TEXT NOT NULL,
    ordered_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX erasures_open ON erasures (finished_at);

CREATE TABLE file_batches (
    id TEXT NOT NULL,
    collection_id TEXT NOT NULL,
    documents TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    cancelled_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id)
);

CREATE TABLE files (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    purpose TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    media_type TEXT NOT NULL DEFAULT '',
    bucket_key TEXT NOT NULL,
    bucket_version TEXT NOT NULL,
    workflow TEXT NOT NULL,
    tier BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX files_workflow ON files (workflow, id);

CREATE TABLE generations (
    id TEXT NOT NULL,
    collection_id TEXT NOT NULL,
    model TEXT NOT NULL,
    dimensions BIGINT NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    cut BIGINT NOT NULL DEFAULT 0,
    chunking TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    started_by TEXT NOT NULL DEFAULT '',
    phase TEXT NOT NULL DEFAULT '',
    cursor TEXT NOT NULL DEFAULT '',
    position BIGINT NOT NULL DEFAULT 0,
    total BIGINT NOT NULL DEFAULT 0,
    done BIGINT NOT NULL DEFAULT 0,
    embedded BIGINT NOT NULL DEFAULT 0,
    embed_us BIGINT NOT NULL DEFAULT 0,
    refused BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL DEFAULT 0,
    due_at BIGINT NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    gate TEXT NOT NULL DEFAULT '',
    auto_switch BIGINT NOT NULL DEFAULT 0,
    leased_by TEXT NOT NULL DEFAULT '',
    leased_until BIGINT NOT NULL DEFAULT 0,
    ready_at BIGINT NOT NULL DEFAULT 0,
    live_at BIGINT NOT NULL DEFAULT 0,
    kept_until BIGINT NOT NULL DEFAULT 0,
    reclaimed_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id)
);
CREATE INDEX generations_collection ON generations (collection_id, created_at);
CREATE INDEX generations_open ON generations (state) WHERE reclaimed_at = 0;

CREATE TABLE holds (
    document_id TEXT NOT NULL,
    collection_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    placed_by TEXT NOT NULL,
    placed_at BIGINT NOT NULL,
    PRIMARY KEY (document_id)
);
CREATE INDEX holds_collection ON holds (collection_id);

CREATE TABLE journal_positions (
    journal_id TEXT NOT NULL,
    position TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (journal_id)
);

CREATE TABLE keys (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    workflow TEXT NOT NULL DEFAULT '',
    clearance BIGINT NOT NULL,
    hash TEXT NOT NULL,
    hint TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    last_used_at BIGINT,
    PRIMARY KEY (id),
    UNIQUE (hash)
);

CREATE TABLE ledger (
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    environment TEXT NOT NULL,
    business_unit TEXT NOT NULL,
    workflow TEXT NOT NULL,
    model TEXT NOT NULL,
    deployment TEXT NOT NULL,
    nanos_usd BIGINT NOT NULL,
    priced BIGINT NOT NULL,
    usage_source TEXT NOT NULL,
    price_id TEXT NOT NULL,
    key_id TEXT NOT NULL DEFAULT '',
    user_id TEXT NOT NULL DEFAULT '',
    tokens BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id)
);
CREATE INDEX ledger_lost ON ledger (at) WHERE kind = 'lost';
CREATE INDEX ledger_user ON ledger (user_id, at) WHERE user_id <> '';

CREATE TABLE manifests (
    version_id TEXT NOT NULL,
    cut BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    chunk_id TEXT NOT NULL,
    page_from BIGINT NOT NULL DEFAULT 0,
    page_to BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (version_id, cut, ordinal)
);
CREATE INDEX manifests_chunk ON manifests (chunk_id);

CREATE TABLE pauses (
    collection_id TEXT NOT NULL,
    source TEXT NOT NULL,
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    reason TEXT NOT NULL,
    paused_by TEXT NOT NULL,
    paused_at BIGINT NOT NULL,
    PRIMARY KEY (collection_id, source, run_id)
);

CREATE TABLE prices (
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_until BIGINT NOT NULL,
    price TEXT NOT NULL,
    source TEXT NOT NULL,
    as_of BIGINT NOT NULL,
    imported_at BIGINT NOT NULL,
    imported_by TEXT NOT NULL,
    PRIMARY KEY (provider, model, valid_from)
);

CREATE TABLE prompt_labels (
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    version BIGINT NOT NULL,
    other BIGINT NOT NULL,
    percent BIGINT NOT NULL,
    moved_at BIGINT NOT NULL,
    PRIMARY KEY (name, label)
);

CREATE TABLE prompt_moves (
    name TEXT NOT NULL,
    move BIGINT NOT NULL,
    label TEXT NOT NULL,
    kind TEXT NOT NULL,
    from_version BIGINT NOT NULL,
    from_other BIGINT NOT NULL,
    from_percent BIGINT NOT NULL,
    to_version BIGINT NOT NULL,
    to_other BIGINT NOT NULL,
    to_percent BIGINT NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    moved_at BIGINT NOT NULL,
    PRIMARY KEY (name, move)
);

CREATE TABLE prompt_versions (
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    content TEXT NOT NULL,
    hash TEXT NOT NULL,
    author TEXT NOT NULL,
    author_id TEXT NOT NULL,
    note TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name, version),
    UNIQUE (name, hash)
);

CREATE TABLE prompts (
    name TEXT NOT NULL,
    latest BIGINT NOT NULL,
    moves BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE response_items (
    item_id TEXT NOT NULL,
    response_id TEXT NOT NULL,
    PRIMARY KEY (item_id, response_id)
);
CREATE INDEX response_items_response ON response_items (response_id);

CREATE TABLE responses (
    id TEXT NOT NULL,
    environment TEXT NOT NULL,
    workflow TEXT NOT NULL,
    key_id TEXT NOT NULL,
    clearance BIGINT NOT NULL,
    previous_id TEXT NOT NULL,
    turn BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    input TEXT NOT NULL,
    response TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX responses_used ON responses (used_at);

CREATE TABLE run_steps (
    run_id TEXT NOT NULL,
    step TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    detail TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (run_id, step)
);

CREATE TABLE runs (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    collection_id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    version_id TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL,
    step TEXT NOT NULL,
    priority BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL DEFAULT 0,
    crashes BIGINT NOT NULL DEFAULT 0,
    leased_by TEXT NOT NULL DEFAULT '',
    leased_until BIGINT NOT NULL DEFAULT 0,
    due_at BIGINT NOT NULL,
    error_code TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    trace_id TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    finished_at BIGINT,
    PRIMARY KEY (id)
);
CREATE INDEX runs_document ON runs (document_id, created_at);
CREATE INDEX runs_state ON runs (state, due_at);
CREATE INDEX runs_version ON runs (version_id);

CREATE TABLE schedules (
    name TEXT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE settings (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE source_items (
    source_id TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    identity TEXT NOT NULL DEFAULT '',
    sha256 TEXT NOT NULL,
    sidecar TEXT NOT NULL DEFAULT '',
    document_id TEXT NOT NULL,
    PRIMARY KEY (source_id, key)
);

CREATE TABLE sources (
    id TEXT NOT NULL,
    collection_id TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    message TEXT NOT NULL DEFAULT '',
    held TEXT NOT NULL DEFAULT '',
    cursor TEXT NOT NULL DEFAULT '',
    scanned_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX sources_name ON sources (collection_id, name);

CREATE TABLE spans (
    trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL,
    parent_id TEXT NOT NULL,
    name TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    error TEXT NOT NULL,
    attributes TEXT NOT NULL,
    PRIMARY KEY (trace_id, span_id)
);
CREATE INDEX spans_started ON spans (started_at);

CREATE TABLE usage_hourly (
    hour BIGINT NOT NULL,
    environment TEXT NOT NULL,
    business_unit TEXT NOT NULL,
    workflow TEXT NOT NULL,
    surface TEXT NOT NULL,
    model TEXT NOT NULL,
    deployment TEXT NOT NULL,
    calls BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    nanos_usd BIGINT NOT NULL,
    latency TEXT NOT NULL,
    cache_write_long_tokens BIGINT NOT NULL DEFAULT 0,
    audio_input_tokens BIGINT NOT NULL DEFAULT 0,
    audio_output_tokens BIGINT NOT NULL DEFAULT 0,
    images BIGINT NOT NULL DEFAULT 0,
    image_input_tokens BIGINT NOT NULL DEFAULT 0,
    characters BIGINT NOT NULL DEFAULT 0,
    seconds BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, environment, business_unit, workflow, surface, model, deployment)
);

CREATE TABLE vectors (
    generation_id TEXT NOT NULL,
    chunk_id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    vector BYTEA NOT NULL,
    PRIMARY KEY (generation_id, chunk_id)
);
CREATE INDEX vectors_document ON vectors (document_id);

CREATE TABLE versions (
    id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    collection_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    state TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    media_type TEXT NOT NULL DEFAULT '',
    bucket_key TEXT NOT NULL,
    bucket_version TEXT NOT NULL,
    metadata TEXT NOT NULL DEFAULT '{}',
    extracted TEXT NOT NULL DEFAULT '{}',
    derived BIGINT NOT NULL DEFAULT 0,
    pages BIGINT NOT NULL DEFAULT 0,
    partial BIGINT NOT NULL DEFAULT 0,
    warnings TEXT NOT NULL DEFAULT '[]',
    created_at BIGINT NOT NULL,
    live_at BIGINT,
    PRIMARY KEY (id)
);
CREATE INDEX versions_derived ON versions (state) WHERE derived = 1;
CREATE UNIQUE INDEX versions_number ON versions (document_id, number);
CREATE INDEX versions_state ON versions (collection_id, state);

CREATE TABLE workers (
    id TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);
