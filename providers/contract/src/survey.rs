//! What a newcomer finds in a store: more about each item than a pass asks for.

use crate::{InvalidName, Item, Key, Tier};

/// One item below a target's prefix, whoever made it.
///
/// Not a part of [`Provider`](crate::Provider): no pass needs it, and it costs a store more requests than a look.
#[derive(Debug, Clone)]
pub struct Surveyed {
    /// The store's name for it.
    pub native: String,
    /// The key that the name stands for below the prefix, or why it can be none.
    pub key: Result<Key, InvalidName>,
    /// What readers meet; what the next put would replace where they meet nothing yet. Its owner tag was read.
    pub item: Item,
    /// Whether readers meet it.
    pub served: bool,
    /// The tier, where the store has tiers and told.
    pub tier: Option<Tier>,
    /// The key that it is encrypted under, as the store names it, where it told.
    pub kms_key: Option<String>,
    /// What is special about it and would be lost by a put, each as the end of a sentence: "has parameter policies".
    pub special: Vec<String>,
}
