//! `repin hold` and `repin resume`: who may change an entry for now.

use super::Failure;
use super::args::{Common, HoldArgs, ResumeArgs};
use super::print::Printer;
use super::session::Stop;
use super::wish::{self, Scene, TIMEOUT, Wished};
use crate::cycle::wish::Ask;
use crate::exit::Exit;
use crate::plan::orders::Order;

pub(super) async fn run(common: &Common, args: &HoldArgs, stop: Stop, printer: &Printer) -> Result<Exit, Failure> {
    let wished = Wished {
        ask: Ask::Order { order: Order::Hold { glob: args.keys.clone() }, purge: false },
        message: Some(&args.message),
        timeout: TIMEOUT,
        // An entry that was never released can be held too.
        reads_file: true,
    };
    wish::run(common, &wished, stop, printer).await
}

pub(super) async fn resume(common: &Common, args: &ResumeArgs, stop: Stop, printer: &Printer) -> Result<Exit, Failure> {
    let wished = Wished {
        ask: Ask::Order { order: Order::Resume { glob: args.which.keys.clone() }, purge: false },
        message: args.why.message.as_deref(),
        timeout: TIMEOUT,
        reads_file: false,
    };
    let scene = Scene::open(common, wished.reads_file, printer).await?;
    if args.dry_run { scene.show(&wished, stop, printer).await } else { scene.carry_out(&wished, stop, printer).await }
}
