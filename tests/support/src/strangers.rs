//! Those who should not be let in, and members of a fleet who do what they should not.

mod flood;
mod hand;

pub use flood::{Flood, Initials};
pub use hand::{Hand, dribble, joined};
