//! How fast Flashlane is, and whether it told the truth while it was: the load generator's parts.

pub mod faults;
pub mod load;
pub mod run;
pub mod told;
pub mod world;
