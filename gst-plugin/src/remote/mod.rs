//! Lanes on other machines: the [`worker`]'s side, which encodes, and the `site`'s, which is how the one with the chunks sees
//! it. What they say to each other is in [`wire`](crate::wire).

mod convert;
mod fingerprint;
mod job;
mod link;
pub(crate) mod site;
pub mod worker;

#[cfg(test)]
mod tests;
