#!lua name=@LIBRARY@
-- Flashlane's transactions. A function reads, checks and decides everything first; from its first
-- write on, nothing can fail. A script is isolated and not rolled back, so this is what makes a call
-- all or nothing.
--
-- Keys, all with the hash tag of the sale:
--   1 sale      hash    terms limits epoch opener stock left paused closed next seq turns confirmed
--                       released gaps
--   2 orders    hash    number -> "epoch member tier units status settled_at before reserved_at key"
--   3 holders   hash    member -> "units limit newest"
--   4 outbox    stream  id seq-0, one entry for each change of an order
--   5 top_ups   hash    key -> "add total"
-- Replies begin with a word. After OK, FENCED, LOST and STALE come two numbers that only ever grow:
-- of changes to orders (`seq`), and of turns of the operator: switches and top-ups (`turns`). A caller
-- says how far it has seen both; a store that has less has lost something.

local KINDS = {'hash', 'hash', 'hash', 'stream', 'hash'}
local TIERS = {regular = 1, silver = 2, gold = 3, platinum = 4, diamond = 5}

local function int(number)
  return string.format('%.0f', number)
end

-- Orders and units by tier, regular first: "orders units orders units ...".
local function tallies(text)
  local counts, orders = {}, 0
  for count in string.gmatch(text or '', '%d+') do
    counts[#counts + 1] = tonumber(count)
    if #counts % 2 == 1 then orders = orders + counts[#counts] end
  end
  if #counts ~= 10 then return nil, 0 end
  return counts, orders
end

local function tally_text(counts)
  local texts = {}
  for i, count in ipairs(counts) do texts[i] = int(count) end
  return table.concat(texts, ' ')
end

local function count(counts, tier, units)
  local i = 2 * TIERS[tier] - 1
  counts[i] = counts[i] + 1
  counts[i + 1] = counts[i + 1] + units
end

local function damaged(text)
  return nil, {'DAMAGED', text}
end

-- The sale's counters, once everything that this library reads or writes is what it should be.
local function head(keys)
  for i, kind in ipairs(KINDS) do
    local found = redis.call('TYPE', keys[i]).ok
    if found ~= kind and found ~= 'none' then
      return damaged(keys[i] .. ' is a ' .. found .. ' and not a ' .. kind)
    end
  end
  for _, call in ipairs({{'XADD', keys[4], '*', 'x', 'x'}, {'HSET', keys[1], 'x', 'x'}}) do
    if not redis.acl_check_cmd(unpack(call)) then return nil, {'DENIED', call[1]} end
  end
  local row = redis.call('HMGET', keys[1], 'epoch', 'stock', 'left', 'next', 'seq', 'confirmed',
    'released', 'limits', 'turns')
  if not row[1] then return nil, {'UNKNOWN_SALE'} end
  local confirmed, confirmed_orders = tallies(row[6])
  local released, released_orders = tallies(row[7])
  local sale = {epoch = tonumber(row[1]), stock = tonumber(row[2]), left = tonumber(row[3]),
    next = tonumber(row[4]), seq = tonumber(row[5]), confirmed = confirmed, released = released,
    limits = {}, turns = tonumber(row[9])}
  for limit in string.gmatch(row[8] or '', '%d+') do
    sale.limits[#sale.limits + 1] = tonumber(limit)
  end
  if not (sale.epoch and sale.stock and sale.left and sale.next and sale.seq and confirmed
      and sale.turns and released and #sale.limits == 5) then
    return damaged(keys[1] .. ' lacks a number')
  end
  local sold = 0
  for i = 2, #confirmed, 2 do sold = sold + confirmed[i] end
  if sale.stock - sale.left ~= sold then
    return damaged(keys[1] .. ' has ' .. int(sale.left) .. ' units left of ' .. int(sale.stock) ..
      ' and ' .. int(sold) .. ' sold')
  end
  local orders = confirmed_orders + released_orders
  local kept = redis.call('HLEN', keys[2])
  if kept ~= orders then
    return damaged(keys[2] .. ' holds ' .. kept .. ' orders of ' .. int(orders))
  end
  if orders > 0 and redis.call('EXISTS', keys[3]) == 0 then
    return damaged(keys[3] .. ' is gone')
  end
  if redis.call('EXISTS', keys[4]) == 1 then
    local facts = redis.call('XINFO', 'STREAM', keys[4])
    for i = 1, #facts, 2 do
      if facts[i] == 'last-generated-id' and facts[i + 1] ~= int(sale.seq) .. '-0' then
        return damaged(keys[4] .. ' ends with ' .. facts[i + 1] .. ' and not ' .. int(sale.seq) ..
          '-0')
      end
    end
  end
  return sale
end

local function reply(word, sale, ...)
  return {word, int(sale.seq), int(sale.turns), ...}
end

-- Refuses who knows of a later change than there is here, and who does not sell this sale.
local function held_by(sale, args)
  local epoch = tonumber(args[1])
  if sale.epoch < epoch or sale.seq < tonumber(args[2]) or sale.turns < tonumber(args[3]) then
    return reply('LOST', sale)
  end
  if sale.epoch > epoch then return reply('FENCED', sale) end
  return nil
end

-- What is kept under `names`, by name; false for none.
local function kept_by(key, names)
  local kept = {}
  if #names > 0 then
    for i, value in ipairs(redis.call('HMGET', key, unpack(names))) do kept[names[i]] = value end
  end
  return kept
end

-- Reads what is stored of the orders in `args` from `first` on, `width` arguments each.
local function stored(keys, sale, args, first, width)
  local numbers, members, seen = {}, {}, {}
  for i = first, #args, width do
    -- Most numbers are higher than any stored one: such an order is not known.
    if tonumber(args[i]) < sale.next then numbers[#numbers + 1] = args[i] end
    if not seen[args[i + 1]] then
      seen[args[i + 1]] = true
      members[#members + 1] = args[i + 1]
    end
  end
  local orders = kept_by(keys[2], numbers)
  local holders = {}
  for member, text in pairs(kept_by(keys[3], members)) do
    local units, limit, newest = string.match(text or '0 0 0', '^(%d+) (%d+) (%d+)$')
    if not units then return damaged('the holdings of ' .. member .. ' read ' .. text) end
    holders[member] = {units = tonumber(units), limit = tonumber(limit), newest = newest}
  end
  return {orders = orders, holders = holders}
end

-- Changes that are decided and not written yet.
local function changes()
  return {entries = {}, orders = {}, members = {}}
end

-- A member's tier may change during a sale, and orders are not decided in the order of clicks: the
-- highest limit under which an order of the member was taken holds.
local function raise_limit(holder, sale, tier)
  holder.limit = math.max(holder.limit, sale.limits[TIERS[tier]])
  return holder
end

local function decide(change, sale, was, order, status, at)
  local holder = was.holders[order.member]
  if status == 'confirmed' then
    holder.units = holder.units + order.units
    sale.left = sale.left - order.units
    count(sale.confirmed, order.tier, order.units)
  else
    count(sale.released, order.tier, order.units)
  end
  sale.seq = sale.seq + 1
  sale.next = math.max(sale.next, tonumber(order.number) + 1)
  local record = {order.epoch, order.member, order.tier, int(order.units), status, at,
    holder.newest, order.rest}
  change.orders[#change.orders + 1] = order.number
  change.orders[#change.orders + 1] = table.concat(record, ' ')
  holder.newest = order.number
  change.members[order.member] = holder
  change.entries[#change.entries + 1] = {int(sale.seq) .. '-0',
    'order', order.epoch .. '.' .. order.number, 'member', order.member, 'tier', order.tier,
    'units', int(order.units), 'status', status, 'at', at}
end

local function write(keys, sale, change)
  if #change.entries == 0 then return end
  for _, entry in ipairs(change.entries) do redis.call('XADD', keys[4], unpack(entry)) end
  redis.call('HSET', keys[2], unpack(change.orders))
  local holders = {}
  for member, holder in pairs(change.members) do
    holders[#holders + 1] = member
    holders[#holders + 1] = int(holder.units) .. ' ' .. int(holder.limit) .. ' ' .. holder.newest
  end
  redis.call('HSET', keys[3], unpack(holders))
  redis.call('HSET', keys[1], 'left', int(sale.left), 'next', int(sale.next), 'seq', int(sale.seq),
    'confirmed', tally_text(sale.confirmed), 'released', tally_text(sale.released))
end

-- epoch seq turns at, then for each order: number member tier units rest
local function commit(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  local at = args[4]
  local stale = held_by(sale, args)
  if stale and stale[1] == 'LOST' then return stale end
  local was, unreadable = stored(keys, sale, args, 5, 5)
  if not was then return unreadable end
  local change, verdicts = changes(), {}
  for i = 5, #args, 5 do
    local order = {epoch = args[1], number = args[i], member = args[i + 1], tier = args[i + 2],
      units = tonumber(args[i + 3]), rest = args[i + 4]}
    local known = was.orders[order.number]
    local known_epoch, status, settled_at
    if known then
      known_epoch, status, settled_at = string.match(known, '^(%d+) %S+ %S+ %d+ (%a+) (%d+) ')
      if not status then return {'DAMAGED', 'order ' .. order.number .. ' reads ' .. known} end
    end
    if known_epoch == args[1] then
      verdicts[#verdicts + 1] = status .. ' ' .. settled_at
    elseif stale then
      verdicts[#verdicts + 1] = 'fenced'
    elseif known then
      return {'DAMAGED', 'order ' .. order.number .. ' was given out by epoch ' .. known_epoch ..
        ' and again'}
    else
      local holder = raise_limit(was.holders[order.member], sale, order.tier)
      local fits = holder.units + order.units <= holder.limit and order.units <= sale.left
      status = fits and 'confirmed' or 'released'
      decide(change, sale, was, order, status, at)
      verdicts[#verdicts + 1] = status .. ' ' .. at
    end
  end
  write(keys, sale, change)
  return reply('OK', sale, unpack(verdicts))
end

-- epoch seq turns, then for each order: number member tier units rest epoch status settled_at
-- Puts back what the caller knows to have been stored. Takes units only from those that are left.
local function restore(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  local epoch, seen = tonumber(args[1]), tonumber(args[2])
  if sale.epoch > epoch then return reply('FENCED', sale) end
  local was, unreadable = stored(keys, sale, args, 4, 8)
  if not was then return unreadable end
  local change, had = changes(), sale.seq
  -- Entries up to `seen` were told to others: what is put back comes after them.
  sale.seq = math.max(sale.seq, seen)
  for i = 4, #args, 8 do
    local order = {epoch = args[i + 5], number = args[i], member = args[i + 1],
      tier = args[i + 2], units = tonumber(args[i + 3]), rest = args[i + 4]}
    local status, known = args[i + 6], was.orders[order.number]
    if not known then
      if status == 'confirmed' and order.units > sale.left then
        return {'SHORT', int(sale.left)}
      end
      raise_limit(was.holders[order.member], sale, order.tier)
      decide(change, sale, was, order, status, args[i + 7])
    elseif string.match(known, '^%d+ %S+ %S+ %d+ %a+ ') ~= order.epoch .. ' ' .. order.member ..
        ' ' .. order.tier .. ' ' .. int(order.units) .. ' ' .. status .. ' ' then
      return {'DAMAGED', 'order ' .. order.number .. ' is another one in the store'}
    end
  end
  write(keys, sale, change)
  if had < seen and #change.entries > 0 then
    local gaps = redis.call('HGET', keys[1], 'gaps') or ''
    redis.call('HSET', keys[1], 'gaps', gaps .. int(had) .. '-' .. int(seen) .. ' ')
  end
  if #change.entries == 0 then sale.seq = had end
  sale.epoch = math.max(sale.epoch, epoch)
  sale.turns = math.max(sale.turns, tonumber(args[3]))
  redis.call('HSET', keys[1], 'epoch', int(sale.epoch), 'turns', int(sale.turns))
  return reply('OK', sale, int(sale.stock), int(sale.left), tally_text(sale.confirmed),
    tally_text(sale.released))
end

-- terms stock limits
local function create(keys, args)
  for i, key in ipairs(keys) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and i > 1 then
      -- A sale that nobody has opened yet has no other keys.
      return {'EXISTS'}
    elseif found ~= 'none' and found ~= 'hash' then
      return {'DAMAGED', key .. ' is a ' .. found .. ' and not a hash'}
    end
  end
  local row = redis.call('HMGET', keys[1], 'terms', 'epoch')
  if row[1] then
    -- The same call again, before anyone has opened the sale.
    return (row[1] == args[1] and row[2] == '0') and {'OK', '0', '0'} or {'EXISTS'}
  end
  local none = '0 0 0 0 0 0 0 0 0 0'
  redis.call('HSET', keys[1], 'terms', args[1], 'epoch', '0', 'opener', '', 'stock', args[2],
    'limits', args[3], 'left', args[2], 'paused', '0', 'closed', '0', 'next', '1', 'seq', '0',
    'turns', '0', 'confirmed', none, 'released', none)
  return {'OK', '0', '0'}
end

-- opener: the same opener's repeated call gives the same epoch
local function open(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  if redis.call('HGET', keys[1], 'opener') ~= args[1] then
    -- Milliseconds, so that an epoch is not given out again if this store's history is lost.
    local now = redis.call('TIME')
    local now_ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
    sale.epoch = math.max(sale.epoch + 1, now_ms)
    redis.call('HSET', keys[1], 'epoch', int(sale.epoch), 'opener', args[1])
  end
  return reply('OK', sale, int(sale.epoch))
end

-- epoch seq turns
local function hold(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  return held_by(sale, args) or reply('OK', sale)
end

-- epoch seq turns field value
local function switch(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  refusal = held_by(sale, args)
  if refusal then return refusal end
  -- A call that was held up on its way must not undo one that was made after it.
  if sale.turns > tonumber(args[3]) then return reply('STALE', sale) end
  sale.turns = sale.turns + 1
  redis.call('HSET', keys[1], args[4], args[5], 'turns', int(sale.turns))
  return reply('OK', sale)
end

-- epoch seq turns key add most
-- Also for who has seen more than there is here: a top-up that was lost must be made again before the
-- orders that took its units can be put back.
local function top_up(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  if sale.epoch > tonumber(args[1]) then return reply('FENCED', sale) end
  local done = redis.call('HGET', keys[5], args[4])
  local done_add = done and string.match(done, '^(%d+) ')
  -- The sale's own total, not the one of back then: other top-ups may have come since.
  if done_add == args[5] then return reply('OK', sale, int(sale.stock)) end
  if done then return {'CONFLICT', done_add or '0'} end
  local add = tonumber(args[5])
  local total = sale.stock + add
  if total > tonumber(args[6]) then return {'TOO_MUCH', int(sale.stock)} end
  sale.turns = sale.turns + 1
  redis.call('HSET', keys[5], args[4], args[5] .. ' ' .. int(total))
  redis.call('HSET', keys[1], 'stock', int(total), 'left', int(sale.left + add), 'turns',
    int(sale.turns))
  return reply('OK', sale, int(total))
end

-- sale orders holders outbox: names of keys, not keys: their slots may be elsewhere.
-- Which of the rights that Flashlane needs on them the caller lacks.
local function lacks(_, keys)
  local needed = {{'HGET', keys[2], 'x'}, {'HGETALL', keys[1]}, {'HMGET', keys[2], 'x'},
    {'HSET', keys[1], 'x', 'x'}, {'HLEN', keys[2]}, {'HSCAN', keys[3], '0'},
    {'XADD', keys[4], '*', 'x', 'x'}, {'XRANGE', keys[4], '-', '+'}, {'XINFO', 'STREAM', keys[4]},
    {'TYPE', keys[1]}, {'EXISTS', keys[1]}, {'TIME'}, {'SADD', 'flashlane:sales', 'x'},
    {'SMEMBERS', 'flashlane:sales'}}
  local lacking = {'OK', '0', '0'}
  for _, call in ipairs(needed) do
    if not redis.acl_check_cmd(unpack(call)) then lacking[#lacking + 1] = call[1] end
  end
  return lacking
end

redis.register_function('@LIBRARY@_create', create)
redis.register_function('@LIBRARY@_open', open)
redis.register_function('@LIBRARY@_hold', hold)
redis.register_function('@LIBRARY@_commit', commit)
redis.register_function('@LIBRARY@_restore', restore)
redis.register_function('@LIBRARY@_switch', switch)
redis.register_function('@LIBRARY@_top_up', top_up)
redis.register_function('@LIBRARY@_lacks', lacks)
