//! Waiting for several stores, of which one may swallow requests.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use repin_provider::{Error, ErrorKind, Provider, TargetName};
use tokio::time::Instant;

/// How long the others are waited for once one store has answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks every target. One that does not answer is given up soon after another has: a store that swallows requests would
/// else hold up what is known of all. Those that were given up are not in the answer.
pub async fn each<'a, T, E>(
    asked: impl IntoIterator<Item = (&'a TargetName, impl Future<Output = Result<T, E>>)>,
) -> BTreeMap<&'a TargetName, Result<T, E>> {
    let named = asked.into_iter().map(|(name, answer)| async move { (name, answer.await) });
    let mut asked: FuturesUnordered<_> = named.collect();
    let (mut answers, mut deadline) = (BTreeMap::new(), None);
    loop {
        let next = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, asked.next()).await.ok().flatten(),
            None => asked.next().await,
        };
        let Some((name, answer)) = next else { return answers };
        if answer.is_ok() {
            deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
        }
        answers.insert(name, answer);
    }
}

/// What is said of a target that was given up.
pub fn silent(provider: &dyn Provider, doing: &'static str) -> Error {
    Error::new(ErrorKind::Unreachable, doing, format!("{} has not answered, and others have", provider.endpoint()))
}

#[cfg(test)]
mod tests {
    use futures::future::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_silent_are_given_up_once_another_has_answered() {
        let names = ["a", "b", "c"].map(|name| TargetName::parse(name).expect("valid"));
        let after = |secs: u64, answer: Result<u64, u64>| async move {
            tokio::time::sleep(Duration::from_secs(secs)).await;
            answer
        };
        let ask = async |times: [(u64, Result<u64, u64>); 3]| {
            let began = Instant::now();
            let asked = names.iter().zip(times).map(|(name, (secs, answer))| (name, after(secs, answer).boxed()));
            let answers = each(asked).await;
            let told: Vec<_> = names.iter().map(|name| answers.get(name).copied()).collect();
            (told, began.elapsed().as_secs())
        };
        let told = ask([(2, Ok(1)), (6, Ok(2)), (999, Ok(3))]).await;
        assert_eq!(told, (vec![Some(Ok(1)), Some(Ok(2)), None], 7));
        // A failure is no sign that answers come fast.
        let told = ask([(1, Err(1)), (50, Err(2)), (60, Ok(3))]).await;
        assert_eq!(told, (vec![Some(Err(1)), Some(Err(2)), Some(Ok(3))], 60));
    }
}
