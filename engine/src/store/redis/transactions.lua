-- Flashlane's transactions: the functions themselves. Appended to `rows.lua`.

-- epoch seq turns at, then for each order: number member tier units offer rest
local function commit(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  local at = args[4]
  local stale = sold_by(sale, args)
  if stale and stale[1] == 'LOST' then return stale end
  local was, unreadable = stored(keys, sale, args, 5, 6)
  if not was then return unreadable end
  local change, verdicts, is_new = changes(), {}, false
  for i = 5, #args, 6 do
    local order = {epoch = args[1], number = args[i], member = args[i + 1], tier = args[i + 2],
      units = tonumber(args[i + 3]), settled_at = at, changed_at = at, rest = args[i + 5]}
    local known = was.orders[order.number]
    if known then
      known, refusal = read_record(order.number, known)
      if not known then return refusal end
    end
    local known_epoch = known and known.epoch
    if known_epoch == args[1] then
      verdicts[#verdicts + 1] = known.status .. ' ' .. known.changed_at
    elseif stale then
      verdicts[#verdicts + 1] = 'fenced'
    elseif known then
      return {'DAMAGED', 'order ' .. order.number .. ' was given out by epoch ' .. known_epoch ..
        ' and again'}
    else
      local holder = raise_limit(was.holders[order.member], sale, order.tier)
      local fits = holder.units + order.units <= holder.limit and order.units <= sale.left
      order.status = fits and 'confirmed' or 'released'
      decide(change, sale, was, order)
      if args[i + 4] == '1' then change.left[order.member] = true end
      verdicts[#verdicts + 1] = order.status .. ' ' .. at
      is_new = true
    end
  end
  if is_new then write(keys, sale, change) end
  return reply('OK', sale, unpack(verdicts))
end

local WAITS = {join = true, leave = true, dissolve = true}

-- Reads what is stored of the members and orders that `args` name, with four arguments for each
-- change.
local function stored_of(keys, args)
  local numbers, members, seen = {}, {}, {}
  for i = 5, #args, 4 do
    local list = WAITS[args[i]] and members or numbers
    local name = list == members and args[i + 1] or args[i + 2]
    if not seen[name] then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  local orders, refusal, of_orders = {}, nil, {}
  for number, text in pairs(kept_by(keys.orders, numbers)) do
    if text then
      orders[number], refusal = read_record(number, text)
      if refusal then return nil, refusal end
      of_orders[#of_orders + 1] = orders[number].member
    end
  end
  local holders = {}
  for member, text in pairs(kept_by(keys.holders, of_orders)) do
    local units, limit, newest = string.match(text or '', '^(%d+) (%d+) (%d+)$')
    if not units then return damaged('the holdings of ' .. member .. ' read ' .. tostring(text)) end
    holders[member] = {units = tonumber(units), limit = tonumber(limit), newest = newest}
  end
  return {orders = orders, holders = holders, waiting = kept_by(keys.waiting, members)}
end

-- epoch seq turns at, then for each change four: step epoch number -, join member wish -, leave
-- member - -, dissolve - - -
local function change(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  refusal = sold_by(sale, args)
  if refusal then return refusal end
  local was, unreadable = stored_of(keys, args)
  if not was then return unreadable end
  -- A call that was delayed on its way must not undo a call that was made after it. A refund that found
  -- nothing to refund must not find something when its call comes once more by itself.
  for i = 5, #args, 4 do
    if (WAITS[args[i]] and sale.turns > tonumber(args[3]))
        or (args[i] == 'refund' and sale.seq > tonumber(args[2])) then
      return reply('STALE', sale)
    end
  end
  local made, answers, is_new = changes(), {}, false
  for i = 5, #args, 4 do
    local kind, name = args[i], args[i + 1]
    if kind == 'join' then
      if not was.waiting[name] then
        was.waiting[name] = args[i + 2]
        made.joined[name], made.left[name], is_new = args[i + 2], nil, true
      end
      answers[#answers + 1] = 'waits ' .. was.waiting[name]
    elseif kind == 'leave' then
      if was.waiting[name] then
        was.waiting[name] = false
        made.joined[name], made.left[name], is_new = nil, true, true
      end
      answers[#answers + 1] = 'waits not'
    elseif kind == 'dissolve' then
      is_new = is_new or sale.waiting > 0
      made.joined, made.left, made.dissolved = {}, {}, true
      for member in pairs(was.waiting) do was.waiting[member] = false end
      answers[#answers + 1] = 'waits not'
    else
      local record = was.orders[args[i + 2]]
      if not record or record.epoch ~= name then
        answers[#answers + 1] = 'order none'
      else
        local status = AFTER[kind][record.status]
        if status then
          local holder = was.holders[record.member]
          if HOLDING[record.status] and holder.units < record.units then
            return {'DAMAGED', record.member .. ' holds less than order ' .. record.number}
          end
          advance(made, sale, holder, record, {{status, args[4]}})
          is_new = true
        end
        answers[#answers + 1] = 'order ' .. table.concat({record.epoch, record.member,
          record.tier, int(record.units), record.status, record.settled_at, record.changed_at,
          record.before, record.rest}, ' ')
      end
    end
  end
  if is_new then write(keys, sale, made) end
  return reply('OK', sale, unpack(answers))
end

-- epoch seq turns, then for each order: number member tier units rest epoch status settled_at
-- changed_at
-- Puts back what the caller knows to have been stored, and moves on what is stored in an earlier
-- state. Their units are taken only from the units left.
local function restore(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  local epoch, seen = tonumber(args[1]), tonumber(args[2])
  if sale.epoch > epoch then return reply('FENCED', sale) end
  local was, unreadable = stored(keys, sale, args, 4, 9)
  if not was then return unreadable end
  local change, had = changes(), sale.seq
  -- Entries up to `seen` were told to others: the entries of what is put back come after them.
  sale.seq = math.max(sale.seq, seen)
  for i = 4, #args, 9 do
    local order = {number = args[i], member = args[i + 1], tier = args[i + 2],
      units = tonumber(args[i + 3]), rest = args[i + 4], epoch = args[i + 5],
      status = args[i + 6], settled_at = args[i + 7], changed_at = args[i + 8]}
    local known = was.orders[order.number]
    if known then
      known, refusal = read_record(order.number, known)
      if not known then return refusal end
    end
    local steps, is_same = 0, true
    if known then
      steps = #PATHS[known.status]
      is_same = known.epoch == order.epoch and known.member == order.member
        and known.tier == order.tier and known.units == order.units and known.rest == order.rest
    end
    local is_behind = not known or leads_to(known.status, order.status)
    -- The store may be ahead of the caller. That is no damage: the answer has the tallies of the
    -- store, and the caller compares them with its own.
    local fits = is_behind or known.status == order.status or leads_to(order.status, known.status)
    if not (is_same and fits) then
      return {'DAMAGED', 'order ' .. order.number .. ' is another one in the store'}
    end
    local takes = is_behind and HOLDING[order.status] and not (known and HOLDING[known.status])
    if takes and order.units > sale.left then return {'SHORT', int(sale.left)} end
    if not known then
      raise_limit(was.holders[order.member], sale, order.tier)
      decide(change, sale, was, order)
    elseif is_behind then
      advance(change, sale, was.holders[order.member], known, path(order, steps))
    end
  end
  sale.epoch = math.max(sale.epoch, epoch)
  sale.turns = math.max(sale.turns, tonumber(args[3]))
  if #change.entries > 0 then write(keys, sale, change) end
  if had < seen then
    local before, to = string.match(sale.gaps, LAST_GAP)
    local gaps, after = sale.gaps, int(had)
    if tonumber(to) == had then
      -- Nothing was told since the last gap: it becomes longer.
      gaps, after = string.gsub(gaps, LAST_GAP, ''), before
    end
    redis.call('HSET', keys.sale, 'gaps', gaps .. after .. '-' .. int(seen) .. ' ')
  end
  redis.call('HSET', keys.sale, 'epoch', int(sale.epoch), 'turns', int(sale.turns), 'seq',
    int(sale.seq))
  local sums = {}
  for _, status in ipairs(STATES) do sums[#sums + 1] = tally_text(sale.tallies[status]) end
  return reply('OK', sale, int(sale.stock), int(sale.left), unpack(sums))
end

-- terms stock limits
local function create(keys, args)
  for _, name in ipairs(KEYS) do
    local key = keys[name]
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and name ~= 'sale' then
      -- A sale that no process has opened yet has no other keys.
      return {'EXISTS'}
    elseif found ~= 'none' and found ~= 'hash' then
      return {'DAMAGED', key .. ' is a ' .. found .. ' and not a hash'}
    end
  end
  local row = redis.call('HMGET', keys.sale, 'terms', 'epoch')
  if row[1] then
    -- The call is repeated, and no process has opened the sale since.
    return (row[1] == args[1] and row[2] == '0') and {'OK', '0', '0'} or {'EXISTS'}
  end
  local new = {'terms', args[1], 'epoch', '0', 'opener', '', 'stock', args[2], 'limits', args[3],
    'left', args[2], 'paused', '0', 'closed', '0', 'next', '1', 'seq', '0', 'turns', '0', 'waiting',
    '0'}
  for _, status in ipairs(STATES) do
    new[#new + 1] = status
    new[#new + 1] = NO_ORDERS
  end
  redis.call('HSET', keys.sale, unpack(new))
  return {'OK', '0', '0'}
end

-- opener: a repeated call of the same opener returns the same epoch
local function open(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  if redis.call('HGET', keys.sale, 'opener') ~= args[1] then
    -- The epoch is at least the time in milliseconds, so that it is not given out again if this
    -- store's history is lost.
    local now = redis.call('TIME')
    local now_ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
    sale.epoch = math.max(sale.epoch + 1, now_ms)
    redis.call('HSET', keys.sale, 'epoch', int(sale.epoch), 'opener', args[1])
  end
  return reply('OK', sale, int(sale.epoch))
end

-- epoch seq turns
local function still_sells(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  return sold_by(sale, args) or reply('OK', sale)
end

-- epoch seq turns field value
local function switch(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  refusal = sold_by(sale, args)
  if refusal then return refusal end
  -- A call that was delayed on its way must not undo a call that was made after it.
  if sale.turns > tonumber(args[3]) then return reply('STALE', sale) end
  sale.turns = sale.turns + 1
  redis.call('HSET', keys.sale, args[4], args[5], 'turns', int(sale.turns))
  return reply('OK', sale)
end

-- epoch seq turns key add most
-- A caller that has seen more than this store has is answered, too: a top-up that was lost must be
-- made again before the orders that took its units can be put back.
local function top_up(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  if sale.epoch > tonumber(args[1]) then return reply('FENCED', sale) end
  local done = redis.call('HGET', keys.top_ups, args[4])
  local done_add = done and string.match(done, '^(%d+) ')
  -- The answer is the sale's total now and not the one after that top-up: others may have come
  -- since.
  if done_add == args[5] then return reply('OK', sale, int(sale.stock)) end
  if done then return {'CONFLICT', done_add or '0'} end
  local add = tonumber(args[5])
  local total = sale.stock + add
  if total > tonumber(args[6]) then return {'TOO_MUCH', int(sale.stock)} end
  sale.turns = sale.turns + 1
  redis.call('HSET', keys.top_ups, args[4], args[5] .. ' ' .. int(total))
  redis.call('HSET', keys.sale, 'stock', int(total), 'left', int(sale.left + add), 'turns',
    int(sale.turns))
  return reply('OK', sale, int(total))
end

-- Returns the rights that Flashlane needs on a sale's keys and the caller lacks. The keys come as
-- arguments and not as keys: their slots may be elsewhere.
local function lacks(_, args)
  local keys = named(args)
  local needed = {{'HGET', keys.orders, 'x'}, {'HGETALL', keys.sale}, {'HMGET', keys.orders, 'x'},
    {'HSET', keys.sale, 'x', 'x'}, {'HLEN', keys.orders}, {'HSCAN', keys.holders, '0'},
    {'XADD', keys.outbox, '*', 'x', 'x'}, {'XRANGE', keys.outbox, '-', '+'},
    {'XINFO', 'STREAM', keys.outbox}, {'TYPE', keys.sale}, {'EXISTS', keys.sale}, {'TIME'},
    {'SADD', 'flashlane:sales', 'x'}, {'HDEL', keys.waiting, 'x'}, {'UNLINK', keys.waiting}, {'SREM', 'flashlane:blocked', 'x'},
    {'SMEMBERS', 'flashlane:sales'}}
  local lacking = {'OK', '0', '0'}
  for _, call in ipairs(needed) do
    if not redis.acl_check_cmd(unpack(call)) then lacking[#lacking + 1] = call[1] end
  end
  return lacking
end

local function register(name, run)
  redis.register_function('@LIBRARY@_' .. name, function(keys, args) return run(named(keys), args) end)
end

register('create', create)
register('open', open)
register('still_sells', still_sells)
register('commit', commit)
register('change', change)
register('restore', restore)
register('switch', switch)
register('top_up', top_up)
register('lacks', lacks)
