//! Names: which sale a request concerns, from its address, or from the body of a payment.

use axum::http::Uri;
use engine::rules::payment_ref::read_payment_ref;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// How a request names the sale that it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// By its id.
    Id(String),
    /// By its number, as payment refs do.
    Number(u32),
}

impl Named {
    /// The sale of an order that is named by its id or by its payment ref.
    fn of_order(name: &str) -> Option<Self> {
        match name.split_once('.') {
            Some((sale, _)) => Some(Self::Id(sale.to_owned())),
            None => read_payment_ref(name).map(|(number, _, _)| Self::Number(number)),
        }
    }
}

/// The sale that a request for this address concerns; `None` if it concerns none, or many.
pub(crate) fn in_address(uri: &Uri) -> Option<Named> {
    let mut segments = uri.path().strip_prefix("/v1/")?.split('/');
    let text = |segment: &str| percent_decode_str(segment).decode_utf8().ok().map(String::from);
    match (segments.next()?, segments.next().filter(|name| !name.is_empty()), segments.next()) {
        ("sales", Some(sale), _) => text(sale).map(Named::Id),
        ("orders", Some(order), _) => text(order).and_then(|order| Named::of_order(&order)),
        ("orders", None, _) | ("members", Some(_), Some("orders")) => {
            let mut given = form_urlencoded::parse(uri.query()?.as_bytes());
            given.find(|(name, _)| name == "sale").map(|(_, sale)| Named::Id(sale.into_owned()))
        }
        _ => None,
    }
}

#[derive(Debug, Deserialize)]
struct Payment {
    order_id: Option<String>,
    payment_ref: Option<String>,
}

/// The sale that what a payment provider tells concerns.
pub(crate) fn in_payment(body: &[u8]) -> Option<Named> {
    let Payment { order_id, payment_ref } = serde_json::from_slice(body).ok()?;
    Named::of_order(&order_id.or(payment_ref)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(sale: &str) -> Option<Named> {
        Some(Named::Id(sale.into()))
    }

    #[test]
    fn the_sale_is_found_wherever_a_request_names_it() {
        for (address, sale) in [
            ("/v1/sales/lamp", id("lamp")),
            ("/v1/sales/lamp/orders?x=1", id("lamp")),
            ("/v1/sales/l%61mp/events", id("lamp")),
            ("/v1/orders/lamp.17.3", id("lamp")),
            ("/v1/orders/lamp.17.3/cancel", id("lamp")),
            ("/v1/orders?after=7&sale=lamp", id("lamp")),
            ("/v1/members/ann/orders?sale=lamp", id("lamp")),
            ("/v1/sales", None),
            ("/v1/sales/", None),
            ("/v1/orders?after=7", None),
            ("/v1/orders/nothing", None),
            ("/v1/members/ann", None),
            ("/v1/me", None),
            ("/room/lamp", None),
            ("/", None),
        ] {
            assert_eq!(in_address(&address.parse().unwrap()), sale, "{address}");
        }
        let by_ref = engine::rules::payment_ref::payment_ref(7, 17, 3);
        let address = format!("/v1/orders/{by_ref}");
        assert_eq!(in_address(&address.parse().unwrap()), Some(Named::Number(7)));
        assert_eq!(in_payment(br#"{"order_id":"lamp.17.3","event":"paid"}"#), id("lamp"));
        let body = format!("{{\"payment_ref\":\"{by_ref}\"}}");
        assert_eq!(in_payment(body.as_bytes()), Some(Named::Number(7)));
        assert_eq!(in_payment(b"{}"), None);
    }
}
