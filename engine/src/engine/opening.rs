//! Opening: takes sales of the store over, side by side. One that cannot be opened keeps no other
//! from being sold, and is tried again.

use super::copies::Copies;
use super::peeked::Peeked;
use super::{Confirmers, Engine, Settings};
use crate::clock::Clock;
use crate::confirm::Confirmer;
use crate::fault::crash_point;
use crate::members::Book;
use crate::nodes::own_lease::Term;
use crate::nodes::sharing::Sharing;
use crate::open::ends::Ends;
use crate::open::marks::Mark;
use crate::open::sale::OpenSale;
use crate::roster::Roster;
use crate::rules::terms::{SaleId, Terms};
use crate::store::{Opened, Store, StoreError};
use arc_swap::ArcSwap;
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Sales that are opened at once.
const SIDE_BY_SIDE: usize = 16;

impl Engine {
    /// Opens every sale of the store and begins to confirm. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not say which sales there are. A sale that cannot be
    /// opened is listed by [`Engine::not_opened`].
    pub async fn start(store: Store, clock: Clock, settings: Settings) -> Result<Self, StoreError> {
        let engine = Self::begin(store, clock, settings).await?;
        engine.open_again().await;
        engine.note_started();
        Ok(engine)
    }

    /// As [`Engine::start`], but no sale is opened yet: [`Engine::open_again`] opens them, and
    /// [`Engine::note_started`] ends the start.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub async fn begin(store: Store, clock: Clock, settings: Settings) -> Result<Self, StoreError> {
        Self::begin_shared(store, clock, settings, None).await
    }

    /// As [`Engine::begin`], by a process that may share its store with others. Its lease must have been asked for.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub async fn begin_shared(
        store: Store,
        clock: Clock,
        settings: Settings,
        sharing: Option<Arc<Sharing>>,
    ) -> Result<Self, StoreError> {
        let roster = Arc::new(Roster::new());
        let book = Book::open(Arc::clone(&store.book), clock.clone(), Arc::clone(&roster)).await?;
        let book = Arc::new(book);
        let engine = Self {
            book,
            store,
            clock,
            roster,
            sales: ArcSwap::default(),
            confirmers: tokio::sync::Mutex::default(),
            settings,
            not_opened: Mutex::default(),
            blocked: Arc::default(),
            blocking: tokio::sync::Mutex::default(),
            stop: watch::Sender::new(false),
            started: watch::Sender::new(false),
            ends: Ends::default(),
            copies: Copies::default(),
            peeked: Peeked::default(),
            sharing,
            backing_up: tokio::sync::Mutex::default(),
        };
        engine.read_blocked().await?;
        engine.read_erasing().await?;
        let to_come = || StoreError::Refused("it is still to be opened".into());
        // With other nodes it is not known yet which sales are to be opened here; each is looked for when it is asked for.
        let sales = match engine.sharing {
            None => engine.store.reading.sales().await?,
            Some(_) => Vec::new(),
        };
        *engine.not_opened.lock() = sales.into_iter().map(|sale| (sale, to_come())).collect();
        Ok(engine)
    }

    /// Notes that the start is over: the sales were opened, or tried.
    pub fn note_started(&self) {
        self.started.send_replace(true);
    }

    /// While the start goes on: how many sales are opened, and of how many.
    #[must_use]
    pub fn starting(&self) -> Option<(usize, usize)> {
        if *self.started.borrow() {
            return None;
        }
        // A sale is shown before it is taken off the list of those that are not opened.
        let (to_come, opened) = (self.not_opened.lock().len(), self.sales.load().len());
        Some((opened, opened + to_come))
    }

    /// Opens those sales that are not opened yet, or that could not be. With other nodes, [`Engine::share`] says
    /// which are this node's.
    pub async fn open_again(&self) {
        if self.sharing.is_some() {
            return;
        }
        let mut confirmers = self.confirmers.lock().await;
        let sales: Vec<_> = self.not_opened.lock().keys().cloned().collect();
        if !*self.stop.borrow() {
            self.open_all(sales, &mut confirmers).await;
        }
    }

    /// Makes a sale and opens it.
    ///
    /// # Errors
    /// [`StoreError::SaleExists`], or the error that kept the store from writing the sale down.
    pub async fn create(&self, terms: &Terms) -> Result<Arc<OpenSale>, StoreError> {
        let mut confirmers = self.confirmers.lock().await;
        // The engine looks among its own sales first: a store that has lost this sale must not
        // create it again.
        if self.sale(terms.id.as_str()).is_ok() {
            return Err(StoreError::SaleExists);
        }
        match self.store.opening.create(terms).await {
            // A former call wrote the sale down and could not open it.
            Err(StoreError::SaleExists) if confirmers.created.get(&terms.id) == Some(terms) => {}
            created => created?,
        }
        crash_point("created");
        confirmers.created.insert(terms.id.clone(), terms.clone());
        let open = self.take_over(&terms.id).await?;
        confirmers.created.remove(&terms.id);
        self.begin_to_confirm(std::slice::from_ref(&open), &mut confirmers);
        Ok(open)
    }

    async fn open_all(&self, sales: Vec<SaleId>, confirmers: &mut Confirmers) {
        let opening = stream::iter(sales).map(async |id| (self.take_over(&id).await, id));
        let mut outcomes = opening.buffer_unordered(SIDE_BY_SIDE).ready_chunks(SIDE_BY_SIDE);
        while let Some(outcomes) = outcomes.next().await {
            let mut opened = Vec::new();
            for (outcome, sale) in outcomes {
                match outcome {
                    Ok(open) => opened.push(open),
                    Err(error) => self.note_not_opened(&sale, &error),
                }
            }
            self.begin_to_confirm(&opened, confirmers);
            for open in opened {
                let sale = &open.sale.terms().id;
                if self.not_opened.lock().remove(sale).is_some() && *self.started.borrow() {
                    tracing::info!(%sale, "this sale is opened after all");
                }
            }
        }
    }

    pub(super) fn note_not_opened(&self, sale: &SaleId, error: &StoreError) {
        let known = self.not_opened.lock().insert(sale.clone(), error.clone());
        if known.as_ref() != Some(error) {
            tracing::error!(%sale, %error, "this sale is not opened; it is tried again");
        }
    }

    /// Opens a sale anew that this process has open, and puts it in the old one's place. The old one
    /// must be paused and have no orders.
    pub(super) async fn reopen(
        &self,
        old: &OpenSale,
        confirmers: &mut Confirmers,
    ) -> Result<Arc<OpenSale>, StoreError> {
        let id = &old.sale.terms().id;
        match self.take_over(id).await {
            Ok(open) => {
                self.begin_to_confirm(std::slice::from_ref(&open), confirmers);
                old.retire();
                Ok(open)
            }
            Err(error) => {
                // It is tried again, as after a start.
                self.hide(id, error.clone());
                old.retire();
                Err(error)
            }
        }
    }

    /// Takes a sale over from the process that sold it before.
    pub(super) async fn take_over(&self, id: &SaleId) -> Result<Arc<OpenSale>, StoreError> {
        self.is_not_stopping()?;
        match &self.sharing {
            None => self.resume(self.store.opening.open(id).await?, None),
            Some(sharing) => self.take_own(sharing, id).await,
        }
    }

    pub(super) fn is_not_stopping(&self) -> Result<(), StoreError> {
        match *self.stop.borrow() {
            true => Err(StoreError::Refused("this process is stopping".into())),
            false => Ok(()),
        }
    }

    /// A sale as it goes on here; a node has taken it in this term of its lease.
    pub(super) fn resume(
        &self,
        opened: Opened,
        taken_in: Option<Term>,
    ) -> Result<Arc<OpenSale>, StoreError> {
        let (blocked, stopping) = (Arc::clone(&self.blocked), self.stop.subscribe());
        let most = self.settings.orders_per_member;
        let open = OpenSale::resume(opened, most, &self.roster, blocked, stopping)?;
        let lease = self.sharing.as_ref().map(|sharing| sharing.lease());
        let open = open.leased(taken_in.zip(lease));
        open.marks().note(self.now(), Mark::Opened);
        let closes_at = open.sale.closes_at();
        if open.is_settled() && closes_at <= self.now() {
            open.note_settled(closes_at);
        }
        Ok(Arc::new(open))
    }

    /// Begins to confirm sales that were taken over, and shows them to callers.
    pub(super) fn begin_to_confirm(&self, opened: &[Arc<OpenSale>], confirmers: &mut Confirmers) {
        for open in opened {
            let (roster, clock) = (Arc::clone(&self.roster), self.clock.clone());
            let (open, patience) = (Arc::clone(open), self.settings.confirm_within);
            let book = Arc::clone(&self.book);
            let confirmer = Confirmer::new(open, roster, &self.store, book, clock, patience);
            confirmer.begin();
            confirmers.running.spawn(confirmer.run());
        }
        self.show(opened);
    }

    /// Shows open sales to callers.
    pub(super) fn show(&self, opened: &[Arc<OpenSale>]) {
        self.sales.rcu(|sales| {
            let mut sales = BTreeMap::clone(sales);
            sales
                .extend(opened.iter().map(|open| (open.sale.terms().id.clone(), Arc::clone(open))));
            sales
        });
    }

    /// Shows a sale to callers no more, for this reason.
    pub(super) fn hide(&self, id: &SaleId, why: StoreError) {
        self.not_opened.lock().insert(id.clone(), why);
        self.sales.rcu(|sales| {
            let mut sales = BTreeMap::clone(sales);
            sales.remove(id);
            sales
        });
    }
}
