//! What is said of a run: its counts, its audit, its report.

pub mod audit;
pub mod bars;
pub mod plot;
pub mod report;
pub mod spread;
pub mod tally;
