-- Flashlane's transactions: the functions themselves. Appended to `rows.lua`.

-- What becomes of a new order, and why, if it is released.
local function judge(sale, holder, order, refused)
  if refused ~= '-' then return 'released', refused end
  if holder.units + order.units > holder.limit then return 'released', 'limit_reached' end
  if order.units > sale.left then return 'released', 'sold_out' end
  return order.due == '0' and 'paid' or 'confirmed', '-'
end

local function verdict_text(order)
  local why = order.status == 'released' and ' ' .. order.refunds or ''
  return order.status .. ' ' .. order.changed_at .. why
end

-- epoch seq turns at pay_by, then for each order: number member digest tier units offer due rest refused
-- `refused` says why it is to be released, whatever limit and stock say; "-" if it is not.
local function commit(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  local at, pay_by = args[4], args[5]
  local stale = sold_by(sale, args)
  if stale and stale[1] == 'LOST' then return stale end
  local was, unreadable = stored(keys, sale, args, 6, 9)
  if not was then return unreadable end
  local change, verdicts, is_new = changes(), {}, false
  local events = {confirmed = {{'confirmed', at}}, released = {{'released', at}},
    paid = {{'confirmed', at}, {'paid', at}}}
  local orders, holders, epoch = was.orders, was.holders, args[1]
  for i = 6, #args, 9 do
    local number, tier = args[i], args[i + 3]
    local known = orders[number]
    if known then
      known, refusal = read_record(number, known)
      if not known then return refusal end
    end
    local known_epoch = known and known.epoch
    if known_epoch == epoch then
      verdicts[#verdicts + 1] = verdict_text(known)
    elseif stale then
      verdicts[#verdicts + 1] = 'fenced'
    elseif known then
      return {'DAMAGED', 'order ' .. number .. ' was given out by epoch ' .. known_epoch ..
        ' and again'}
    else
      local order = {epoch = epoch, number = number, tier = tier, units = tonumber(args[i + 4]),
        settled_at = at, changed_at = at, pay_by = pay_by, due = args[i + 6], rest = args[i + 7]}
      local holder = raise_limit(holders[args[i + 2]], sale, tier)
      order.status, order.refunds = judge(sale, holder, order, args[i + 8])
      if order.status == 'released' then order.pay_by = at end
      decide(change, sale, holder, order, events[order.status])
      if args[i + 5] == '1' then change.left[holder.member] = true end
      verdicts[#verdicts + 1] = verdict_text(order)
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
      of_orders[#of_orders + 1] = orders[number].holder
    end
  end
  local holders, unreadable = holders_by_number(keys, of_orders)
  if not holders then return nil, unreadable end
  return {orders = orders, holders = holders, waiting = kept_by(keys.waiting, members)}
end

-- The most refunds that one order may have.
local REFUNDS_MAX = 100

-- What a refund, "id/amount", of a record comes to: its event, or nothing and why it cannot be; nothing
-- at all if it changes nothing.
local function refund(record, text, at)
  local id, amount = string.match(text, '^([^,/]+)/(%d+)$')
  amount = tonumber(amount)
  local refunds, back = refunds_of(record.refunds), 0
  for _, told in ipairs(refunds) do
    if told.id == id then
      if told.amount == amount then return nil end
      return nil, 'other ' .. int(told.amount)
    end
    back = back + told.amount
  end
  local due = tonumber(record.due)
  local may_go_back = math.max(due - back, 0)
  if record.status == 'refunded' or record.status == 'returned' then
    -- All of it went back, or a version before this one wrote down no refunds.
    if #refunds == 0 then return nil end
    return nil, 'more ' .. int(may_go_back)
  end
  if not AFTER.refund[record.status] then return nil end
  if amount > may_go_back then return nil, 'more ' .. int(may_go_back) end
  if amount == 0 and due > 0 then return nil, 'nothing 0' end
  if #refunds >= REFUNDS_MAX then return nil, 'many 0' end
  local status = amount == may_go_back and AFTER.refund[record.status] or record.status
  return {status, at, text}
end

-- The event to which a step or a refund of a record leads, if any.
local function event_of(record, args, i)
  if args[i] == 'refund' then return refund(record, args[i + 3], args[4]) end
  local status = AFTER[args[i]][record.status]
  return status and {status, args[4]}
end

-- epoch seq turns at, then for each change four: step epoch number -, refund epoch number id/amount,
-- join member wish -, leave member - -, dissolve - - -
local function change(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  refusal = sold_by(sale, args)
  if refusal then return refusal end
  local was, unreadable = stored_of(keys, args)
  if not was then return unreadable end
  -- A call that was delayed on its way must not undo a call that was made after it.
  for i = 5, #args, 4 do
    if WAITS[args[i]] and sale.turns > tonumber(args[3]) then return reply('STALE', sale) end
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
        local holder = was.holders[record.holder]
        local event, bad = event_of(record, args, i)
        if event then
          if HOLDING[record.status] and holder.units < record.units then
            return {'DAMAGED', holder.member .. ' holds less than order ' .. record.number}
          end
          advance(made, sale, holder, record, {event})
          is_new = true
        end
        answers[#answers + 1] = bad and 'bad ' .. bad
          or 'order ' .. holder.member .. ' ' .. record_text(record)
      end
    end
  end
  if is_new then write(keys, sale, made) end
  return reply('OK', sale, unpack(answers))
end

-- Whether an order that is stored as `was` may come to be what `is` says.
local function comes_to(was, is)
  local follows = was.refunds == '-' or is.refunds == was.refunds
    or string.sub(is.refunds, 1, #was.refunds + 1) == was.refunds .. ','
  return follows and (was.status == is.status or leads_to(was.status, is.status))
end

-- epoch seq turns, then for each order: number member digest tier units due rest epoch status
-- settled_at changed_at pay_by refunds
-- Puts back what the caller knows to have been stored, and moves on what is stored in an earlier
-- state. Their units are taken only from the units left.
local function restore(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  local epoch, seen = tonumber(args[1]), tonumber(args[2])
  if sale.epoch > epoch then return reply('FENCED', sale) end
  local was, unreadable = stored(keys, sale, args, 4, 13)
  if not was then return unreadable end
  local change, had = changes(), sale.seq
  -- Entries up to `seen` were told to others: the entries of what is put back come after them.
  sale.seq = math.max(sale.seq, seen)
  for i = 4, #args, 13 do
    local order = {number = args[i], tier = args[i + 3], units = tonumber(args[i + 4]),
      due = args[i + 5], rest = args[i + 6], epoch = args[i + 7], status = args[i + 8],
      settled_at = args[i + 9], changed_at = args[i + 10], pay_by = args[i + 11],
      refunds = args[i + 12]}
    local holder = was.holders[args[i + 2]]
    local known = was.orders[order.number]
    if known then
      known, refusal = read_record(order.number, known)
      if not known then return refusal end
    end
    local has, is_same = 0, true
    if known then
      has = entries_of(known)
      is_same = known.epoch == order.epoch and known.holder == holder.number
        and known.tier == order.tier and known.units == order.units and known.due == order.due
        and known.rest == order.rest
    end
    local events = history(order)
    local is_behind = not known or (comes_to(known, order) and #events > has)
    -- The store may be ahead of the caller. That is no damage: the answer has the tallies of the
    -- store, and the caller compares them with its own.
    local fits = is_behind or comes_to(known, order) or comes_to(order, known)
    if not (is_same and fits) then
      return {'DAMAGED', 'order ' .. order.number .. ' is another one in the store'}
    end
    local takes = is_behind and HOLDING[order.status] and not (known and HOLDING[known.status])
    if takes and order.units > sale.left then return {'SHORT', int(sale.left)} end
    if not known then
      decide(change, sale, raise_limit(holder, sale, order.tier), order, events)
    elseif is_behind then
      local missing = {}
      for nth, event in ipairs(events) do
        if nth > has then missing[#missing + 1] = event end
      end
      advance(change, sale, holder, known, missing)
    end
  end
  sale.epoch = math.max(sale.epoch, epoch)
  sale.turns = math.max(sale.turns, tonumber(args[3]))
  if #change.told > 0 then write(keys, sale, change) end
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
    int(sale.seq), 'format', FORMAT)
  local sums = {}
  for _, status in ipairs(STATES) do sums[#sums + 1] = tally_text(sale.tallies[status]) end
  return reply('OK', sale, int(sale.stock), int(sale.left), unpack(sums))
end

-- terms stock limits number
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
  local new = {'format', FORMAT, 'number', args[4], 'terms', args[1], 'epoch', '0', 'opener', '',
    'stock', args[2], 'limits', args[3], 'left', args[2], 'paused', '0', 'closed', '0', 'next', '1',
    'seq', '0', 'turns', '0', 'waiting', '0', 'holders', '0'}
  for _, status in ipairs(STATES) do
    new[#new + 1] = status
    new[#new + 1] = NO_ORDERS
  end
  redis.call('HSET', keys.sale, unpack(new))
  return {'OK', '0', '0'}
end

-- How often the owner has kept the sale in this epoch, and whether it has left it to another node.
local function kept(keys, epoch)
  local node = redis.call('HGET', keys.sale, 'node') or ''
  local of, count, left = string.match(node, '^(%d+) (%d+) (>?)')
  if of ~= int(epoch) then return 0, false end
  return tonumber(count), left == '>'
end

-- opener node seen kept: a repeated call of the same opener returns the same epoch. `seen` and `kept` are the epoch
-- in which the node has seen the sale, and how often its owner had kept it; `-` for whichever it is in
local function open(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  if redis.call('HGET', keys.sale, 'opener') ~= args[1] then
    if args[3] ~= '-' and
      (tonumber(args[3]) ~= sale.epoch or tonumber(args[4]) ~= kept(keys, sale.epoch)) then
      return {'OTHER_OWNER'}
    end
    -- The epoch is at least the time in milliseconds, so that it is not given out again if this
    -- store's history is lost.
    local now = redis.call('TIME')
    local now_ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
    sale.epoch = math.max(sale.epoch + 1, now_ms)
    redis.call('HSET', keys.sale, 'epoch', int(sale.epoch), 'opener', args[1], 'format', FORMAT,
      'node', args[2] ~= '' and int(sale.epoch) .. ' 0 ' .. args[2] or '')
  end
  return reply('OK', sale, int(sale.epoch))
end

-- epoch seq turns node
local function hand_over(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  refusal = sold_by(sale, args)
  if refusal then return refusal end
  local node = int(sale.epoch) .. ' ' .. int(kept(keys, sale.epoch)) .. ' > ' .. args[4]
  redis.call('HSET', keys.sale, 'node', node)
  return reply('OK', sale)
end

-- epoch seq turns node
local function keep(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  refusal = sold_by(sale, args)
  if refusal then return refusal end
  local count, is_left = kept(keys, sale.epoch)
  if is_left then return reply('FENCED', sale) end
  redis.call('HSET', keys.sale, 'node', int(sale.epoch) .. ' ' .. int(count + 1) .. ' ' .. args[4])
  return reply('OK', sale)
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

-- epoch seq turns digest member new-digest new-member
local function rename(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  refusal = sold_by(sale, args)
  if refusal then return refusal end
  local number = redis.call('HGET', keys.members, args[4])
  if not number or args[4] == args[6] then return reply('OK', sale) end
  if redis.call('HGET', keys.members, args[6]) then return {'TAKEN', args[7]} end
  -- A call that was delayed on its way must not rename a person who came by the name since.
  if sale.turns > tonumber(args[3]) then return reply('STALE', sale) end
  local member, rest = string.match(redis.call('HGET', keys.holders, number) or '', '^(%S+) (.*)$')
  if member ~= args[5] then
    return {'DAMAGED', 'holder ' .. number .. ' is not the member by whose name it is found'}
  end
  sale.turns = sale.turns + 1
  redis.call('HSET', keys.sale, 'turns', int(sale.turns))
  redis.call('HSET', keys.holders, number, args[7] .. ' ' .. rest)
  redis.call('HSET', keys.members, args[6], number)
  redis.call('HDEL', keys.members, args[4])
  return reply('OK', sale)
end

-- epoch seq turns terms limits more most
-- `more` units are left than before: below 0 if the stock shrinks.
local function change_terms(keys, args)
  local sale, refusal = head(keys)
  if not sale then return refusal end
  refusal = sold_by(sale, args)
  if refusal then return refusal end
  if redis.call('HGET', keys.sale, 'terms') == args[4] then return reply('OK', sale) end
  if sale.turns > tonumber(args[3]) then return reply('STALE', sale) end
  local more = tonumber(args[6])
  if sale.left + more < 0 then return {'SHORT', int(sale.left)} end
  if sale.stock + more > tonumber(args[7]) then return {'TOO_MUCH', int(sale.stock)} end
  sale.turns = sale.turns + 1
  redis.call('HSET', keys.sale, 'terms', args[4], 'limits', args[5], 'stock', int(sale.stock + more),
    'left', int(sale.left + more), 'turns', int(sale.turns))
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
    {'XTRIM', keys.outbox, 'MINID', '0'}, {'XINFO', 'STREAM', keys.outbox}, {'TYPE', keys.sale}, {'EXISTS', keys.sale}, {'TIME'},
    {'SADD', 'flashlane:sales', 'x'}, {'HDEL', keys.waiting, 'x'}, {'UNLINK', keys.waiting},
    {'SREM', 'flashlane:blocked', 'x'}, {'SMEMBERS', 'flashlane:sales'}, {'INCR', 'flashlane:sale_number'},
    {'ZADD', 'flashlane:{flashlane:sales}:archived', '0', 'x'}, {'ZREM', 'flashlane:{flashlane:sales}:archived', 'x'},
    {'ZRANGE', 'flashlane:{flashlane:sales}:archived', '-', '+', 'BYLEX'}, {'SISMEMBER', 'flashlane:{flashlane:sales}:deleted', 'x'}}
  local lacking = {'OK', '0', '0'}
  for _, call in ipairs(needed) do
    if not redis.acl_check_cmd(unpack(call)) then lacking[#lacking + 1] = call[1] end
  end
  return lacking
end

-- epoch seq turns number orders holders; the keys of the new orders, holders and members come behind the
-- sale's own
-- Puts rows of this layout in place of a sale's older ones, if the sale has not changed since these were
-- read.
local function upgrade(keys, args, all)
  local row = redis.call('HMGET', keys.sale, 'format', 'epoch', 'seq', 'turns', 'refunded', 'returned')
  if not row[2] then return {'UNKNOWN_SALE'} end
  if row[1] then return {'FORMAT', row[1]} end
  if row[2] ~= args[1] or row[3] ~= args[2] or row[4] ~= args[3] then return {'MOVED_ON', ''} end
  for i, count in ipairs({args[5], args[6], args[6]}) do
    if redis.call('HLEN', all[#KEYS + i]) ~= tonumber(count) then
      return {'DAMAGED', all[#KEYS + i] .. ' does not hold ' .. count}
    end
  end
  for i, key in ipairs({keys.orders, keys.holders, keys.members}) do
    -- The old rows are kept until the sale was added up.
    if redis.call('EXISTS', key) == 1 and i < 3 then redis.call('RENAME', key, key .. ':before') end
    if redis.call('EXISTS', all[#KEYS + i]) == 1 then
      redis.call('RENAME', all[#KEYS + i], key)
    end
  end
  redis.call('HSET', keys.sale, 'format', FORMAT, 'number', args[4], 'holders', args[6], 'refunded',
    row[5] or NO_ORDERS, 'returned', row[6] or NO_ORDERS)
  return {'OK', row[3], row[4]}
end

local function register(name, run)
  redis.register_function('@LIBRARY@_' .. name, function(keys, args)
    return run(named(keys), args, keys)
  end)
end

register('create', create)
register('open', open)
register('hand_over', hand_over)
register('keep', keep)
register('still_sells', still_sells)
register('commit', commit)
register('change', change)
register('restore', restore)
register('switch', switch)
register('rename', rename)
register('change_terms', change_terms)
register('top_up', top_up)
register('upgrade', upgrade)
register('lacks', lacks)
register('renew', renew)
register('living', renew)
register('end', end_lease)
register('book_post', book_post)
register('book_read', book_read)
