//! The bugs that are planted in the function library of Redis.

/// Bugs in the function library: the name, the text there, and what the bug makes of it.
pub(in crate::store) const MUTATIONS: [(&str, &str, &str); 13] = [
    (
        "no-fence",
        "if sale.epoch > epoch then return reply('FENCED', sale) end
  return nil",
        "return nil",
    ),
    ("no-deduplication", "if known_epoch == epoch then", "if false then"),
    ("no-limit", "if holder.units + order.units > holder.limit then", "if false then"),
    (
        "no-stock",
        "if order.units > sale.left then return 'released'",
        "if false then return 'released'",
    ),
    ("no-outbox", "if #change.told > 0 then\n    redis", "if false then\n    redis"),
    ("no-sequence", "or sale.seq < tonumber(args[2]) or sale.turns < tonumber(args[3])", ""),
    ("no-holdings", "redis.call('HSET', keys.holders, unpack(holders))", ""),
    ("put-back-from-nothing", "if takes and order.units > sale.left then", "if false then"),
    (
        "refund-nothing",
        "pay = {confirmed = 'paid', cancelled = 'refund_due', expired = 'refund_due'},",
        "pay = {confirmed = 'paid', cancelled = 'paid', expired = 'paid'},",
    ),
    (
        "cancel-keeps-limit",
        "    holder.units = holder.units - record.units
    sale.left",
        "    sale.left",
    ),
    (
        "no-step-entry",
        "  for _, event in ipairs(events) do\n    if event[3]",
        "  for _, event in ipairs({}) do\n    if event[3]",
    ),
    (
        "top-up-twice",
        "local done = redis.call('HGET', keys.top_ups, args[4])",
        "local done = false",
    ),
    ("book-counts-again", " {'HSET', posted, new_keys},", ""),
];
