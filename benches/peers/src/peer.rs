//! One of the kinds, behind one face.

use crate::mutex::Plain;
use crate::postgres::Postgres;
use crate::script::Script;
use crate::shop::{Click, Told};

/// A kind of sale.
#[derive(Debug)]
pub(crate) enum Peer {
    Mutex(Plain),
    Script(Script),
    Postgres(Postgres),
}

impl Peer {
    pub(crate) async fn buy(&self, click: Click) -> anyhow::Result<Told> {
        match self {
            Self::Mutex(plain) => Ok(plain.buy(click)),
            Self::Script(script) => script.buy(&click).await,
            Self::Postgres(postgres) => postgres.buy(click).await,
        }
    }

    /// Orders that were told of and are not on disk yet.
    pub(crate) fn waiting(&self) -> u64 {
        match self {
            Self::Mutex(plain) => plain.waiting(),
            Self::Script(_) | Self::Postgres(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::Shop;
    use benches::run::redis::RedisServer;

    /// A peer that sold too much would look faster than it is.
    async fn check(peer: Peer) {
        let click =
            |member: &str, units| Click { member: member.into(), tier: "gold".into(), units };
        let number = |told| match told {
            Told::Reserved(number) | Told::Confirmed(number) => number,
            refused => panic!("{refused:?}"),
        };
        assert_eq!(number(peer.buy(click("ann", 2)).await.unwrap()), 1);
        assert_eq!(peer.buy(click("ann", 1)).await.unwrap(), Told::LimitReached);
        assert_eq!(number(peer.buy(click("bob", 2)).await.unwrap()), 2);
        assert_eq!(peer.buy(click("cyd", 2)).await.unwrap(), Told::SoldOut);
        assert_eq!(number(peer.buy(click("cyd", 1)).await.unwrap()), 3);
        assert_eq!(peer.buy(click("dan", 1)).await.unwrap(), Told::SoldOut);
        while peer.waiting() > 0 {
            tokio::task::yield_now().await;
        }
    }

    const SHOP: Shop = Shop { stock: 5, limit: 2 };

    #[tokio::test]
    async fn the_mutex_sells_what_there_is_and_no_member_more_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        check(Peer::Mutex(Plain::open(&folder.path().join("orders"), SHOP).unwrap())).await;
    }

    #[tokio::test]
    async fn the_script_sells_what_there_is_and_no_member_more_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let server = RedisServer::start(folder.path());
        check(Peer::Script(Script::connect(&server.url(), SHOP).await.unwrap())).await;
    }
}
