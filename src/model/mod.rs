//! The words of the project as plain data; no I/O.

pub mod desired;
