
-- The members' book. Keys of a bucket, all with its hash tag, in this order:
--   book      hash    version head
--   names     hash    member -> index; a member's name stands here and in `named` alone
--   named     hash    index -> member
--   accounts  hash    index -> account
--   postings  hash    index ":" number -> posting
--   posted    hash    index ":" key -> what later postings ask for
--   notices   hash    seq -> notice
-- What is decided is decided by the caller; the version sees to it that it was decided on what is here.

-- What Lua may have on its stack at once, in pairs.
local PART = 1000

-- Calls a command on a key with these of the arguments, a part at a time.
local function in_parts(command, key, args, first, last, width)
  local step = PART * width
  for i = first, last, step do
    redis.call(command, key, unpack(args, i, math.min(i + step - 1, last)))
  end
end

-- from to head, then as many as its number says of: names (member index 1, or 0 for one that goes),
-- accounts (index account), postings (index:number posting), as many keys (index:key posted), notices (seq notice);
-- then the newest notice that goes, and as many as their numbers say: postings that go (index:number), keys
-- that go (index:key)
local function book_post(_, args, all)
  local book, names, named_by, accounts, postings, posted, notices = unpack(all)
  local here = redis.call('HMGET', book, 'version', 'head')
  local version = here[1] or '0'
  if version == args[2] and here[2] == args[3] then return {'OK'} end
  if version ~= args[1] then return {'STALE', version} end
  local at = 4
  -- Where a list of so many of this width begins and ends.
  local function list(width, count)
    if not count then
      count = tonumber(args[at])
      at = at + 1
    end
    local first = at
    at = at + count * width
    return {first = first, last = at - 1, width = width, count = count}
  end
  local new_names, new_accounts, new_postings = list(3), list(2), list(2)
  local new_keys, new_notices = list(2, new_postings.count), list(2)
  local trimmed = tonumber(args[at])
  at = at + 1
  local old_postings, old_keys = list(1), list(1)
  -- What is done: the command, the key, the list of what it is given.
  local todo = {
    {'HSET', accounts, new_accounts}, {'HSET', postings, new_postings}, {'HSET', posted, new_keys},
    {'HSET', notices, new_notices}, {'HDEL', postings, old_postings}, {'HDEL', posted, old_keys},
  }
  -- A key of another type is found before anything is written.
  for _, step in ipairs(todo) do
    if step[3].count > 0 then redis.call('HLEN', step[2]) end
  end
  if new_names.count > 0 then redis.call('HLEN', names); redis.call('HLEN', named_by) end
  if trimmed > 0 then redis.call('HLEN', notices) end
  for i = new_names.first, new_names.last, 3 do
    local member, index = args[i], args[i + 1]
    if args[i + 2] == '1' then
      redis.call('HSET', names, member, index)
      redis.call('HSET', named_by, index, member)
    else
      redis.call('HDEL', names, member)
      redis.call('HDEL', named_by, index)
    end
  end
  for _, step in ipairs(todo) do
    in_parts(step[1], step[2], args, step[3].first, step[3].last, step[3].width)
  end
  if trimmed > 0 then
    -- They went one after the other, so the first one that is not there ends those of before.
    while redis.call('HDEL', notices, trimmed) == 1 do trimmed = trimmed - 1 end
  end
  redis.call('HSET', book, 'version', args[2], 'head', args[3])
  return {'OK'}
end

-- These fields of a hash, a part at a time.
local function fields(key, wanted)
  local found = {}
  for i = 1, #wanted, PART do
    local part = redis.call('HMGET', key, unpack(wanted, i, math.min(i + PART - 1, #wanted)))
    for j = 1, #part do found[i + j - 1] = part[j] end
  end
  return found
end

-- for each member: "name" or "index", which one, how many keys, the keys
-- Returns the head, then for each member the index ("" if there is none), the account ("" likewise), and
-- what is posted under each key ("" likewise).
local function book_read(_, args, all)
  local book, names, _, accounts, _, posted = unpack(all)
  local by_name, members, at = {}, {}, 1
  while at <= #args do
    local member = {first = at + 3, last = at + 2 + tonumber(args[at + 2])}
    if args[at] == 'name' then
      by_name[#by_name + 1] = args[at + 1]
      member.named = #by_name
    else
      member.index = args[at + 1]
    end
    members[#members + 1] = member
    at = member.last + 1
  end
  local numbered, indexes, keys = fields(names, by_name), {}, {}
  for _, member in ipairs(members) do
    local index = member.index or numbered[member.named]
    if index then
      member.index = index
      indexes[#indexes + 1] = index
      for i = member.first, member.last do keys[#keys + 1] = index .. ':' .. args[i] end
    end
  end
  local of_accounts, of_keys = fields(accounts, indexes), fields(posted, keys)
  local out, account, key = {redis.call('HGET', book, 'head') or ''}, 0, 0
  for _, member in ipairs(members) do
    local is_there = member.index
    if is_there then account = account + 1 end
    out[#out + 1] = member.index or ''
    out[#out + 1] = is_there and of_accounts[account] or ''
    for _ = member.first, member.last do
      if is_there then key = key + 1 end
      out[#out + 1] = is_there and of_keys[key] or ''
    end
  end
  return out
end
