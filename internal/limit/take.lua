-- Takes a request, tokens and a slot from every ask, or nothing from any. All times are this server's, in microseconds.
-- KEYS: of each ask a hash (requests, tokens: used at the time at) and a sorted set of slots by the end of their lease.
-- ARGV: tokens, lease, the slot's id; then of each ask requests per minute, tokens per minute, slots (0: any).
-- Returns {1, now, how full each bucket of tokens is}, or {0, ask, unit, used, wait}.
local minute = 60000000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local tokens, lease, id = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local asks, worst = {}, nil

local function short(ask, unit, used, wait)
  if worst == nil or wait > worst[5] then worst = {0, ask, unit, math.ceil(used - 1e-6), wait} end
end

for i = 1, #KEYS / 2 do
  local a = {rate = KEYS[2 * i - 1], slots = KEYS[2 * i]}
  a.rpm, a.tpm, a.parallel = tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2]), tonumber(ARGV[3 * i + 3])
  local had = redis.call('HMGET', a.rate, 'requests', 'tokens', 'at')
  local minutes = math.max(0, now - (tonumber(had[3]) or now)) / minute
  a.requests = a.rpm > 0 and math.max(0, (tonumber(had[1]) or 0) - a.rpm * minutes) or 0
  a.tokens = a.tpm > 0 and math.max(0, (tonumber(had[2]) or 0) - a.tpm * minutes) or 0
  if a.parallel > 0 then
    redis.call('ZREMRANGEBYSCORE', a.slots, '-inf', now)
    local held = redis.call('ZCARD', a.slots)
    if held >= a.parallel then short(i, 'parallel', held, 0) end
  end
  local function bucket(unit, limit, asked, used)
    local over = used + asked - limit
    if limit > 0 and over > 1e-6 then short(i, unit, used, math.ceil(over / limit * minute)) end
  end
  bucket('requests_per_minute', a.rpm, 1, a.requests)
  bucket('tokens_per_minute', a.tpm, tokens, a.tokens)
  asks[i] = a
end
if worst then return worst end

local result = {1, now}
for i, a in ipairs(asks) do
  local minutes = 1
  if a.rpm > 0 then
    a.requests = a.requests + 1
    minutes = math.max(minutes, a.requests / a.rpm)
  end
  if a.tpm > 0 then
    a.tokens = a.tokens + tokens
    minutes = math.max(minutes, a.tokens / a.tpm)
  end
  if a.rpm > 0 or a.tpm > 0 then
    redis.call('HSET', a.rate, 'requests', string.format('%.17g', a.requests), 'tokens', string.format('%.17g', a.tokens), 'at', string.format('%.0f', now))
    redis.call('PEXPIRE', a.rate, math.ceil(minutes * 60000) + 1000)
  end
  if a.parallel > 0 then
    redis.call('ZADD', a.slots, string.format('%.0f', now + lease), id)
    redis.call('PEXPIRE', a.slots, math.max(redis.call('PTTL', a.slots), math.ceil(lease / 1000) + 1000))
  end
  result[i + 2] = string.format('%.17g', a.tokens)
end
return result
