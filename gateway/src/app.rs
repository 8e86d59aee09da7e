//! App: what this process has for its handlers. A handler takes what it needs of it, and no more.

use crate::ask::media::MediaOrigins;
use crate::ask::rates::Rates;
use crate::ask::session::Sessions;
use crate::ask::signature::PaymentKeys;
use crate::ask::tiers::TiersFrom;
use crate::ask::verifier::Verifier;
use crate::audit::AuditLog;
use crate::front::asking::Front;
use crate::front::relay::Relay;
use crate::member::click::Clicks;
use crate::member::health::Leaving;
use crate::member::hub::Hub;
use crate::member::passes::Passes;
use crate::meters::Meters;
use crate::rehearsal::Rehearsals;
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
    meters: Meters,
    passes: Passes,
    leaving: Leaving,
    audit: AuditLog,
    media: MediaOrigins,
    rehearsals: Rehearsals,
    front: Front,
}

/// What the parts are made of.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) engine: Engine,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) tiers_from: TiersFrom,
    pub(crate) payment_keys: Arc<PaymentKeys>,
    pub(crate) rates: Arc<Rates>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) audit: Arc<AuditLog>,
    pub(crate) media: MediaOrigins,
    /// Streams of events end when it becomes true.
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) anonymous_streams_max: u64,
    pub(crate) sessions_max: u32,
    /// To other nodes, if this one knows their key.
    pub(crate) relay: Option<Relay>,
}

impl App {
    pub(crate) fn new(given: Given) -> Self {
        let Given {
            engine,
            verifier,
            tiers_from,
            payment_keys,
            rates,
            meters,
            audit,
            media,
            stop,
            anonymous_streams_max,
            sessions_max,
            relay,
        } = given;
        let engine = Arc::new(engine);
        let clicks = Arc::new(Clicks::new(
            Arc::clone(&engine),
            Arc::clone(&rates),
            Arc::clone(&meters),
            tiers_from,
        ));
        let hub = Arc::new(Hub::new(Arc::clone(&engine), stop, anonymous_streams_max));
        let passes = Arc::<Passes>::default();
        let sessions =
            Arc::new(Sessions::new(verifier, Arc::clone(&engine), tiers_from, sessions_max));
        let front = Front::new(
            Arc::clone(&engine),
            Arc::clone(&passes),
            Arc::clone(&sessions),
            &clicks,
            Arc::clone(&hub),
            relay,
        );
        Self(Arc::new(Parts {
            sessions,
            clicks,
            rates,
            payment_keys,
            hub,
            meters,
            passes,
            leaving: Arc::default(),
            audit,
            media: Arc::new(media),
            rehearsals: Arc::default(),
            front: Arc::new(front),
            engine,
        }))
    }
}
