//! How fast Flashlane is, and whether its answers were true meanwhile: the parts of the load
//! generator and of the fault suite.

pub mod faults;
pub mod load;
pub mod primitives;
pub mod run;
pub mod told;
pub mod world;
