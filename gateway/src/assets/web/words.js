// What the pages say, in English and Chinese, and how they write money and time.

const EN = {
  sales: "Live sales", none: "No sale is on right now. Come back for the next drop.", back: "All sales", room: "Live room",
  live: "live", again: "connecting again…", lost: "Connection lost. Your click is kept and sent once more.",
  left: "{left} of {stock} left", waiting: "{n} waiting", gone: "All sold",
  open: "Open", scheduled: "Soon", paused: "Paused", sold_out: "Sold out", closed: "Closed",
  tier: "{tier} price", member_day: "Member day", save: "You save {money}",
  regular: "Regular", silver: "Silver", gold: "Gold", platinum: "Platinum", diamond: "Diamond",
  windows: "Who may buy, from when", from: "from {time}", since: "open", upto: "up to {n}", you: "you", nobody: "not for this tier",
  closes: "closes {time}", units: "Units", fewer: "One fewer", more: "One more", points: "Use points", extras: "Points and coupon",
  points_help: "up to {n} for each unit", coupon: "Coupon", no_coupon: "none",
  b_loading: "One moment…", b_opens: "Opens in {time}", b_buy: "Buy now", b_going: "On its way…", b_kept: "Sending again…",
  b_paid: "Paid. It is yours", b_sold_out: "Sold out: wait for a unit", b_gone: "Sold out", b_waits: "Waiting at place {n}",
  b_offer: "A unit for you! One moment…", b_pay: "Pay {money} within {time}", b_limit: "You have your {n}", b_tier: "Not for your tier",
  b_paused: "Paused for a moment", b_closed: "The sale is over", b_sign_in: "Sign in to buy", b_unknown: "There is no such sale",
  b_resend: "Ask what became of your click", h_resend: "It had no answer. It is sent once more under its number and buys once.", forget: "Forget that click",
  r_lost: "No answer came. Please try again.", again_busy: "Very many are clicking. Trying again…", another: "Buy another", leave: "Leave the waitlist", cancel: "Cancel", cancel_sure: "Really cancel?",
  h_opens: "Your {tier} window opens at {time}.", h_buy: "Up to {n} for you.", h_sold_out: "Units come back when somebody does not pay in time.",
  h_gone: "Every unit is paid for.", h_waits: "You will be offered a unit when it is your turn. You may close this page.", h_paused: "The host goes on in a moment. Stay here.",
  h_tier: "This sale is for {tiers}.", h_sign_in: "Open this room from the shop's app, where you are signed in.", h_pay: "Unpaid, it goes back to others.",
  h_going: "Your click has arrived when this button says so. You need not press again.", h_unknown: "It may be over, or it is not for you.", h_limit: "That is the most that one {tier} member may have.",
  orders: "Your orders", order: "Order {n} · {units}", unit: "1 unit", n_units: "{n} units",
  o_reserved: "reserved", o_confirmed: "pay within {time}", o_paid: "paid", o_cancelled: "cancelled", o_expired: "not paid in time", o_released: "not kept",
  o_refund_due: "your money goes back", o_refunded: "refunded", o_returned: "returned",
  said_reserved: "Reserved. Writing it down…", said_confirmed: "It is yours for now. Pay before the time is over.", said_paid: "Paid. Thank you!",
  said_offer: "A unit is yours: pay within {time}!", said_open: "Your window is open.", said_waits: "You wait at place {n}.", said_left: "You do not wait any more.", said_cancelled: "Cancelled. The unit went back.",
  said_pay: "To pay, go back to the shop's app. Your payment's number is {ref}.",
  token: "Token", enter: "Enter", language: "中文", me: "My membership",
  r_bad_request: "That did not fit. Please reload the page.", r_unauthenticated: "You are not signed in any more. Open this room from the app again.",
  r_too_many_requests: "That was a little fast. Try again in {wait} s.", r_blocked: "You cannot buy here. The shop's service can tell you why.",
  r_unknown_sale: "There is no such sale for you.", r_bad_units: "You may have 1 to {limit}.", r_idempotency_conflict: "That click was another one. Press again.",
  r_idempotency_in_flight: "Your click is on its way.", r_closed: "The sale is over.", r_tier_not_admitted: "This sale is not for your tier.", r_not_for_minors: "This sale is for adults only.",
  r_not_open: "Your window is not open yet.", r_paused: "The sale is paused. Your turn is not lost.", r_sold_out: "Sold out. You can wait for a unit that comes back.", r_sold_out_left: "Only {left} left: ask for fewer.",
  r_gone: "Sold out, and every unit is paid for.", r_limit_reached: "You have {held} of {limit}: that is your limit.", r_too_many_orders: "You have ordered here too often.",
  r_not_enough_points: "You have {points} points.", r_coupon_not_valid: "That coupon does not count here.", r_busy: "Very many are clicking. Please try again.",
  r_not_sold_out: "There is a unit on sale: buy it!", r_waitlist_full: "The waitlist is full.", r_not_cancellable: "This order cannot be cancelled any more.",
  r_already_claimed: "You have had it.", r_not_your_month: "Come back in the month of your birthday.", r_reward_gone: "The last one is gone.", r_reward_limit: "You have had as many as you may.",
  r_history_lost: "Please try again in a while.", r_unknown_order: "There is no such order.", r_other: "That did not work. Try again.",
  m_title: "My membership", m_until: "kept until {time}", m_next: "{n} growth to {tier}", m_top: "The highest tier. Thank you.", m_growth: "Growth", m_points: "Points",
  m_pending: "{n} when your orders are paid", m_expiring: "{n} expire {time}", m_code: "Your referral code", m_copy: "Copy", m_copied: "Copied",
  m_stages: "Friends: {n} stages reached", m_coupons: "Coupons", m_rewards: "Rewards", m_redeem: "Redeem for {n}", m_lines: "What came and went", m_none: "Nothing yet.",
  m_not: "You are not a member yet. The shop's app enrols you.", m_birthday: "Birthday", m_solar: "solar", m_lunar: "lunar", m_month: "Month", m_day: "Day", m_save: "Save", m_gift: "Claim your birthday gift", m_done: "Done.",
  m_leap: "leap month", s_registration: "a friend joined", s_first_order: "first order", s_silver: "reached silver", s_waiting: "waiting", s_paid: "paid", s_taken_back: "taken back", s_not_counted: "not counted",
  m_saved: "Saved by your tier", m_news: "News", n_tier_reached: "You are {tier} now", n_tier_at_risk: "Your tier ends {time}", n_points_expiring: "{n} points expire {time}", n_gift_waiting: "Your birthday gift waits", n_referral_paid: "{n} points for your friend",
  k_order: "order", k_order_ended: "order ended", k_refund: "refund", k_referral_registration: "a friend joined", k_referral_first_order: "a friend's first order",
  k_referral_silver: "a friend reached silver", k_referral_not_counted: "a friend, not counted", k_referral_taken_back: "a friend's order went back", k_share: "shared", k_watch: "watched", k_interact: "took part", k_invite: "invited",
  k_hold: "kept for an order", k_spent: "spent", k_given_back: "given back", k_expiry: "expired", k_birthday: "birthday", k_adjustment: "correction", k_opening: "before",
  k_benefit: "benefit", k_redemption: "redeemed", k_other: "other", a_growth: "growth", a_points: "points", a_pending: "pending", a_held: "kept", c_free: "yours", c_held: "kept for an order", c_used: "used", c_expired: "expired",
};

