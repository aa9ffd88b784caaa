//! Access keys, and what they stand for.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};

use crate::credentials::{SECRET_ACCESS_KEY, account_of};
use crate::random_bytes;

/// Who signed a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    pub(crate) account: String,
    pub(crate) arn: String,
    pub(crate) user_id: String,
}

/// What an access key id stands for.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    pub(crate) principal: Principal,
    pub(crate) secret: String,
    /// The token that must come with the key, and when both end.
    pub(crate) session: Option<(String, Timestamp)>,
}

/// The accounts there are and the sessions handed out. Sessions are kept in memory only.
#[derive(Debug)]
pub(crate) struct Identities {
    accounts: Vec<String>,
    sessions: BTreeMap<String, Credential>,
}

/// Temporary credentials as `AssumeRole` answers them.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) access_key_id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) expires: Timestamp,
    pub(crate) principal: Principal,
}

impl Identities {
    pub(crate) fn new(accounts: Vec<String>) -> Self {
        Self { accounts, sessions: BTreeMap::new() }
    }

    /// Tells whether an account exists.
    pub(crate) fn has_account(&self, account: &str) -> bool {
        self.accounts.iter().any(|known| known == account)
    }

    /// Returns what an access key id stands for.
    pub(crate) fn find(&self, access_key_id: &str) -> Option<Credential> {
        if let Some(session) = self.sessions.get(access_key_id) {
            return Some(session.clone());
        }
        let account = account_of(access_key_id).filter(|account| self.has_account(account))?;
        let principal = Principal {
            account: account.to_owned(),
            arn: format!("arn:aws:iam::{account}:user/emulator"),
            user_id: format!("AIDAREPIN{account}"),
        };
        Some(Credential { principal, secret: SECRET_ACCESS_KEY.to_owned(), session: None })
    }

    /// Hands out credentials for a role, with a principal in the role's account.
    pub(crate) fn assume(
        &mut self,
        account: &str,
        role: &str,
        name: &str,
        now: Timestamp,
        seconds: i64,
    ) -> Option<Session> {
        let random = random_bytes::<48>()?;
        let access_key_id = format!("ASIA{}", hex::encode_upper(&random[..8]));
        let role_id = format!("AROAREPIN{account}");
        let session = Session {
            access_key_id: access_key_id.clone(),
            secret: STANDARD.encode(&random[8..38]),
            token: STANDARD.encode(random),
            expires: now.checked_add(SignedDuration::from_secs(seconds)).ok()?,
            principal: Principal {
                account: account.to_owned(),
                arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{name}"),
                user_id: format!("{role_id}:{name}"),
            },
        };
        self.sessions.retain(|_, held| held.session.as_ref().is_some_and(|(_, expires)| *expires + GRACE > now));
        self.sessions.insert(
            access_key_id,
            Credential {
                principal: session.principal.clone(),
                secret: session.secret.clone(),
                session: Some((session.token.clone(), session.expires)),
            },
        );
        Some(session)
    }
}

/// How long an ended session is remembered, so that it is answered as expired and not as unknown.
const GRACE: SignedDuration = SignedDuration::from_hours(24);
