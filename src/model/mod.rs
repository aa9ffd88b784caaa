//! The words of the project as plain data; no I/O.

pub mod compare;
pub mod desired;
pub mod hold;
pub mod observed;
pub mod outcome;
pub mod plan;
pub mod printable;
pub mod problem;
pub mod release;
pub mod retention;
pub mod way;
