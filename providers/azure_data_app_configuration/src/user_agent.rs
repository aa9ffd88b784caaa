//! How the crate announces itself.

use std::env::consts::{ARCH, OS};
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::headers::USER_AGENT;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request, UserAgentOptions};

use crate::error::{Error, Result};

/// Takes the place of the policy of `azure_core`, which can only announce official crates: it begins every header with
/// `azsdk-rust-`.
#[derive(Debug)]
pub(crate) struct UserAgentPolicy(String);

impl UserAgentPolicy {
    pub(crate) fn new(options: &UserAgentOptions) -> Result<Self> {
        let own = format!("repin-azure-app-configuration/{} ({OS}; {ARCH})", env!("CARGO_PKG_VERSION"));
        match options.application_id.as_deref() {
            None => Ok(Self(own)),
            Some(id) if is_application_id(id) => Ok(Self(format!("{id} {own}"))),
            Some(_) => Err(Error::invalid_input("an application id is 1 to 24 characters of an HTTP token")),
        }
    }
}

/// The rule of the Azure SDK guidelines: at most 24 characters, those of a token in RFC 9110.
fn is_application_id(id: &str) -> bool {
    (1..=24).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[async_trait]
impl Policy for UserAgentPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        request.insert_header(USER_AGENT, self.0.clone());
        next[0].send(ctx, request, &next[1..]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(id: Option<&str>) -> Result<String> {
        UserAgentPolicy::new(&UserAgentOptions { application_id: id.map(str::to_owned) }).map(|policy| policy.0)
    }

    #[test]
    fn the_application_id_comes_first() {
        assert!(header(None).unwrap().starts_with("repin-azure-app-configuration/"));
        assert!(header(Some("shop-1")).unwrap().starts_with("shop-1 repin-azure-app-configuration/"));
        for bad in ["", "a b", "a\r\nb", "abcdefghijklmnopqrstuvwxy"] {
            assert!(header(Some(bad)).is_err(), "{bad:?}");
        }
    }
}
