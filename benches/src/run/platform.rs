//! The side of the platform's own servers: they enrol members and tell what these did.

use crate::run::caller::Caller;
use anyhow::{Context, ensure};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A connection to the platform listener.
#[derive(Debug)]
pub struct Platform(Caller);

/// A member's account, as far as others ask for it.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// To be given to others.
    pub referral_code: String,
    /// The member's tier.
    pub tier: String,
    /// What the member can spend.
    pub points: Points,
}

/// A member's points.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Points {
    /// What counts now.
    pub balance: i64,
    /// Of orders that are not paid yet.
    pub pending: u64,
}

impl Platform {
    /// Returns a connection to `address` that sends the platform's key.
    ///
    /// # Errors
    /// When the key cannot be the value of a header.
    pub fn new(address: SocketAddr, key: &str) -> anyhow::Result<Self> {
        Ok(Self(Caller::new(address, key)?))
    }

    /// Enrols a member, perhaps by another one's code. A repetition finds them enrolled.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn enrol(&mut self, member: &str, code: Option<&str>) -> anyhow::Result<Account> {
        let mut body = json!({ "member": member });
        if let Some(code) = code {
            body["referral_code"] = code.into();
        }
        self.0.call(Method::POST, "/v1/members", Some(&body)).await
    }

    /// Clicks for a regular member, one unit; returns the order's id.
    ///
    /// # Errors
    /// When the server refuses the call, or the click.
    pub async fn click(&mut self, sale: &str, member: &str) -> anyhow::Result<String> {
        let body = json!({"clicks": [{"member": member, "tier": "regular", "units": 1}]});
        let path = format!("/v1/sales/{sale}/clicks");
        let answers: Value = self.0.call(Method::POST, &path, Some(&body)).await?;
        let id = answers["answers"][0]["order_id"].as_str();
        Ok(id.with_context(|| format!("the click was answered {answers}"))?.to_owned())
    }

    /// Returns a member's account.
    ///
    /// # Errors
    /// When the server refuses the call, as for a member who is not enrolled.
    pub async fn account(&mut self, member: &str) -> anyhow::Result<Account> {
        self.0.call(Method::GET, &format!("/v1/members/{member}"), None).await
    }

    /// Tells what members did, at most 1,000 acts.
    ///
    /// # Errors
    /// When the server refuses the call, or one of them.
    pub async fn tell(&mut self, acts: &[Value]) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Told {
            new: usize,
        }
        let Told { new } = self.0.call(Method::POST, "/v1/events", Some(&json!(acts))).await?;
        ensure!(new == acts.len(), "{new} of {} acts were taken", acts.len());
        Ok(())
    }
}
