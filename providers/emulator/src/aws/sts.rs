//! STS: who a key belongs to, and temporary credentials for roles.

use super::error::{AwsError, Result};
use super::identity::{Identities, Principal, Session};
use super::query::{Form, Xml};
use crate::credentials::is_account;
use crate::identity::service_account::{ISSUER, STS_AUDIENCE};
use crate::identity::token::{Claims, Tokens, Untrusted};
use http::StatusCode;
use jiff::Timestamp;

/// The operation that needs a token and no signature.
pub(crate) const WEB_IDENTITY: &str = "AssumeRoleWithWebIdentity";

/// Does one operation.
pub(crate) fn call(
    operation: &str,
    form: &Form,
    identities: &mut Identities,
    caller: &Principal,
    now: Timestamp,
) -> Result<Xml> {
    match operation {
        "GetCallerIdentity" => Ok(caller_identity(caller)),
        "AssumeRole" => assume_role(form, identities, now),
        _ => {
            Err(AwsError::new("InvalidAction", format!("Could not find operation {operation} for version 2011-06-15")))
        }
    }
}

fn caller_identity(caller: &Principal) -> Xml {
    Xml::Elements(vec![
        ("Arn", Xml::text(&caller.arn)),
        ("UserId", Xml::text(&caller.user_id)),
        ("Account", Xml::text(&caller.account)),
    ])
}

/// Hands out a session in the role's account, which must be one of ours. Every such role exists and trusts everyone.
fn assume_role(form: &Form, identities: &mut Identities, now: Timestamp) -> Result<Xml> {
    let session = start_session("AssumeRole", form, identities, now)?;
    Ok(Xml::Elements(vec![("AssumedRoleUser", role_user(&session)), ("Credentials", credentials(session))]))
}

/// Hands out a session for a service account's token. Every role trusts the emulated cluster.
pub(crate) fn assume_with_web_identity(
    form: &Form,
    identities: &mut Identities,
    tokens: &Tokens,
    now: Timestamp,
) -> Result<Xml> {
    let claims = check_web_identity(form.require("WebIdentityToken")?, tokens, now)?;
    let session = start_session(WEB_IDENTITY, form, identities, now)?;
    Ok(Xml::Elements(vec![
        ("AssumedRoleUser", role_user(&session)),
        ("Credentials", credentials(session)),
        ("SubjectFromWebIdentityToken", Xml::text(claims.sub)),
        ("Audience", Xml::text(claims.aud)),
        ("Provider", Xml::text(claims.iss)),
    ]))
}

fn check_web_identity(token: &str, tokens: &Tokens, now: Timestamp) -> Result<Claims> {
    let claims = tokens.verify(token, now).map_err(|untrusted| match untrusted {
        Untrusted::Expired => AwsError::new("ExpiredTokenException", "Token expired"),
        Untrusted::Forged => {
            AwsError::new("InvalidIdentityToken", "The token is not signed by a provider that is trusted")
        }
    })?;
    if claims.iss != ISSUER || claims.aud != STS_AUDIENCE {
        return Err(AwsError::new("InvalidIdentityToken", "Incorrect token audience"));
    }
    Ok(claims)
}

/// Starts the session that a request describes.
fn start_session(operation: &str, form: &Form, identities: &mut Identities, now: Timestamp) -> Result<Session> {
    let (arn, name) = (form.require("RoleArn")?, form.require("RoleSessionName")?);
    let fits = |c: char| c.is_ascii_alphanumeric() || "_=,.@-".contains(c);
    if !(2..=64).contains(&name.len()) || !name.chars().all(fits) {
        return Err(AwsError::new("ValidationError", "RoleSessionName must be 2 to 64 of letters, digits and _=,.@-"));
    }
    let (account, role) =
        parse_role(arn).ok_or_else(|| AwsError::new("ValidationError", format!("{arn} is invalid")))?;
    let seconds: i64 = match form.get("DurationSeconds") {
        None => 3_600,
        Some(text) => text.parse().ok().filter(|seconds| (900..=43_200).contains(seconds)).ok_or_else(|| {
            AwsError::new("ValidationError", "DurationSeconds must be a whole number from 900 to 43200")
        })?,
    };
    if !identities.has_account(account) {
        let message = format!("not authorized to perform: sts:{operation} on resource: {arn}");
        return Err(AwsError::new("AccessDenied", message).with_status(StatusCode::FORBIDDEN));
    }
    identities.assume(account, role, name, now, seconds).ok_or_else(|| AwsError::internal("no session could be made"))
}

fn role_user(session: &Session) -> Xml {
    Xml::Elements(vec![
        ("Arn", Xml::text(&session.principal.arn)),
        ("AssumedRoleId", Xml::text(&session.principal.user_id)),
    ])
}

fn credentials(session: Session) -> Xml {
    Xml::Elements(vec![
        ("AccessKeyId", Xml::text(session.access_key_id)),
        ("SecretAccessKey", Xml::text(session.secret)),
        ("SessionToken", Xml::text(session.token)),
        ("Expiration", Xml::text(session.expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())),
    ])
}

/// Returns the account and the role's name: `arn:aws:iam::111122223333:role/path/name`.
fn parse_role(arn: &str) -> Option<(&str, &str)> {
    let (account, role) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    let name = role.rsplit('/').next().filter(|name| !name.is_empty())?;
    is_account(account).then_some((account, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assume(body: &str) -> Result<Xml> {
        let mut identities = Identities::new(vec!["111122223333".into()]);
        let caller = identities.find("AKIAREPIN111122223333").unwrap().principal;
        call("AssumeRole", &Form::parse(body.as_bytes()), &mut identities, &caller, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_role_is_assumed_in_its_own_account() {
        let xml = assume("RoleArn=arn:aws:iam::111122223333:role/team/deploy&RoleSessionName=sess").unwrap();
        let text = format!("{xml:?}");
        assert!(text.contains("arn:aws:sts::111122223333:assumed-role/deploy/sess"), "{text}");
        assert!(text.contains("1970-01-01T01:00:00Z"), "{text}");
    }

    #[test]
    fn roles_elsewhere_and_odd_requests_are_refused() {
        let code = |body: &str| assume(body).unwrap_err().code;
        assert_eq!(code("RoleArn=arn:aws:iam::999922223333:role/x&RoleSessionName=sess"), "AccessDenied");
        assert_eq!(code("RoleArn=arn:aws:iam::1:role/x&RoleSessionName=sess"), "ValidationError");
        assert_eq!(code("RoleArn=arn:aws:iam::111122223333:role/x"), "ValidationError");
        let short = "RoleArn=arn:aws:iam::111122223333:role/x&RoleSessionName=sess&DurationSeconds=60";
        assert_eq!(code(short), "ValidationError");
        assert_eq!(code("RoleArn=arn:aws:iam::111122223333:role/x&RoleSessionName=s"), "ValidationError");
    }
}
