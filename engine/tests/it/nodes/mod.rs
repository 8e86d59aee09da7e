//! Several nodes that share a store: what each store promises of leases and owners; and every order of what may
//! happen, with messages that are late, lost or doubled, nodes that end and come back, and clocks that stand still.

mod contract;
mod model;
mod search;
mod sharing;
