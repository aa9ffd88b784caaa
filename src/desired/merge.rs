//! One file laid over another, and one part of an entry over the rest: the same rule for both.

use super::tree::{Data, Map, Member, Node};

/// Fields that hold one choice out of several: the later choice replaces the earlier one as a whole.
const CHOICES: [&str; 3] = ["value_from", "serve", "connection_string"];

/// Lays a file over an earlier one.
///
/// Maps merge at every depth; scalars and lists replace. An entry that the later file sets to null stays as null, so
/// that a pattern does not bring it back; a section that it leaves empty changes nothing.
pub(super) fn merge_files(base: &mut Node, over: Node) {
    match (&mut base.data, over.data) {
        (Data::Map(mine), Data::Map(theirs)) => {
            for (name, member) in theirs {
                merge_section(mine, name, member);
            }
        }
        (mine, data) => {
            *mine = data;
            base.span = over.span;
        }
    }
}

fn merge_section(sections: &mut Map, name: String, member: Member) {
    match sections.get_mut(&name) {
        Some(_) if member.node.is_null() => {}
        Some(mine) if name == "entries" => merge_children(mine, member, merge_entry),
        Some(mine) if name == "targets" => merge_children(mine, member, merge_fields),
        Some(mine) => merge_deep(mine, member),
        None => {
            sections.insert(name, member);
        }
    }
}

/// Merges two maps child by child with `merge`; anything else replaces.
fn merge_children(mine: &mut Member, over: Member, merge: fn(&mut Member, Member)) {
    match (&mut mine.node.data, over.node.data) {
        (Data::Map(children), Data::Map(theirs)) => {
            for (name, child) in theirs {
                match children.get_mut(&name) {
                    Some(mine) => merge(mine, child),
                    None => {
                        children.insert(name, child);
                    }
                }
            }
        }
        (_, data) => *mine = Member { key: over.key, node: Node { data, ..over.node } },
    }
}

/// Lays an entry over the same entry of an earlier file, `per_target` name by name.
fn merge_entry(mine: &mut Member, mut over: Member) {
    let layers = match &mut over.node.data {
        Data::Map(fields) => fields.shift_remove("per_target"),
        _ => None,
    };
    merge_fields(mine, over);
    let (Some(layers), Data::Map(fields)) = (layers, &mut mine.node.data) else { return };
    match fields.get_mut("per_target") {
        Some(mine) => merge_children(mine, layers, merge_fields),
        None => {
            fields.insert("per_target".to_owned(), layers);
        }
    }
}

/// Lays fields over fields: `value` and `value_from` replace each other, maps merge, the rest replaces.
pub(super) fn merge_fields(mine: &mut Member, over: Member) {
    match (&mut mine.node.data, over.node.data) {
        (Data::Map(fields), Data::Map(theirs)) => {
            let replaces = |name: &str| theirs.contains_key(name);
            let (value, source) = (replaces("value"), replaces("value_from"));
            if source && !value {
                fields.shift_remove("value");
            }
            if value && !source {
                fields.shift_remove("value_from");
            }
            for (name, member) in theirs {
                merge_field(fields, name, member);
            }
        }
        (_, data) => *mine = Member { key: over.key, node: Node { data, ..over.node } },
    }
}

fn merge_field(fields: &mut Map, name: String, member: Member) {
    match fields.get_mut(&name) {
        Some(mine) if !CHOICES.contains(&name.as_str()) => merge_deep(mine, member),
        _ => {
            fields.insert(name, member);
        }
    }
}

/// Merges maps at every depth; anything else replaces.
fn merge_deep(mine: &mut Member, over: Member) {
    merge_children(mine, over, merge_deep);
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    fn merged(files: &[&str]) -> String {
        let parse = |text: &&str| yaml::parse(text, 0, &[], &mut Vec::new()).expect("valid");
        let mut nodes = files.iter().map(parse);
        let mut base = nodes.next().expect("one at least");
        nodes.for_each(|over| merge_files(&mut base, over));
        super::super::render::json(&base).expect("no odd numbers")
    }

    #[test]
    fn maps_merge_and_the_rest_replaces() {
        assert_eq!(
            merged(&[
                "entries: {a: {value: {x: 1, y: {z: [1, 2]}}, tags: {p: q}}}",
                "entries: {a: {value: {y: {z: [3], w: 4}}}, b: {value: 5}}",
            ]),
            r#"{"entries":{"a":{"value":{"x":1,"y":{"z":[3],"w":4}},"tags":{"p":"q"}},"b":{"value":5}}}"#
        );
    }

    #[test]
    fn value_and_value_from_replace_each_other() {
        assert_eq!(
            merged(&["entries: {a: {value: 1, secret: true}}", "entries: {a: {value_from: {env: A}}}"]),
            r#"{"entries":{"a":{"secret":true,"value_from":{"env":"A"}}}}"#
        );
        assert_eq!(
            merged(&["entries: {a: {value_from: {env: A}}}", "entries: {a: {value_from: {file: b}}}"]),
            r#"{"entries":{"a":{"value_from":{"file":"b"}}}}"#
        );
        assert_eq!(
            merged(&[
                "entries: {a: {per_target: {t: {value: 1}}}}",
                "entries: {a: {per_target: {t: {value_from: {env: A}}}}}"
            ]),
            r#"{"entries":{"a":{"per_target":{"t":{"value_from":{"env":"A"}}}}}}"#
        );
    }

    #[test]
    fn null_drops_an_entry_and_leaves_a_section() {
        assert_eq!(
            merged(&["entries: {a: {value: 1}, b: {value: 2}}\nforget: [x]", "entries: {a: null}\nforget:"]),
            r#"{"entries":{"a":null,"b":{"value":2}},"forget":["x"]}"#
        );
        assert_eq!(
            merged(&["entries: {a: {value: {x: 1}}}", "entries: {a: null}", "entries: {a: {value: 3}}"]),
            r#"{"entries":{"a":{"value":3}}}"#
        );
    }
}
