//! Arriving on stores that are in use, and leaving them: what others put there is taken over as it is, or left alone.

mod bystander;
mod from;
mod leaving;
mod serving;
#[path = "../support/mod.rs"]
mod support;
