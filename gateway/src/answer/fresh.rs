//! Fresh: the JSON of what nearly every click hears, written at once: an order that is reserved or confirmed, or that too
//! few units are left.
//!
//! serde looks through each name and each text for characters that must be escaped, which costs more than to judge the
//! click. None of these has any: ids, numbers, instants and words with a fixed set.

use crate::answer::view::Time;
use engine::OpenSale;
use engine::rules::money::Money;
use engine::rules::order::{Order, Status};
use engine::rules::payment_ref::payment_ref;
use engine::rules::units::Units;
use membership::MemberId;
use std::fmt::Write;

/// What the [view](crate::answer::view::OrderView) of an order on the board says; `None` if it says more than of most.
pub(crate) fn order(open: &OpenSale, order: &Order, member: &MemberId) -> Option<String> {
    let confirmed_at = match (order.status, order.settled_at) {
        (Status::Reserved, None) => None,
        (Status::Confirmed, Some(at)) => Some(at),
        _ => return None,
    };
    let Money { price, kind, points, coupon: None, due } = open.sale.money(order) else {
        return None;
    };
    let (terms, epoch, number) = (open.sale.terms(), open.sale.epoch(), order.number);
    let mut json = Json::begin();
    json.text(r#"{"order_id":""#, terms.id.as_str());
    json.number(".", epoch);
    json.number(".", number);
    json.text(r#"","payment_ref":""#, &payment_ref(open.sale_number, epoch, number));
    json.text(r#"","sale":""#, terms.id.as_str());
    json.text(r#"","member":""#, member.as_str());
    json.text(r#"","tier":""#, order.tier.as_str());
    json.number(r#"","units":"#, order.units.0);
    json.text(r#","status":""#, order.status.as_str());
    json.number(r#"","number":"#, number);
    json.instant(r#","reserved_at":""#, Time(order.reserved_at));
    if let Some(at) = confirmed_at {
        json.instant(r#"","confirmed_at":""#, Time(at));
        json.instant(r#"","pay_by":""#, Time(open.pay_by(at)));
        json.instant(r#"","changed_at":""#, Time(at));
    }
    json.text(r#"","currency":""#, &terms.currency);
    json.number(r#"","price_cents":"#, price.0);
    json.text(r#","price_kind":""#, kind.as_str());
    json.number(r#"","points":"#, points);
    json.number(r#","due_cents":"#, due.0);
    Some(json.end("}"))
}

/// What the [problem](crate::answer::problem::Problem) of a click says that found too few units.
pub(crate) fn sold_out(left: Units, may_return: bool) -> String {
    let mut json = Json::begin();
    json.text(r#"{"type":"/problems/sold-out","title":"Conflict","status":409"#, "");
    json.text(r#","detail":"not enough units are left","code":"sold_out""#, "");
    json.number(r#","left":"#, left.0);
    json.end(if may_return { r#","may_return":true}"# } else { r#","may_return":false}"# })
}

/// An object that is written from its beginning to its end.
struct Json(String);

impl Json {
    fn begin() -> Self {
        // Room for all of it, so that it is not copied while it grows.
        Self(String::with_capacity(640))
    }

    /// A value without any character that must be escaped, and what stands before it.
    fn text(&mut self, before: &str, value: &str) {
        debug_assert!(value.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\'), "{value:?}");
        self.0.push_str(before);
        self.0.push_str(value);
    }

    fn number(&mut self, before: &str, value: impl itoa::Integer) {
        self.text(before, itoa::Buffer::new().format(value));
    }

    fn instant(&mut self, before: &str, at: Time) {
        self.0.push_str(before);
        write!(self.0, "{at}").expect("a text takes all");
    }

    fn end(mut self, last: &str) -> String {
        self.0.push_str(last);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::error::ApiError;
    use crate::answer::view::OrderView;
    use engine::roster::Roster;
    use engine::rules::cents::Cents;
    use engine::rules::member_terms::{CouponTerms, MemberTerms, Off};
    use engine::rules::money::ForeignId;
    use engine::rules::refusal::Refusal;
    use engine::rules::terms::Terms;
    use engine::rules::time::Millis;
    use engine::rules::units::Units;
    use engine::rules::window::Windows;
    use engine::sale::purse::{Purses, Told, Usable};
    use engine::sale::{Click, ORDERS_PER_MEMBER};
    use engine::store::{MemoryStore, Store};
    use membership::{PerTier, Tier};
    use std::sync::Arc;
    use tokio::sync::watch;

    #[tokio::test]
    async fn an_order_is_written_as_its_view_is_and_an_unusual_one_is_left_to_it() {
        let mut members = MemberTerms { points_share_max: 50, ..MemberTerms::default() };
        members.discounts[Tier::Gold] = 10;
        let coupon = CouponTerms { off: Off::Percent(5), least_order: Cents(1) };
        members.coupons.insert("new".into(), coupon);
        let terms = Terms {
            id: "lamp".parse().unwrap(),
            title: "A lamp".into(),
            price: Cents(19_900),
            currency: "CNY".into(),
            stock: Units(9),
            windows: Windows::new(PerTier([Some(Millis(1)); 5]), Millis::MAX).unwrap(),
            limits: PerTier([Units(9); 5]),
            pay_within_s: 900,
            adults_only: false,
            image_url: None,
            members,
        };
        let store: Store = MemoryStore::default().into();
        store.opening.create(&terms).await.unwrap();
        let opened = store.opening.open(&terms.id).await.unwrap();
        let (roster, (_running, stopping)) = (Roster::new(), watch::channel(false));
        let open =
            OpenSale::resume(opened, ORDERS_PER_MEMBER, &roster, Arc::default(), stopping).unwrap();
        let member: MemberId = "shop|ann.0=~+@:-_".parse().unwrap();
        let seat = roster.seat(member.as_str()).unwrap();
        let said = |number| {
            let order = open.sale.board().read(number).unwrap();
            let view = OrderView::here(&open, &order, member.clone());
            (super::order(&open, &order, &member), serde_json::to_string(&view).unwrap())
        };
        for (tier, price) in [(Tier::Gold, "\"tier\""), (Tier::Regular, "\"list\"")] {
            let click = Click { seat, tier, units: Units(2), key: None, is_minor: false };
            let number = open.sale.buy(Millis(1_795_000_000_007), click).unwrap().number;
            let (fresh, view) = said(number);
            assert!(view.contains(price), "{view}");
            assert_eq!(fresh.as_deref(), Some(&*view));
            open.sale.settle(number, Status::Confirmed, Millis(1_795_000_000_019));
            let (fresh, view) = said(number);
            assert_eq!(fresh.as_deref(), Some(&*view));
            open.sale.settle(number, Status::Paid, Millis(1_795_000_000_023));
            assert_eq!(said(number).0, None);
        }
        let (purses, until, kind) = (Purses::default(), Millis::MAX, "new".to_owned());
        let id: ForeignId = "c-1".parse().unwrap();
        let coupons = vec![Usable { id: id.clone(), kind, until }];
        purses.tell(seat, Told { balance: 5_000, coupons }, 0);
        let (at, tier, units) = (Millis(1_795_000_000_031), Tier::Gold, Units(1));
        let click = Click { seat, tier, units, key: None, is_minor: false };
        let buy = |points, coupon| open.sale.buy_with(at, click, &purses, points, coupon);
        let (fresh, view) = said(buy(500, None).unwrap().unwrap().number);
        assert!(view.contains("\"points\":500"), "{view}");
        assert_eq!(fresh.as_deref(), Some(&*view));
        assert_eq!(said(buy(0, Some(id)).unwrap().unwrap().number).0, None);
    }

    #[test]
    fn that_too_few_are_left_is_written_as_its_problem_is() {
        for (left, may_return) in [(0, true), (0, false), (17, true)] {
            let (refusal, tier) = (Refusal::SoldOut { left: Units(left) }, Tier::Gold);
            let error = ApiError::Refused { refusal, tier, now: Millis(1), may_return };
            let (status, code, _) = error.answer();
            let problem = serde_json::to_string(&error.problem(status, code)).unwrap();
            assert_eq!(sold_out(Units(left), may_return), problem);
        }
    }
}
