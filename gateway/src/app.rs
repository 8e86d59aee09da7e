//! App: what this process has for its handlers. A handler takes what it needs of it, and no more.

use crate::ask::rates::Rates;
use crate::ask::session::Sessions;
use crate::ask::signature::PaymentKeys;
use crate::ask::verifier::Verifier;
use crate::member::click::Clicks;
use crate::member::health::Leaving;
use crate::member::hub::Hub;
use crate::member::passes::Passes;
use crate::operator::metrics::Gates;
use axum::extract::FromRef;
use engine::Engine;
use std::sync::Arc;
use tokio::sync::watch;

/// What handlers may use, in parts. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Parts>);

/// Defines the parts, and lets a handler take each of them by its type.
macro_rules! parts {
    ($($name:ident: $part:ty),+ $(,)?) => {
        #[derive(Debug)]
        struct Parts {
            $($name: Arc<$part>,)+
        }

        $(impl FromRef<App> for Arc<$part> {
            fn from_ref(app: &App) -> Self {
                Self::clone(&app.0.$name)
            }
        })+
    };
}

parts! {
    engine: Engine,
    sessions: Sessions,
    clicks: Clicks,
    rates: Rates,
    payment_keys: PaymentKeys,
    hub: Hub,
    gates: Gates,
    passes: Passes,
    leaving: Leaving,
}

impl App {
    /// Streams of events end when `stop` becomes true.
    pub(crate) fn new(
        engine: Engine,
        verifier: Arc<Verifier>,
        payment_keys: Arc<PaymentKeys>,
        rates: Arc<Rates>,
        stop: watch::Receiver<bool>,
        anonymous_streams_max: u64,
    ) -> Self {
        let engine = Arc::new(engine);
        Self(Arc::new(Parts {
            sessions: Arc::new(Sessions::new(verifier, Arc::clone(&engine))),
            clicks: Arc::new(Clicks::new(Arc::clone(&engine), Arc::clone(&rates))),
            rates,
            payment_keys,
            hub: Arc::new(Hub::new(Arc::clone(&engine), stop, anonymous_streams_max)),
            gates: Arc::default(),
            passes: Arc::default(),
            leaving: Arc::default(),
            engine,
        }))
    }
}
