//! Between: what nodes call one another with.

use axum::http::HeaderName;

/// Which listener a request came to.
pub(crate) const FACE: HeaderName = HeaderName::from_static("flashlane-face");
/// What a request had as `Authorization` when it came.
pub(crate) const ASKED_WITH: HeaderName = HeaderName::from_static("flashlane-asked-with");
/// From which address a request came.
pub(crate) const PEER: HeaderName = HeaderName::from_static("flashlane-peer");
/// The node that has answered.
pub(crate) const NODE: HeaderName = HeaderName::from_static("flashlane-node");
/// Where a node is told of which members another one has posted something.
pub(crate) const CHANGED: &str = "/node/changed";
/// Where a node is told to look at what concerns all nodes.
pub(crate) const FOLLOW: &str = "/node/follow";
/// Where a node is told that a sale is to be its own.
pub(crate) const MOVED: &str = "/node/moved";
/// Where a node is told to take the name of a member, the body, out of its sales and its log.
pub(crate) const ERASE: &str = "/node/erase";
/// Where a node is told that this member is erased.
pub(crate) const ERASED: &str = "/node/erased";
/// Where a node judges clicks that another one has gathered; the number is that of their format.
pub const CLICKS: &str = "/node/clicks/1";
/// Where a node is asked who it is; the number is that of the format.
pub(crate) const HELLO: &str = "/node/hello/1";
/// Where a node is asked for what becomes of a sale; the number is that of its format.
pub(crate) const FEED: &str = "/node/feed/1";
/// Where a node is asked what a pass was asked for with.
pub(crate) const PASSES: &str = "/node/passes";

/// A request that another node has passed on. It is not passed on again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PassedOn;
