//! Whether the endpoints of a target can be reached, and what to do where not.

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::Timestamp;

use super::judge::{ends_soon, until};
use super::net::{Reached, Trust, Unreached, reach};
use super::{Mark, Sheet};
use crate::exit::Exit;

/// Tries the endpoints of a target, each once; `settings` says which settings lead there. Where one cannot be reached
/// nothing more is tried.
pub(super) async fn try_all(sheet: &mut Sheet, services: &[(&str, String)], settings: &str, trust: &Trust) {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (service, endpoint) in services {
        places.entry(endpoint).or_default().push(service);
    }
    let asked = places.into_iter().map(async |(endpoint, services)| {
        let reached = reach(endpoint, trust).await;
        (format!("{} at {endpoint}", services.join(", ")), reached)
    });
    let now = Timestamp::now();
    for (place, reached) in join_all(asked).await {
        match reached {
            Ok(reached) => note_reached(sheet, &place, reached, now),
            Err(why) => note_unreached(sheet, &place, &why, settings),
        }
    }
}

fn note_reached(sheet: &mut Sheet, place: &str, reached: Reached, now: Timestamp) {
    match reached {
        Reached::Plain => sheet.ok("network", format!("{place}: reached, in the clear")),
        Reached::Tls(Some(end)) if ends_soon(now, end) => {
            let found = format!("{place}: reached over TLS; its certificate is{}", until(now, Some(end)));
            sheet.warn(
                "network",
                found.replace("is, ", "is "),
                "Renew the certificate, or tell whoever keeps that endpoint.",
            )
        }
        Reached::Tls(end) => sheet.ok("network", format!("{place}: reached over TLS; certificate{}", until(now, end))),
        Reached::Proxied(variable) => {
            sheet.skip("network", format!("{place}: through the proxy that {variable} names, which is not tried apart"))
        }
    };
}

fn note_unreached(sheet: &mut Sheet, place: &str, why: &Unreached, settings: &str) {
    let (found, mend) = match why {
        Unreached::Nowhere => ("is no host".to_owned(), format!("Check {settings}.")),
        Unreached::Name(error) => (
            format!("the name leads nowhere: {error}"),
            format!("Check {settings}, and what the DNS of this host says (getent hosts NAME)."),
        ),
        Unreached::Connection(address, error) => (
            format!("no connection to {address}: {error}"),
            format!(
                "Let this host connect to it: look at firewalls, routes and private endpoints, or set HTTPS_PROXY. Check {settings} too."
            ),
        ),
        Unreached::Tls(error) => (
            format!("TLS is not trusted: {error}"),
            "If the authority is yours, name its certificate with SSL_CERT_FILE; if not, something on the way answers in \
             its place. A wrong clock looks the same."
                .to_owned(),
        ),
        Unreached::NoRoots => (
            "TLS is not trusted: this machine has no certificates of authorities".to_owned(),
            "Install ca-certificates, or name a file of them with SSL_CERT_FILE.".to_owned(),
        ),
    };
    let exit = if matches!(why, Unreached::Nowhere) { Exit::Failed } else { Exit::TryAgain };
    sheet.note("network", Mark::Fail(exit), format!("{place}: {found}"), Some(&mend));
    sheet.stop("not tried, since the network does not lead there");
}
