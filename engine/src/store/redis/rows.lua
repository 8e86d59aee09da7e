#!lua name=@LIBRARY@
-- Flashlane's transactions. A function reads, checks and decides everything first; from its first
-- write on, nothing can fail. A script is isolated and not rolled back, so this is what makes a call
-- all or nothing.
--
-- Keys, all with the hash tag of the sale, given to each function in this order:
--   sale      hash    format number terms limits epoch opener stock left paused closed next seq turns
--                       gaps holders waiting, and for each state of orders their tallies; `node`: "epoch kept name" of
--                       the node that sells it, or "epoch kept > name" of the one that it was left to; `kept`
--                       counts how often its owner has kept it; all this counts while the sale is in that epoch
--   orders    hash    number -> "epoch holder tier units status settled_at changed_at before pay_by
--                       due refunds reserved_at key price kind points coupon"; `holder` is a number,
--                       `refunds` reads "id/amount,id/amount" or "-", of a released order why it was
--   holders   hash    number, from 0 -> "member units limit newest orders"; a member's name stands
--                       here alone
--   members   hash    digest of a member's name -> number of the holder
--   outbox    stream  id seq-0 of the last change in the entry, `v` 2, `changes`: a line for each step of
--                       an order that one call made. In format 2 each step had an entry of its own
--   top_ups   hash    key -> "add total"
--   waiting   hash    member -> "tier units place"
-- Replies begin with a word. After OK, FENCED, LOST and STALE come two numbers that only ever grow:
-- of changes to orders (`seq`), and of turns (`turns`): switches, top-ups, changes of the waitlist. A
-- caller says how far it has seen both; a store that has less has lost something, and a turn that was
-- delayed on its way and comes after a later one is stale.

local KEYS = {'sale', 'orders', 'holders', 'members', 'outbox', 'top_ups', 'waiting'}
local KINDS = {sale = 'hash', orders = 'hash', holders = 'hash', members = 'hash', outbox = 'stream',
  top_ups = 'hash', waiting = 'hash'}
-- The version of this layout. A sale of the one before, whose outbox only is another, becomes one of
-- this when it is opened; an older one is taken over by `flashlane upgrade`.
local FORMAT, BEFORE = '3', '2'
local STATES = {'confirmed', 'released', 'paid', 'cancelled', 'expired', 'refund_due', 'refunded',
  'returned'}
local NO_ORDERS = '0 0 0 0 0 0 0 0 0 0'
-- Orders in these states hold their units.
local HOLDING = {confirmed = true, paid = true, returned = true}
-- The states through which an order came to a state. Of an order that was to be paid back it is not
-- known any more whether it was cancelled or had expired: its path goes through `cancelled`.
local PATHS = {
  confirmed = {'confirmed'},
  released = {'released'},
  paid = {'confirmed', 'paid'},
  cancelled = {'confirmed', 'cancelled'},
  expired = {'confirmed', 'expired'},
  refund_due = {'confirmed', 'cancelled', 'refund_due'},
  refunded = {'confirmed', 'cancelled', 'refund_due', 'refunded'},
  returned = {'confirmed', 'paid', 'returned'},
}
-- The state to which a step leads from a state.
local AFTER = {
  pay = {confirmed = 'paid', cancelled = 'refund_due', expired = 'refund_due'},
  cancel = {confirmed = 'cancelled'},
  expire = {confirmed = 'expired'},
  refund = {refund_due = 'refunded', paid = 'returned'},
}
local TIERS = {regular = 1, silver = 2, gold = 3, platinum = 4, diamond = 5}

-- Keys by their names.
local function named(keys)
  local by_name = {}
  for i, name in ipairs(KEYS) do by_name[name] = keys[i] end
  return by_name
end

-- Whether an order in the state `was` may come to the state `is`, by one step or several.
local function leads_to(was, is)
  for _, after in pairs(AFTER) do
    local next = after[was]
    if next and (next == is or leads_to(next, is)) then return true end
  end
  return false
end

-- Most numbers are small: their texts are made once and kept.
local SMALL = {}

local function int(number)
  local text = SMALL[number]
  if not text then
    text = string.format('%d', number)
    if number >= 0 and number < 1000 then SMALL[number] = text end
  end
  return text
end

local TALLIES = '^' .. ('(%d+) '):rep(9) .. '(%d+)$'
local LIMITS = '^' .. ('(%d+) '):rep(4) .. '(%d+)$'

