//! Lanes on other machines: the [`worker`]'s side, which encodes, and the `site`'s, which is how the one with the chunks sees
//! it. The [`roll`] asks workers what they can do before there is any work. What they say to each other is in [`wire`](crate::wire).

pub(crate) mod convert;
pub(crate) mod fingerprint;
pub(crate) mod gather;
mod job;
mod link;
mod movement;
pub mod roll;
pub mod site;
mod software;
pub mod worker;

#[cfg(test)]
mod tests;
