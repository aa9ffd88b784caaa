//! The tasks that teams come with, as the folders below `examples` solve them; a file per task.
//!
//! The folders are used as they stand: the stores that they name are played by the clouds embedded in the program.

mod adoption;
mod api_key;
mod assistant;
mod by_cloud;
mod environments;
mod flags;
mod folder;
mod prompts;
mod regions;
#[path = "../support/mod.rs"]
mod support;
