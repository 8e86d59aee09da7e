//! Orders as lines of CSV (RFC 4180).

use super::view::OrderView;
use serde_json::Value;

/// The columns: the fields of an order in JSON.
const COLUMNS: [&str; 20] = [
    "order_id",
    "payment_ref",
    "sale",
    "member",
    "tier",
    "units",
    "status",
    "number",
    "reserved_at",
    "confirmed_at",
    "pay_by",
    "changed_at",
    "currency",
    "price_cents",
    "price_kind",
    "points",
    "coupon",
    "due_cents",
    "refunded_cents",
    "why",
];

/// The first line.
pub(crate) const HEAD: &str = "order_id,payment_ref,sale,member,tier,units,status,number,reserved_at,\
    confirmed_at,pay_by,changed_at,currency,price_cents,price_kind,points,coupon,due_cents,refunded_cents,why\r\n";

/// The line of one order. What an order does not have is empty.
pub(crate) fn line(order: &OrderView) -> String {
    let order = serde_json::to_value(order).expect("an order is plain data");
    let mut line = String::new();
    for (nth, column) in COLUMNS.into_iter().enumerate() {
        line.push_str(if nth > 0 { "," } else { "" });
        // No value of an order has a comma, a quote or an end of line in it: ids have none.
        match &order[column] {
            Value::Null => {}
            Value::String(text) => line.push_str(text),
            other => line.push_str(&other.to_string()),
        }
    }
    line.push_str("\r\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_columns() {
        assert_eq!(HEAD.trim_end(), COLUMNS.join(","));
    }
}
