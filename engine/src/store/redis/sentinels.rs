//! Sentinels: they say which Redis is the primary, whenever a connection is made.

use super::address::{Address, Way};
use super::meaning::meaning;
use crate::store::StoreError;
use redis::{RedisConnectionInfo, RedisError};
use std::time::Duration;

/// The Sentinels that watch a primary.
pub(super) struct Sentinels {
    way: Way,
    addresses: Vec<Address>,
    /// The name under which they know it.
    name: String,
    /// How long one of them may take.
    patience: Duration,
}

impl Sentinels {
    pub(super) fn new(
        way: &Way,
        addresses: Vec<Address>,
        name: String,
        patience: Duration,
    ) -> Self {
        Self { way: way.clone(), addresses, name, patience }
    }

    /// Where the primary is, by the first Sentinel that knows it.
    pub(super) async fn primary(&self) -> Result<Address, StoreError> {
        let mut why = String::new();
        for address in &self.addresses {
            match tokio::time::timeout(self.patience, self.ask(address)).await {
                Ok(Ok(Some((host, port)))) => return Ok(Address { host, port }),
                Ok(Ok(None)) => why = format!("{address} knows no primary `{}`", self.name),
                Ok(Err(error)) => why = format!("{address}: {}", meaning(&error)),
                Err(_) => why = format!("{address} does not answer"),
            }
        }
        Err(StoreError::Refused(format!("no Sentinel names the primary: {why}")))
    }

    async fn ask(&self, address: &Address) -> Result<Option<(String, u16)>, RedisError> {
        // Most Sentinels have no password; the others have that of the primary.
        let nobody = RedisConnectionInfo::default();
        match self.ask_as(address, &nobody).await {
            Err(error) if error.to_string().contains("NOAUTH") => {
                let user = self.way.user().clone().set_db(0);
                self.ask_as(address, &user).await
            }
            answer => answer,
        }
    }

    async fn ask_as(
        &self,
        address: &Address,
        user: &RedisConnectionInfo,
    ) -> Result<Option<(String, u16)>, RedisError> {
        let client = self.way.as_user(user).to(address).map_err(std::io::Error::other)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut get = redis::cmd("SENTINEL");
        get.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        get.query_async(&mut connection).await
    }
}
