-- Replaces the tokens a call reserved by those it used.
-- KEYS: of each ask the hash of take.lua. ARGV: reserved, used, when they were reserved; then of each ask requests per
-- minute, tokens per minute, and how full the bucket was with the reservation on top. Returns how many tokens came free.
local minute = 60000000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local reserved, used = tonumber(ARGV[1]), tonumber(ARGV[2])
local since, freed = math.max(0, now - ARGV[3]) / minute, 0
for i, key in ipairs(KEYS) do
  local rpm, tpm, top = tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2]), tonumber(ARGV[3 * i + 3])
  local had = redis.call('HMGET', key, 'requests', 'tokens', 'at')
  local minutes = math.max(0, now - (tonumber(had[3]) or now)) / minute
  local requests = math.max(0, (tonumber(had[1]) or 0) - rpm * minutes)
  local tokens = math.max(0, (tonumber(had[2]) or 0) - tpm * minutes)
  if used > reserved then
    tokens = tokens + used - reserved
  else
    local still = math.min(reserved, math.max(0, top - tpm * since))
    local back = math.min(reserved - used, still, tokens)
    tokens, freed = tokens - back, freed + back
  end
  redis.call('HSET', key, 'requests', string.format('%.17g', requests), 'tokens', string.format('%.17g', tokens), 'at', string.format('%.0f', now))
  local longest = math.max(1, tokens / tpm, rpm > 0 and requests / rpm or 0)
  redis.call('PEXPIRE', key, math.ceil(longest * 60000) + 1000)
end
return math.ceil(freed)
