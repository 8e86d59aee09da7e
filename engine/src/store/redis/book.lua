
-- The members' book. Keys of a bucket, all with its hash tag, in this order:
--   book      hash    version head
--   names     hash    member -> index; a member's name stands here and in `named` alone
--   named     hash    index -> member
--   accounts  hash    index -> account
--   postings  hash    index ":" number -> posting
--   posted    hash    index ":" key -> what later postings ask for
--   notices   hash    seq -> notice
-- What is decided is decided by the caller; the version sees to it that it was decided on what is here.

-- from to head, then as many as its number says of: names (member index 1, or 0 for one that goes),
-- accounts (index account), postings (index:number posting index:key posted), notices (seq notice);
-- then the newest notice that goes, and as many as their numbers say: postings that go (index:number), keys
-- that go (index:key)
local function book_post(_, args, all)
  local book, names, named_by, accounts, postings, posted, notices = unpack(all)
  local here = redis.call('HMGET', book, 'version', 'head')
  local version = here[1] or '0'
  if version == args[2] and here[2] == args[3] then return {'OK'} end
  if version ~= args[1] then return {'STALE', version} end
  -- A key of another type is found before anything is written.
  for i = 2, 7 do redis.call('HLEN', all[i]) end
  local at = 4
  local function many(width, each)
    local count = tonumber(args[at])
    at = at + 1
    for _ = 1, count do
      each(at)
      at = at + width
    end
  end
  many(3, function(i)
    local member, index = args[i], args[i + 1]
    if args[i + 2] == '1' then
      redis.call('HSET', names, member, index)
      redis.call('HSET', named_by, index, member)
    else
      redis.call('HDEL', names, member)
      redis.call('HDEL', named_by, index)
    end
  end)
  many(2, function(i) redis.call('HSET', accounts, args[i], args[i + 1]) end)
  many(4, function(i)
    redis.call('HSET', postings, args[i], args[i + 1])
    redis.call('HSET', posted, args[i + 2], args[i + 3])
  end)
  many(2, function(i) redis.call('HSET', notices, args[i], args[i + 1]) end)
  local trimmed = tonumber(args[at])
  at = at + 1
  if trimmed > 0 then
    -- They went one after the other, so the first one that is not there ends those of before.
    while redis.call('HDEL', notices, trimmed) == 1 do trimmed = trimmed - 1 end
  end
  many(1, function(i) redis.call('HDEL', postings, args[i]) end)
  many(1, function(i) redis.call('HDEL', posted, args[i]) end)
  redis.call('HSET', book, 'version', args[2], 'head', args[3])
  return {'OK'}
end

-- for each member: "name" or "index", which one, how many keys, the keys
-- Returns the head, then for each member the index ("" if there is none), the account ("" likewise), and
-- what is posted under each key ("" likewise).
local function book_read(_, args, all)
  local book, names, _, accounts, _, posted = unpack(all)
  local out = {redis.call('HGET', book, 'head') or ''}
  local at = 1
  while at <= #args do
    local index = args[at + 1]
    if args[at] == 'name' then index = redis.call('HGET', names, index) end
    out[#out + 1] = index or ''
    out[#out + 1] = index and redis.call('HGET', accounts, index) or ''
    local count = tonumber(args[at + 2])
    for i = at + 3, at + 2 + count do
      out[#out + 1] = index and redis.call('HGET', posted, index .. ':' .. args[i]) or ''
    end
    at = at + 3 + count
  end
  return out
end
