//! What a process does with a sale that the store holds and that cannot be.

use crate::support::{member, terms};
use engine::OpenSale;
use engine::roster::Roster;
use engine::rules::tally::Tallies;
use engine::rules::units::Units;
use engine::sale::ORDERS_PER_MEMBER;
use engine::store::{Holding, Opened, StoreError};
use tokio::sync::watch;

fn opened() -> Opened {
    Opened {
        sale_number: 1,
        terms: terms(10),
        epoch: 1,
        stock: Units(10),
        left: Units(10),
        is_paused: false,
        is_closed: false,
        next_number: 1,
        tallies: Tallies::default(),
        holdings: Vec::new(),
        keyed: Vec::new(),
        unpaid: Vec::new(),
        waiting: Vec::new(),
    }
}

fn resumed(opened: Opened) -> Result<OpenSale, StoreError> {
    let (_running, stopping) = watch::channel(false);
    OpenSale::resume(opened, ORDERS_PER_MEMBER, &Roster::new(), Default::default(), stopping)
}

#[test]
fn counts_that_no_sale_can_have_are_damage_and_no_panic() {
    assert!(resumed(opened()).is_ok());
    let bad = [
        Opened {
            holdings: vec![Holding { member: member("ann"), units: Units(65_536), orders: 1 }],
            ..opened()
        },
        Opened { left: Units(11), ..opened() },
        Opened { stock: Units(10_000_001), ..opened() },
        Opened { next_number: 0, ..opened() },
    ];
    for opened in bad {
        let said = format!("{opened:?}");
        let error = resumed(opened).map(drop).unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{said}: {error}");
    }
}
