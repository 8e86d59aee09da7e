//! Telling: what nodes tell one another that no client has asked for.

use super::asking::Front;
use super::between::{CHANGED, MOVED, PASSES};
use super::untold::ToTell;
use crate::member::passes::name_of;
use axum::http::HeaderValue;
use engine::clock::Stopwatch;
use engine::rules::node::NodeId;
use engine::rules::terms::SaleId;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::body::Bytes;
use membership::MemberId;

/// Of so many members a node is told at once.
const TOLD_AT_ONCE: usize = 20_000;

impl Front {
    /// Tells all other nodes something, and waits for those that answer.
    pub(super) async fn tell_all(&self, path: &str) {
        let (Some(relay), others) = (self.relay(), self.others()) else { return };
        let told = others.iter().map(|node| relay.tell(node, path, Bytes::new()));
        for (node, told) in others.iter().zip(join_all(told).await) {
            if let Err(error) = told {
                tracing::debug!(node = %node.id, %error, "a node will hear of it by itself");
            }
        }
    }

    /// Has each other node do something about a member.
    ///
    /// # Errors
    /// The first node that did not say that it has done it.
    pub(crate) async fn have_all(&self, path: &str, member: &MemberId) -> Result<(), NodeId> {
        let Some(relay) = self.relay() else { return Ok(()) };
        let others = self.others();
        let body = || Bytes::from(member.as_str().to_owned());
        let told = others.iter().map(|node| relay.tell(node, path, body()));
        for (node, told) in others.iter().zip(join_all(told).await) {
            if !told.is_ok_and(|(status, _)| status.is_success()) {
                return Err(node.id.clone());
            }
        }
        Ok(())
    }

    /// Tells the other nodes of which members this one has posted something, and waits for those that answer. One that
    /// does not hear is told again by a later call, as long as it lives.
    pub(crate) async fn tell_changed(&self) {
        let Some(relay) = self.relay() else { return };
        let others = self.others();
        let to_tell = self.untold.add(&others, &self.engine().book().take_changed());
        let tell = others.iter().zip(&to_tell).map(async |(node, to_tell)| {
            // What another caller is telling is told when this lock is free.
            let mut failed = to_tell.telling.lock().await;
            while ToTell::is_due(failed.as_ref()) {
                let members = to_tell.take(TOLD_AT_ONCE);
                if members.is_empty() {
                    return;
                }
                let body = postcard::to_stdvec(&members).expect("members are plain data");
                let answer = relay.tell(node, CHANGED, body.into()).await;
                let is_told = answer.is_ok_and(|(status, _)| status.is_success());
                *failed = (!is_told).then(Stopwatch::start);
                if !is_told {
                    to_tell.put_back(members);
                }
            }
        });
        join_all(tell).await;
    }

    /// What a pass was asked for with, here or at a node that others reach.
    pub(super) async fn token_of(&self, pass: &str) -> Option<HeaderValue> {
        // What is no pass is asked of nobody.
        let name = name_of(pass)?;
        if let Some(token) = self.passes.take_token(pass, self.engine().now()) {
            return Some(token);
        }
        let (path, relay) = (format!("{PASSES}/{name:032x}"), self.relay()?);
        let others = self.others();
        let asked = others.iter().map(|node| relay.tell(node, &path, Bytes::new()));
        // One that stands still keeps nobody waiting.
        let mut said: FuturesUnordered<_> = asked.collect();
        while let Some(said) = said.next().await {
            if let Ok((status, token)) = said
                && status.is_success()
            {
                return HeaderValue::from_bytes(&token).ok();
            }
        }
        None
    }

    /// Tells other nodes that sales were handed over to them: to be asked for one makes a node take it.
    pub(crate) async fn tell_moved(&self, moved: &[(SaleId, NodeId)]) {
        let (Some(relay), others) = (self.relay(), self.others()) else { return };
        let tell = moved.iter().map(async |(sale, to)| {
            let Some(to) = others.iter().find(|node| node.id == *to) else { return };
            if let Err(error) = relay.tell(to, &format!("{MOVED}/{sale}"), Bytes::new()).await {
                tracing::debug!(%sale, to = %to.id, %error, "the next node will find the sale by itself");
            }
        });
        join_all(tell).await;
    }
}