const ZH = {
  sales: "直播好物", none: "现在没有活动，下一场见。", back: "全部活动", room: "直播间",
  live: "直播中", again: "正在重新连接…", lost: "网络断开，您的点击已保留，会自动重发。",
  left: "还剩 {left} / {stock}", waiting: "{n} 人在排队", gone: "已售完",
  open: "进行中", scheduled: "即将开始", paused: "暂停", sold_out: "已售完", closed: "已结束",
  tier: "{tier}价", member_day: "会员日", save: "为您省 {money}",
  regular: "普通会员", silver: "白银会员", gold: "黄金会员", platinum: "铂金会员", diamond: "钻石会员",
  windows: "各等级开抢时间", from: "{time} 开抢", since: "已开抢", upto: "限购 {n} 件", you: "您", nobody: "本等级不可购买",
  closes: "{time} 结束", units: "数量", fewer: "减一件", more: "加一件", points: "使用积分", extras: "积分与优惠券",
  points_help: "每件最多 {n} 积分", coupon: "优惠券", no_coupon: "不使用",
  b_loading: "请稍候…", b_opens: "{time} 后开抢", b_buy: "立即抢购", b_going: "正在抢购…", b_kept: "正在重发…",
  b_paid: "已付款，归您了", b_sold_out: "已售完：排队等候", b_gone: "已售完", b_waits: "排队中，第 {n} 位",
  b_offer: "轮到您了！请稍候…", b_pay: "{time} 内付款 {money}", b_limit: "已达限购 {n} 件", b_tier: "您的等级不可购买",
  b_paused: "主播暂停中", b_closed: "活动已结束", b_sign_in: "登录后购买", b_unknown: "没有这个活动",
  b_resend: "查询刚才的点击", h_resend: "刚才的点击没有回音，会以同一编号重发，只买一次。", forget: "放弃那次点击",
  r_lost: "没有回音，请再试一次。", again_busy: "抢购人数很多，正在重试…", another: "再买一件", leave: "退出排队", cancel: "取消订单", cancel_sure: "确定取消？",
  h_opens: "{tier}专享时段 {time} 开始。", h_buy: "您最多可买 {n} 件。", h_sold_out: "有人未按时付款时，会有名额释放。",
  h_gone: "全部已付款。", h_waits: "轮到您时会为您保留，可以先离开本页。", h_paused: "主播马上继续，请不要离开。",
  h_tier: "本场限 {tiers}。", h_sign_in: "请从应用内打开本直播间，您在那里已登录。", h_pay: "逾期未付款将释放给其他人。",
  h_going: "结果会显示在按钮上，不用重复点击。", h_unknown: "活动可能已结束，或不对您开放。", h_limit: "这是{tier}的最高限购数量。",
  orders: "我的订单", order: "订单 {n} · {units}", unit: "1 件", n_units: "{n} 件",
  o_reserved: "已锁定", o_confirmed: "{time} 内付款", o_paid: "已付款", o_cancelled: "已取消", o_expired: "超时未付款", o_released: "未能保留",
  o_refund_due: "退款处理中", o_refunded: "已退款", o_returned: "已退货",
  said_reserved: "已锁定，正在确认…", said_confirmed: "抢到了，请在时限内付款。", said_paid: "付款成功，谢谢！",
  said_offer: "轮到您了，请在 {time} 内付款！", said_open: "您的时段已开始。", said_waits: "您排在第 {n} 位。", said_left: "您已退出排队。", said_cancelled: "已取消，名额已释放。",
  said_pay: "请返回应用付款，付款编号 {ref}。",
  token: "令牌", enter: "进入", language: "English", me: "会员中心",
  r_bad_request: "请求有误，请刷新页面。", r_unauthenticated: "登录已过期，请从应用内重新打开。",
  r_too_many_requests: "点得太快了，请 {wait} 秒后再试。", r_blocked: "您暂时不能在此购买，请联系客服。",
  r_unknown_sale: "没有对您开放的这个活动。", r_bad_units: "可购买 1 到 {limit} 件。", r_idempotency_conflict: "这是另一次点击，请再点一次。",
  r_idempotency_in_flight: "您的点击正在处理。", r_closed: "活动已结束。", r_tier_not_admitted: "本场不对您的等级开放。", r_not_for_minors: "本场仅限成年人。",
  r_not_open: "您的时段尚未开始。", r_paused: "活动暂停，您的机会还在。", r_sold_out: "已售完，可以排队等候释放的名额。", r_sold_out_left: "只剩 {left} 件，请减少数量。",
  r_gone: "已售完，且全部已付款。", r_limit_reached: "您已有 {held} 件，限购 {limit} 件。", r_too_many_orders: "您在本场下单次数过多。",
  r_not_enough_points: "您有 {points} 积分。", r_coupon_not_valid: "该优惠券不能用于本场。", r_busy: "抢购人数很多，请再试一次。",
  r_not_sold_out: "现在有货，快买！", r_waitlist_full: "排队人数已满。", r_not_cancellable: "该订单已不能取消。",
  r_already_claimed: "您已领取过。", r_not_your_month: "请在生日当月再来。", r_reward_gone: "已兑完。", r_reward_limit: "已达兑换上限。",
  r_history_lost: "请稍后再试。", r_unknown_order: "没有这个订单。", r_other: "没有成功，请再试一次。",
  m_title: "会员中心", m_until: "等级保留至 {time}", m_next: "再得 {n} 成长值升为{tier}", m_top: "已是最高等级，谢谢您。", m_growth: "成长值", m_points: "积分",
  m_pending: "订单付款后再得 {n}", m_expiring: "{n} 积分将于 {time} 到期", m_code: "我的邀请码", m_copy: "复制", m_copied: "已复制",
  m_stages: "好友：已达成 {n} 个阶段", m_coupons: "优惠券", m_rewards: "兑换", m_redeem: "{n} 积分兑换", m_lines: "明细", m_none: "暂无。",
  m_not: "您还不是会员，请在应用内加入。", m_birthday: "生日", m_solar: "公历", m_lunar: "农历", m_month: "月", m_day: "日", m_save: "保存", m_gift: "领取生日礼", m_done: "完成。",
  m_leap: "闰月", s_registration: "好友加入", s_first_order: "首单", s_silver: "升级白银", s_waiting: "等待中", s_paid: "已发放", s_taken_back: "已收回", s_not_counted: "未计入",
  m_saved: "等级为您节省", m_news: "消息", n_tier_reached: "您已升为{tier}", n_tier_at_risk: "您的等级将于 {time} 到期", n_points_expiring: "{n} 积分将于 {time} 到期", n_gift_waiting: "生日礼待领取", n_referral_paid: "好友奖励 {n} 积分",
  k_order: "订单", k_order_ended: "订单结束", k_refund: "退款", k_referral_registration: "好友加入", k_referral_first_order: "好友首单",
  k_referral_silver: "好友升级白银", k_referral_not_counted: "好友未计入", k_referral_taken_back: "好友订单退回", k_share: "分享", k_watch: "观看", k_interact: "互动", k_invite: "邀请",
  k_hold: "订单占用", k_spent: "使用", k_given_back: "退还", k_expiry: "到期", k_birthday: "生日", k_adjustment: "调整", k_opening: "期初",
  k_benefit: "权益", k_redemption: "兑换", k_other: "其他", a_growth: "成长值", a_points: "积分", a_pending: "待入账", a_held: "占用", c_free: "可用", c_held: "订单占用", c_used: "已使用", c_expired: "已过期",
};

