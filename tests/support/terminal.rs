//! A terminal that the program is shown on.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs::File;
use std::io::Read as _;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::task::JoinHandle;

/// The side of a terminal that shows what is written to the other.
pub(crate) struct Terminal {
    screen: File,
    shown: JoinHandle<Vec<u8>>,
}

impl Terminal {
    /// Opens one with so many columns.
    pub(crate) fn open(columns: u16) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("usable");
        let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).expect("sized");
        let name = ptsname(&terminal, Vec::new()).expect("named").into_string().expect("text");
        let screen = File::options().read(true).write(true).open(name).expect("opened");
        let shown = tokio::task::spawn_blocking(move || {
            let mut shown = Vec::new();
            let mut piece = [0; 4096];
            let mut terminal = File::from(terminal);
            // The end is an error on Linux: the other side has closed.
            while let Ok(read @ 1..) = terminal.read(&mut piece) {
                shown.extend_from_slice(&piece[..read]);
            }
            shown
        });
        Self { screen, shown }
    }

    /// Returns the side that a program writes to.
    pub(crate) fn screen(&self) -> File {
        self.screen.try_clone().expect("another handle")
    }

    /// Returns all that was shown, once nobody can write to it any more.
    pub(crate) async fn shown(self) -> Vec<u8> {
        drop(self.screen);
        self.shown.await.expect("read")
    }
}
