//! `repin rollback`: what an earlier release served is served again.

use super::Failure;
use super::args::{Common, RollbackArgs};
use super::print::Printer;
use super::session::Stop;
use super::wish::{Scene, Wished};
use crate::cycle::wish::Ask;
use crate::exit::Exit;
use crate::timeline::Back;

pub(super) async fn run(common: &Common, args: &RollbackArgs, stop: Stop, printer: &Printer) -> Result<Exit, Failure> {
    let to = match (args.release, args.at) {
        (Some(release), _) => Back::Release(release),
        (None, Some(time)) => Back::At(time),
        (None, None) => Back::Steps(args.steps.unwrap_or(1)),
    };
    let wished = Wished {
        ask: Ask::Rollback { to, keys: args.keys.clone() },
        message: args.why.message.as_deref(),
        timeout: args.timeout,
        reads_file: true,
    };
    let scene = Scene::open(common, wished.reads_file, printer).await?;
    if args.dry_run { scene.show(&wished, stop, printer).await } else { scene.carry_out(&wished, stop, printer).await }
}
