//! Service account tokens of an emulated cluster, which both clouds trust: what a pod finds in a mounted file.

use jiff::{SignedDuration, Timestamp};

use super::token::{Claims, Tokens};

/// Who signs service account tokens.
pub(crate) const ISSUER: &str = "https://cluster.repin.invalid";

/// The audience that Microsoft Entra Workload ID asks for.
pub(crate) const ENTRA_AUDIENCE: &str = "api://AzureADTokenExchange";

/// The audience of IAM roles for service accounts.
pub(crate) const STS_AUDIENCE: &str = "sts.amazonaws.com";

/// The audience of EKS Pod Identity.
pub(crate) const POD_IDENTITY_AUDIENCE: &str = "pods.eks.amazonaws.com";

/// Whom the tokens speak of.
const SUBJECT: &str = "system:serviceaccount:default:repin";

/// How long one is good for.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// Makes a token for an audience.
pub(crate) fn issue(tokens: &Tokens, audience: &str, now: Timestamp) -> String {
    tokens.issue(&Claims::new(ISSUER.to_owned(), audience, SUBJECT, now, LIFETIME))
}
