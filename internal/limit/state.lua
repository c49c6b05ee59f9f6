-- Reads what is used. KEYS as in take.lua; ARGV: of each ask requests and tokens per minute. Returns three numbers each.
local minute = 60000000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local result = {}
for i = 1, #KEYS / 2 do
  local had = redis.call('HMGET', KEYS[2 * i - 1], 'requests', 'tokens', 'at')
  local minutes = math.max(0, now - (tonumber(had[3]) or now)) / minute
  result[3 * i - 2] = math.ceil(math.max(0, (tonumber(had[1]) or 0) - ARGV[2 * i - 1] * minutes) - 1e-6)
  result[3 * i - 1] = math.ceil(math.max(0, (tonumber(had[2]) or 0) - ARGV[2 * i] * minutes) - 1e-6)
  result[3 * i] = redis.call('ZCOUNT', KEYS[2 * i], '(' .. string.format('%.0f', now), '+inf')
end
return result
