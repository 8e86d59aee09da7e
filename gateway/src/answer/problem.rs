//! What a problem looks like in JSON: RFC 9457, whole for a request, in short for one of many clicks.

use super::view::Time;
use super::words;
use membership::Tier;
use serde::{Serialize, Serializer};
use std::fmt;
use utoipa::ToSchema;

/// One field to correct.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    pub(crate) reason: String,
}

/// The body of a problem, as clients read it.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(examples(json!({
    "type": "/problems/sold-out", "title": "Conflict", "status": 409, "detail": "sold out",
    "code": "sold_out", "left": 0, "may_return": true,
})))]
pub(crate) struct Problem {
    /// `/problems/` and the code with dashes.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub(super) kind: Kind,
    pub(super) title: &'static str,
    pub(super) status: u16,
    /// A sentence for a person: what went wrong, or what to do.
    pub(super) detail: String,
    /// The stable word that clients switch on.
    #[schema(value_type = words::Code)]
    pub(super) code: &'static str,
    /// `bad_units`, `limit_reached`: most units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<u32>,
    /// `limit_reached`: units that the member holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<u32>,
    /// `too_many_orders`: most orders of one member in one sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) most: Option<u16>,
    /// `tier_not_admitted`: the member's tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = words::Tier, required = false)]
    pub(super) tier: Option<Tier>,
    /// `not_open`: when this tier's window opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) opens_at: Option<Time>,
    /// `not_open`: the server's clock, by which the window opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) server_time: Option<Time>,
    /// `sold_out`, `not_sold_out`: units that are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) left: Option<u32>,
    /// `sold_out`: whether units may still come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) may_return: Option<bool>,
    /// `not_enough_points`: points that there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) points: Option<u64>,
    /// `invalid_batch`: which click cannot be read, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<usize>,
    /// `invalid_sale`, `invalid_plan`: what to correct.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<FieldError>,
}

/// A code as a relative URI.
#[derive(Debug, Default)]
pub(super) struct Kind(pub(super) &'static str);

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/problems")?;
        let mut separator = "/";
        for word in self.0.split('_') {
            write!(f, "{separator}{word}")?;
            separator = "-";
        }
        Ok(())
    }
}

/// Why one of many clicks was not accepted: a problem without what every problem repeats.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Brief {
    #[schema(value_type = words::Code)]
    code: &'static str,
    /// `too_many_requests`, `busy`: how long to wait, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    most: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = words::Tier, required = false)]
    tier: Option<Tier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    opens_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    server_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_return: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<u64>,
}

impl Brief {
    pub(super) fn of(problem: &Problem, retry_after: Option<u64>) -> Self {
        let Problem { code, limit, held, most, tier, opens_at, server_time, .. } = *problem;
        let Problem { left, may_return, points, .. } = *problem;
        Self {
            code,
            retry_after,
            limit,
            held,
            most,
            tier,
            opens_at,
            server_time,
            left,
            may_return,
            points,
        }
    }
}
