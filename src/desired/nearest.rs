//! The name that was probably meant.

/// Returns the candidate nearest to `given`, if one is near enough to be a slip.
pub(crate) fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let budget = (given.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (distance(&given, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= budget)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Counts slips; spelling a word with other separators is none.
fn distance(given: &str, candidate: &str) -> usize {
    let plain = |text: &str| text.replace(['-', '_', ' '], "");
    strsim::damerau_levenshtein(given, candidate).min(strsim::damerau_levenshtein(&plain(given), &plain(candidate)) + 1)
}

/// Asks whether the nearest candidate was meant, or lists them all.
pub(super) fn suggest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(given, candidates.clone()) {
        return Some(did_you_mean(near));
    }
    let names: Vec<_> = candidates.into_iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("known here: {}", names.join(", ")))
}

/// Asks whether a name was meant.
pub(super) fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised() {
        let fields = ["value", "value_from", "type", "secret", "targets", "per_target"];
        for (given, meant) in [
            ("vale", Some("value")),
            ("Value", Some("value")),
            ("valueFrom", Some("value_from")),
            ("value-from", Some("value_from")),
            ("secert", Some("secret")),
            ("target", Some("targets")),
            ("colour", None),
        ] {
            assert_eq!(nearest(given, fields), meant, "{given}");
        }
    }
}
