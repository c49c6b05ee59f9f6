-- Gives slots back. KEYS: the sorted sets; ARGV: of each the slot's id.
for i, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[i]) end
return #KEYS