-- Orders and units by tier, regular first: "orders units orders units ...". Returns them as a list, and all
-- orders and all units.
local function tallies(text)
  if text == NO_ORDERS then return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0, 0 end
  local counts = {string.match(text or '', TALLIES)}
  if #counts ~= 10 then return nil end
  for i = 1, 10 do counts[i] = tonumber(counts[i]) end
  return counts, counts[1] + counts[3] + counts[5] + counts[7] + counts[9],
    counts[2] + counts[4] + counts[6] + counts[8] + counts[10]
end

-- Counts are below 10^14, so they are written without an exponent.
local function tally_text(counts)
  return table.concat(counts, ' ')
end

-- Counts an order out of one state ('': it was in none) and into another.
local function count(sale, tier, units, was, is)
  local i = 2 * TIERS[tier] - 1
  local tallies, counted = sale.tallies, sale.counted
  local from, to = tallies[was], tallies[is]
  counted[was], counted[is] = from, to
  if from then from[i], from[i + 1] = from[i] - 1, from[i + 1] - units end
  to[i], to[i + 1] = to[i] + 1, to[i + 1] + units
end

local function damaged(text)
  return nil, {'DAMAGED', text}
end

-- Gaps of the outbox: "after-to " for each.
local LAST_GAP = '(%d+)%-(%d+) $'

