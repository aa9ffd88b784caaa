//! Work begins.

pub mod desired;
pub mod model;
