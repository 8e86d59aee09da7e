//! Rounds: the options of benches that let two ways take turns.

use clap::Args;

/// How often, how long and on how many connections.
#[derive(Debug, Clone, Copy, Args)]
pub struct Rounds {
    /// Rounds; medians are reported
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds of a round
    #[arg(long, default_value_t = 3)]
    pub seconds: u64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
}