export const DICTIONARIES = { en: EN, zh: ZH };

const kept = () => {
  try { return localStorage.getItem("language"); } catch { return null; }
};
export let language = kept() ?? (navigator.language?.startsWith("zh") ? "zh" : "en");

/** The words for a key, with what stands in braces filled in. */
export function say(key, values = {}) {
  const words = DICTIONARIES[language][key] ?? DICTIONARIES.en[key] ?? key;
  return words.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Speaks the other language from now on; what is shown already is for the caller to say anew. */
export function turnLanguage() {
  language = language === "zh" ? "en" : "zh";
  try { localStorage.setItem("language", language); } catch { /* Not kept. */ }
}

/** Speaks the other language from now on. */
export function switchLanguage() {
  turnLanguage();
  location.reload();
}

/** Fills in every element that has `data-say`, and the label of every one that has `data-label`. */
export function speak(root = document) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of root.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  for (const node of root.querySelectorAll("[data-label]")) node.setAttribute("aria-label", say(node.dataset.label));
}

/** Money by the currency's own digits: 5000 is 50.00 CNY and 5000 JPY. */
export function money(minor, currency) {
  const format = new Intl.NumberFormat(document.documentElement.lang, { style: "currency", currency, currencyDisplay: "narrowSymbol" });
  return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
}

/** An instant: the hour today, else the day as well. */
export function time(text, now) {
  const then = new Date(text);
  const isToday = then.toDateString() === new Date(now).toDateString();
  const clock = then.getSeconds() ? "medium" : "short";
  const options = isToday ? { timeStyle: clock } : { dateStyle: "medium", timeStyle: "short" };
  return then.toLocaleString(document.documentElement.lang, options);
}

/** How long until something opens: 0:12, 9:58, 3:05:00, and days beyond two of them. */
export const until = (text, now) => span(text, now, Math.ceil);
/** How long there is still time: no second more than there is. */
export const within = (text, now) => span(text, now, Math.floor);

function span(text, now, whole) {
  const s = Math.max(0, whole((new Date(text) - now) / 1000));
  if (s >= 2 * 86400) return time(text, now);
  const two = (n) => String(n).padStart(2, "0");
  const [hours, minutes] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
}
