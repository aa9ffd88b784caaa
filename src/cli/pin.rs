//! `repin pin` and `repin unpin`: one entry by hand.

use repin_provider::{Key, TargetName};

use super::Failure;
use super::args::{Common, PinArgs, UnpinArgs};
use super::print::Printer;
use super::session::Stop;
use super::wish::{self, Scene, TIMEOUT, Wished};
use crate::cycle::wish::Ask;
use crate::exit::Exit;
use crate::plan::orders::Order;

pub(super) async fn run(common: &Common, args: &PinArgs, stop: Stop, printer: &Printer) -> Result<Exit, Failure> {
    let wished = Wished {
        ask: Ask::Pin { key: key(&args.key)?, version: args.version.clone() },
        message: args.why.message.as_deref(),
        timeout: args.timeout,
        reads_file: false,
    };
    let scene = Scene::open(common, wished.reads_file, printer).await?;
    // A version is one store's own name: it means nothing on another.
    let targets: Vec<_> = scene.targets().map(TargetName::as_str).collect();
    if targets.len() > 1 {
        let hint = format!("Say which: --target {}.", targets.join(" or --target "));
        return Err(Failure::usage("a pin is of one target", hint));
    }
    scene.carry_out(&wished, stop, printer).await
}

pub(super) async fn unpin(common: &Common, args: &UnpinArgs, stop: Stop, printer: &Printer) -> Result<Exit, Failure> {
    let wished = Wished {
        ask: Ask::Order { order: Order::Unpin { key: key(&args.key)? }, purge: false },
        message: args.why.message.as_deref(),
        timeout: TIMEOUT,
        reads_file: false,
    };
    wish::run(common, &wished, stop, printer).await
}

fn key(text: &str) -> Result<Key, Failure> {
    Key::parse(text).map_err(|error| Failure::usage(error.to_string(), "Write it as the file does."))
}
