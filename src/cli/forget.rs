//! `repin forget`: ours no more, and left in the stores.

use super::Failure;
use super::args::{Common, ForgetArgs};
use super::print::Printer;
use super::session::Stop;
use super::wish::{self, TIMEOUT, Wished};
use crate::cycle::wish::Ask;
use crate::exit::Exit;
use crate::plan::orders::Order;

pub(super) async fn run(common: &Common, args: &ForgetArgs, stop: Stop, printer: &Printer) -> Result<Exit, Failure> {
    let wished = Wished {
        ask: Ask::Order {
            order: Order::Forget { glob: args.which.keys.clone(), heir: args.to.clone() },
            purge: args.purge,
        },
        message: args.why.message.as_deref(),
        timeout: TIMEOUT,
        reads_file: false,
    };
    wish::run(common, &wished, stop, printer).await
}