-- Returns the sale's counters, if everything that this library reads or writes is what it should
-- be.
local function head(keys)
  for _, name in ipairs(KEYS) do
    local key, kind = keys[name], KINDS[name]
    local found = redis.call('TYPE', key).ok
    if found ~= kind and found ~= 'none' then
      return damaged(key .. ' is a ' .. found .. ' and not a ' .. kind)
    end
  end
  for _, call in ipairs({{'XADD', keys.outbox, '*', 'x', 'x'}, {'HSET', keys.sale, 'x', 'x'},
      {'HDEL', keys.waiting, 'x'}, {'UNLINK', keys.waiting}}) do
    if not redis.acl_check_cmd(unpack(call)) then return nil, {'DENIED', call[1]} end
  end
  local row = redis.call('HMGET', keys.sale, 'epoch', 'stock', 'left', 'next', 'seq', 'turns',
    'waiting', 'limits', 'gaps', 'holders', 'format', unpack(STATES))
  if not row[1] then return nil, {'UNKNOWN_SALE'} end
  if row[11] ~= FORMAT and row[11] ~= BEFORE then return nil, {'FORMAT', row[11] or '1'} end
  local sale = {epoch = tonumber(row[1]), stock = tonumber(row[2]), left = tonumber(row[3]),
    next = tonumber(row[4]), seq = tonumber(row[5]), turns = tonumber(row[6]),
    waiting = tonumber(row[7]), holders = tonumber(row[10]), gaps = row[9] or '',
    limits = {string.match(row[8] or '', LIMITS)}, tallies = {}, counted = {}}
  for tier = 1, #sale.limits do sale.limits[tier] = tonumber(sale.limits[tier]) end
  local orders, sold = 0, 0
  for i, status in ipairs(STATES) do
    local counts, of_state, units = tallies(row[11 + i])
    if not counts then return damaged(keys.sale .. ' lacks the tallies of ' .. status) end
    sale.tallies[status] = counts
    orders = orders + of_state
    if HOLDING[status] then sold = sold + units end
  end
  if not (sale.epoch and sale.stock and sale.left and sale.next and sale.seq and sale.turns
      and sale.waiting and sale.holders and #sale.limits == 5) then
    return damaged(keys.sale .. ' lacks a number')
  end
  if sale.stock - sale.left ~= sold then
    return damaged(keys.sale .. ' has ' .. int(sale.left) .. ' units left of ' .. int(sale.stock) ..
      ' and ' .. int(sold) .. ' sold')
  end
  local kept = redis.call('HLEN', keys.orders)
  if kept ~= orders then
    return damaged(keys.orders .. ' holds ' .. kept .. ' orders of ' .. int(orders))
  end
  local waiting = redis.call('HLEN', keys.waiting)
  if waiting ~= sale.waiting then
    return damaged(keys.waiting .. ' holds ' .. waiting .. ' members of ' .. int(sale.waiting))
  end
  for _, key in ipairs({keys.holders, keys.members}) do
    local holders = redis.call('HLEN', key)
    if holders ~= sale.holders then
      return damaged(key .. ' holds ' .. holders .. ' members of ' .. int(sale.holders))
    end
  end
  if redis.call('EXISTS', keys.outbox) == 1 then
    -- A gap at the end has no entry behind it.
    local before, to = string.match(sale.gaps, LAST_GAP)
    local newest = (tonumber(to) == sale.seq and before or int(sale.seq)) .. '-0'
    local facts = redis.call('XINFO', 'STREAM', keys.outbox)
    for i = 1, #facts, 2 do
      if facts[i] == 'last-generated-id' and facts[i + 1] ~= newest then
        return damaged(keys.outbox .. ' ends with ' .. facts[i + 1] .. ' and not ' .. newest)
      end
    end
  end
  return sale
end

local function reply(word, sale, ...)
  return {word, int(sale.seq), int(sale.turns), ...}
end

-- Refuses a caller that knows of a later change than this store has, and a caller that does not
-- sell this sale.
local function sold_by(sale, args)
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

-- A holder's row, by its number.
local HOLDER = '^(%S+) (%d+) (%d+) (%d+) (%d+)$'

-- Reads the holders with these numbers, as texts; `false` is none.
local function holders_by_number(keys, numbers)
  local holders = {}
  for number, text in pairs(kept_by(keys.holders, numbers)) do
    local member, units, limit, newest, orders = string.match(text or '', HOLDER)
    if not member then return damaged('holder ' .. number .. ' reads ' .. tostring(text)) end
    holders[number] = {number = number, member = member, units = tonumber(units),
      limit = tonumber(limit), newest = newest, orders = tonumber(orders)}
  end
  return holders
end

-- Reads what is stored of the orders in `args` from `first` on, `width` arguments each: number, member,
-- digest of the member, and others.
local function stored(keys, sale, args, first, width)
  local numbers, digests, names, next = {}, {}, {}, sale.next
  for i = first, #args, width do
    -- Most numbers are higher than any stored one; no order with such a number can be stored.
    if tonumber(args[i]) < next then numbers[#numbers + 1] = args[i] end
    local digest = args[i + 2]
    if not names[digest] then
      names[digest] = args[i + 1]
      digests[#digests + 1] = digest
    end
  end
  local orders = kept_by(keys.orders, numbers)
  local known, by_digest = {}, kept_by(keys.members, digests)
  for _, number in pairs(by_digest) do
    if number then known[#known + 1] = number end
  end
  local by_number, unreadable = holders_by_number(keys, known)
  if not by_number then return nil, unreadable end
  local holders = {}
  for digest, number in pairs(by_digest) do
    local name, holder = names[digest], number and by_number[number]
    holders[digest] = holder
      or {member = name, units = 0, limit = 0, newest = '0', orders = 0, digest = digest}
    if holder and holder.member ~= name then
      return damaged('holder ' .. number .. ' is not ' .. name)
    end
  end
  return {orders = orders, holders = holders, by_number = by_number}
end

-- Changes that are decided and not written yet.
local function changes()
  return {told = {}, orders = {}, holders = {}, members = {}, joined = {}, left = {},
    dissolved = false}
end

-- A record's words in their order.
local RECORD =
  '^(%d+) (%d+) (%S+) (%d+) ([%a_]+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+) (%S+ %S+ %S+ %S+ %S+ %S+)$'

local function read_record(number, text)
  local record = {number = number}
  record.epoch, record.holder, record.tier, record.units, record.status, record.settled_at,
    record.changed_at, record.before, record.pay_by, record.due, record.refunds, record.rest =
    string.match(text, RECORD)
  if not record.epoch or not PATHS[record.status] or not TIERS[record.tier] then
    return damaged('order ' .. number .. ' reads ' .. text)
  end
  record.units = tonumber(record.units)
  return record
end

local function record_text(record)
  return record.epoch .. ' ' .. record.holder .. ' ' .. record.tier .. ' ' .. int(record.units) .. ' ' ..
    record.status .. ' ' .. record.settled_at .. ' ' .. record.changed_at .. ' ' .. record.before .. ' ' ..
    record.pay_by .. ' ' .. record.due .. ' ' .. record.refunds .. ' ' .. record.rest
end

local function put_record(change, record)
  local orders = change.orders
  local last = #orders
  orders[last + 1], orders[last + 2] = record.number, record_text(record)
end

-- The refunds of a record, in their order.
local function refunds_of(text)
  local refunds = {}
  for id, amount in string.gmatch(text, '([^,/]+)/(%d+)') do
    refunds[#refunds + 1] = {id = id, amount = tonumber(amount), text = id .. '/' .. amount}
  end
  return refunds
end

-- `event` is {status, at, refund}; the refund is left out if no money went back.
local function tell(change, sale, record, member, event)
  sale.seq = sale.seq + 1
  change.told[#change.told + 1] = record.epoch .. '.' .. record.number .. ' ' .. member .. ' ' ..
    record.tier .. ' ' .. int(record.units) .. ' ' .. event[1] .. ' ' .. event[2] .. ' ' ..
    (event[3] or '-')
end

-- Everything that happened to an order, from the verdict on. When the events between the first and the
-- last took place is not known any more.
local function history(record)
  local events, refunds = {}, refunds_of(record.refunds)
  for i, status in ipairs(PATHS[record.status]) do
    events[i] = {status, i == 1 and record.settled_at or record.changed_at}
  end
  local all_went_back = record.status == 'refunded' or record.status == 'returned'
  local last = all_went_back and table.remove(events) or nil
  local rest = last and table.remove(refunds) or nil
  local status = events[#events][1]
  for _, refund in ipairs(refunds) do
    events[#events + 1] = {status, record.changed_at, refund.text}
  end
  if last then events[#events + 1] = {last[1], last[2], rest and rest.text} end
  return events
end

-- How many outbox entries tell of an order.
local function entries_of(record)
  return #history(record)
end

-- A member's tier may change during a sale, and orders are not decided in the order of clicks: the
-- highest limit under which an order of the member was taken is the one that counts.
local function raise_limit(holder, sale, tier)
  local limit = sale.limits[TIERS[tier]]
  if limit > holder.limit then holder.limit = limit end
  return holder
end

-- Writes down an order that is not stored yet, and all that happened to it.
local function decide(change, sale, holder, record, events)
  if not holder.number then
    holder.number = int(sale.holders)
    sale.holders = sale.holders + 1
    local last = #change.members
    change.members[last + 1], change.members[last + 2] = holder.digest, holder.number
  end
  local units, status, number = record.units, record.status, tonumber(record.number)
  if HOLDING[status] then
    holder.units = holder.units + units
    sale.left = sale.left - units
  end
  count(sale, record.tier, units, '', status)
  if number >= sale.next then sale.next = number + 1 end
  record.holder, record.before = holder.number, holder.newest
  holder.newest, holder.orders = record.number, holder.orders + 1
  put_record(change, record)
  change.holders[holder.number] = holder
  for i = 1, #events do tell(change, sale, record, holder.member, events[i]) end
end

-- Moves a stored order on, event by event.
local function advance(change, sale, holder, record, events)
  local last = events[#events]
  if HOLDING[record.status] and not HOLDING[last[1]] then
    holder.units = holder.units - record.units
    sale.left = sale.left + record.units
    change.holders[holder.number] = holder
  end
  if record.status ~= last[1] then
    count(sale, record.tier, record.units, record.status, last[1])
    record.status, record.changed_at = last[1], last[2]
  end
  for _, event in ipairs(events) do
    if event[3] then
      record.refunds = (record.refunds == '-' and '' or record.refunds .. ',') .. event[3]
    end
    tell(change, sale, record, holder.member, event)
  end
  put_record(change, record)
end

local function write(keys, sale, change)
  if #change.told > 0 then
    redis.call('XADD', keys.outbox, int(sale.seq) .. '-0', 'v', '2', 'changes',
      table.concat(change.told, '\n'))
  end
  if #change.orders > 0 then redis.call('HSET', keys.orders, unpack(change.orders)) end
  local holders, last = {}, 0
  for number, holder in pairs(change.holders) do
    holders[last + 1] = number
    holders[last + 2] = holder.member .. ' ' .. int(holder.units) .. ' ' .. int(holder.limit) .. ' ' ..
      holder.newest .. ' ' .. int(holder.orders)
    last = last + 2
  end
  if #holders > 0 then redis.call('HSET', keys.holders, unpack(holders)) end
  if #change.members > 0 then redis.call('HSET', keys.members, unpack(change.members)) end
  -- Whatever changes who waits is a turn, also an offer that ends a wait.
  local is_turn = (change.dissolved and sale.waiting > 0) or next(change.joined) ~= nil
  if change.dissolved then
    redis.call('UNLINK', keys.waiting)
    sale.waiting = 0
  end
  for member, wish in pairs(change.joined) do
    sale.waiting = sale.waiting + redis.call('HSET', keys.waiting, member, wish)
  end
  for member in pairs(change.left) do
    local gone = redis.call('HDEL', keys.waiting, member)
    sale.waiting = sale.waiting - gone
    is_turn = is_turn or gone > 0
  end
  if is_turn then sale.turns = sale.turns + 1 end
  local row = {'left', int(sale.left), 'next', int(sale.next), 'seq', int(sale.seq), 'turns',
    int(sale.turns), 'waiting', int(sale.waiting), 'holders', int(sale.holders)}
  for status, counts in pairs(sale.counted) do
    row[#row + 1] = status
    row[#row + 1] = tally_text(counts)
  end
  redis.call('HSET', keys.sale, unpack(row))
end
