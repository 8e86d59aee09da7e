-- KEYS: stock, held, orders; ARGV: member, tier, units, limit.
-- Answers with the order's number, -1 if the sale is sold out, or -2 if the member is at the limit.
local units = tonumber(ARGV[3])
if tonumber(redis.call('GET', KEYS[1])) < units then return -1 end
local held = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
if held + units > tonumber(ARGV[4]) then return -2 end
redis.call('DECRBY', KEYS[1], units)
redis.call('HINCRBY', KEYS[2], ARGV[1], units)
local number = redis.call('HLEN', KEYS[3]) + 1
redis.call('HSET', KEYS[3], number, ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
return number
