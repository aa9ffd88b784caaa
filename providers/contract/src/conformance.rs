//! The suite that every provider runs.
