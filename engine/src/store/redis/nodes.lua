-- Nodes' leases, all in one hash: name -> "process until address". `until` is by the clock of this Redis.
local LEASE = '^(%d+) (%d+) (.*)$'

-- Without arguments, or: node process lasts address, to begin a lease or to make it last longer.
-- Returns OK, the time in milliseconds, then of each node that lives its name, its process and its address.
local function renew(_, args, all)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  local rows, living, over = redis.call('HGETALL', all[1]), {}, {}
  for i = 1, #rows, 2 do
    local process, ends, address = string.match(rows[i + 1], LEASE)
    -- One that cannot be read is nobody's: it must not keep the others from renewing theirs.
    if not process or tonumber(ends) <= now then
      over[#over + 1] = rows[i]
    elseif rows[i] ~= args[1] then
      for _, word in ipairs({rows[i], process, address}) do living[#living + 1] = word end
    elseif process ~= args[2] then
      return {'ID_TAKEN', address}
    end
  end
  if not args[1] then return {'OK', int(now), unpack(living)} end
  if #over > 0 then redis.call('HDEL', all[1], unpack(over)) end
  redis.call('HSET', all[1], args[1], args[2] .. ' ' .. int(now + tonumber(args[3])) .. ' ' .. args[4])
  return {'OK', int(now), args[1], args[2], args[4], unpack(living)}
end

-- node process
local function end_lease(_, args, all)
  local lease = redis.call('HGET', all[1], args[1])
  if lease and string.match(lease, LEASE) == args[2] then redis.call('HDEL', all[1], args[1]) end
  return {'OK'}
end

