//! What people look at, on real terminals: 80 and 160 columns, in colour and without. Every screen is kept as a picture, on a
//! dark and on a light ground, in `target/tests/screens`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod picture;
mod story;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/terminal.rs"]
mod terminal;

use crate::story::{Colours, Teller};

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_terminal() {
    Teller::new("80", 80, Colours::Wanted).await.tell().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wide_terminal() {
    Teller::new("160", 160, Colours::Wanted).await.tell().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_without_colours() {
    Teller::new("80-no-color", 80, Colours::Unwanted).await.tell().await;
}
