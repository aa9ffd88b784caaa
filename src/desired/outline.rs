//! Where the sections of a YAML file stand, for whoever adds to its text and leaves the rest as it is. Pure.

use super::tree::{Data, Member, Node};
use super::yaml;

/// Where the sections stand that are added to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    /// The section of entries, where there is one.
    pub(crate) entries: Option<Lines>,
    /// How many entries there are.
    pub(crate) count: usize,
    /// What the policy says of adoption.
    pub(crate) adopt: Policy,
}

/// Lines of a text, from 0, the last one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// A place in a text: line and column, from 0, the column in characters.
pub(crate) type Place = (usize, usize);

/// Where a policy says what to do with items that are there already, or may come to say it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    /// There is no policy.
    #[default]
    Nowhere,
    /// It says so between these places of one line.
    Said(Place, Place),
    /// It says other things, the first here; whether in braces.
    Before(Place, bool),
    /// It is there, and says nothing that another could stand before.
    Empty,
}

/// Finds the sections of a text. Nothing where it is no YAML, or none whose sections each begin a line.
pub(crate) fn outline(text: &str) -> Option<Outline> {
    let root = yaml::parse(text, 0, &[], &mut Vec::new()).ok()?;
    let sections = root.map()?;
    if sections.values().any(|member| member.key.start.column != 1) {
        return None;
    }
    let entries = sections.get("entries");
    let count = entries.and_then(|member| member.node.map()).map_or(0, |map| map.len());
    Some(Outline { entries: entries.map(lines), count, adopt: sections.get("policy").map_or(Policy::Nowhere, policy) })
}

fn lines(member: &Member) -> Lines {
    let first = member.key.start.line as usize - 1;
    let end = member.node.span.end;
    // What ends in the first column ends with the line before.
    let last = if end.column <= 1 { end.line.saturating_sub(2) } else { end.line - 1 } as usize;
    Lines { first, last: if member.node.is_null() { first } else { last.max(first) } }
}

fn policy(member: &Member) -> Policy {
    let Node { data: Data::Map(fields), span } = &member.node else { return Policy::Empty };
    if let Some(adopt) = fields.get("adopt") {
        let (start, end) = (adopt.node.span.start, adopt.node.span.end);
        let place = |pos: super::tree::Pos| (pos.line as usize - 1, pos.column as usize - 1);
        return if start.line == end.line { Policy::Said(place(start), place(end)) } else { Policy::Empty };
    }
    let Some((_, first)) = fields.first() else { return Policy::Empty };
    let start = first.key.start;
    Policy::Before((start.line as usize - 1, start.column as usize - 1), span.start < start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Outline {
        outline(text).expect("YAML")
    }

    #[test]
    fn sections_are_found() {
        assert_eq!(of("version: 1\nname: a\n"), Outline::default());
        let empty = of("version: 1\nentries: {}\nforget: []\n");
        assert_eq!((empty.entries, empty.count), (Some(Lines { first: 1, last: 1 }), 0));
        assert_eq!(of("entries:\n\n# c\nforget: []\n").entries, Some(Lines { first: 0, last: 0 }));
        let some = of("a: 1\nentries:\n  b: { value: 1 }\n  c:\n    value: |\n      x\n");
        assert_eq!((some.entries.map(|lines| lines.first), some.count), (Some(1), 2));
        assert!(outline("{ version: 1, entries: {} }").is_none() && outline("a: [").is_none());
    }

    #[test]
    fn what_a_policy_says_is_found() {
        assert_eq!(of("policy:\n  prune: true\n  adopt: never # x\n").adopt, Policy::Said((2, 9), (2, 14)));
        assert_eq!(of("policy: { adopt: never }\n").adopt, Policy::Said((0, 17), (0, 22)));
        assert_eq!(of("policy:\n  prune: true\n").adopt, Policy::Before((1, 2), false));
        assert_eq!(of("policy: { prune: true }\n").adopt, Policy::Before((0, 10), true));
        for empty in ["policy:\n", "policy: {}\n"] {
            assert_eq!(of(empty).adopt, Policy::Empty);
        }
    }
}
