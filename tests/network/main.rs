//! Whom the program speaks to, whom it believes, and how much it hears.

mod certificates;
mod front;
mod hostile;
mod proxy;
#[path = "../support/mod.rs"]
mod support;
mod trust;
