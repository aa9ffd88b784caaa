use super::*;
use crate::appconfig::model::{Condition, SnapshotFilter, TextFilter};

const DAY: i64 = 24 * 3_600;

fn rules() -> Rules {
    Rules {
        retention: Duration::from_secs(7 * 24 * 3_600),
        provisioning: Duration::from_secs(2),
        default_snapshot_retention: 30 * 24 * 3_600,
        max_snapshot_retention: 90 * 24 * 3_600,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn id(key: &str, label: Option<&str>) -> Id {
    Id { key: key.into(), label: label.map(Into::into) }
}

fn text(value: &str) -> Content {
    Content { value: Some(value.into()), ..Content::default() }
}

fn any() -> KeyValueFilter {
    KeyValueFilter { key: TextFilter::Any, label: TextFilter::Any, tags: Vec::new() }
}

fn put(store: &mut Store, key: &str, value: &str, seconds: i64) -> Change {
    put_labelled(store, id(key, None), value, seconds)
}

fn put_labelled(store: &mut Store, id: Id, value: &str, seconds: i64) -> Change {
    let change = store.plan_put(id, text(value), &Conditions::default(), at(seconds)).unwrap();
    store.apply(change.clone());
    change
}

fn delete(store: &mut Store, key: &str, seconds: i64) -> Change {
    let change = store.plan_delete(id(key, None), &Conditions::default(), at(seconds)).unwrap();
    store.apply(change.clone());
    change
}

fn value_at(store: &Store, key: &str, view: View) -> Option<String> {
    store.get(&id(key, None), view).and_then(|item| item.content.value.clone())
}

fn history(store: &Store, now: i64) -> Vec<String> {
    let filter = any();
    let rules = rules();
    store
        .revisions(&filter, View::Now, None, &rules, at(now))
        .map(|(_, item)| format!("{}={}", item.id.key, item.content.value.as_deref().unwrap_or_default()))
        .collect()
}

#[test]
fn an_equal_put_changes_nothing() {
    let mut store = Store::default();
    put(&mut store, "k", "v", 0);
    let etag = store.get(&id("k", None), View::Now).unwrap().etag.clone();
    assert_eq!(put(&mut store, "k", "v", 1), Change::Nothing);
    assert_eq!(store.get(&id("k", None), View::Now).unwrap().etag, etag);
    assert_eq!(history(&store, 1), ["k=v"]);
}

#[test]
fn a_put_back_to_an_older_value_has_a_new_etag() {
    let mut store = Store::default();
    let Change::Write(first) = put(&mut store, "k", "v", 0) else { panic!("a create writes") };
    put(&mut store, "k", "w", 0);
    let Change::Write(third) = put(&mut store, "k", "v", 0) else { panic!("a change writes") };
    assert_ne!(first.item.unwrap().etag, third.item.unwrap().etag);
}

#[test]
fn labels_are_separate_items() {
    let mut store = Store::default();
    put(&mut store, "k", "none", 0);
    put_labelled(&mut store, id("k", Some("prod")), "prod", 0);
    assert_eq!(value_at(&store, "k", View::Now).as_deref(), Some("none"));
    delete(&mut store, "k", 1);
    assert!(store.get(&id("k", Some("prod")), View::Now).is_some());
}

#[test]
fn revisions_are_newest_first_without_deletions() {
    let mut store = Store::default();
    put(&mut store, "k", "1", 0);
    put(&mut store, "k", "2", 1);
    delete(&mut store, "k", 2);
    put(&mut store, "k", "3", 3);
    put(&mut store, "a", "1", 4);
    assert_eq!(history(&store, 5), ["a=1", "k=3", "k=2", "k=1"]);
}

#[test]
fn revisions_expire_unless_current() {
    let mut store = Store::default();
    put(&mut store, "k", "1", 0);
    put(&mut store, "gone", "1", 0);
    put(&mut store, "k", "2", DAY);
    delete(&mut store, "gone", DAY);
    assert_eq!(history(&store, 7 * DAY - 1), ["gone=1", "k=2", "k=1"]);
    assert_eq!(history(&store, 7 * DAY), ["k=2"]);
    assert_eq!(history(&store, 700 * DAY), ["k=2"], "the current one never expires");
}

#[test]
fn what_nobody_sees_expires_except_the_newest_number() {
    let mut store = Store::default();
    put(&mut store, "k", "1", 0);
    put(&mut store, "k", "2", 1);
    delete(&mut store, "k", 2);
    let k = id("k", None);
    assert_eq!(store.expired(&k, &rules(), at(8 * DAY)), [1, 2]);
    store.forget(&k, &[1, 2]);
    assert_eq!(store.expired(&k, &rules(), at(8 * DAY)), [0; 0]);
    put(&mut store, "other", "1", 9 * DAY);
    assert_eq!(store.expired(&k, &rules(), at(9 * DAY)), [3]);
}

#[test]
fn time_travel_sees_what_is_strictly_older() {
    let mut store = Store::default();
    put(&mut store, "k", "1", 10);
    put(&mut store, "k", "2", 20);
    delete(&mut store, "k", 30);
    let seen = |seconds| value_at(&store, "k", View::before(at(seconds), &rules(), at(40)));
    assert_eq!(seen(10), None);
    assert_eq!(seen(11).as_deref(), Some("1"));
    assert_eq!(seen(20).as_deref(), Some("1"));
    assert_eq!(seen(21).as_deref(), Some("2"));
    assert_eq!(seen(31), None, "a tombstone hides the key");
}

#[test]
fn time_travel_ends_with_the_retention() {
    let mut store = Store::default();
    put(&mut store, "k", "1", 0);
    put(&mut store, "k", "2", DAY);
    let seen = |now| value_at(&store, "k", View::before(at(DAY), &rules(), at(now)));
    assert_eq!(seen(2 * DAY).as_deref(), Some("1"));
    assert_eq!(seen(7 * DAY), None);
}

#[test]
fn a_lagging_view_catches_up_by_token_or_by_time() {
    let mut store = Store::default();
    put(&mut store, "k", "1", 0);
    put(&mut store, "k", "2", 10);
    let seen = |seen, until| value_at(&store, "k", View::Settled { seen, until: at(until) });
    assert_eq!(seen(0, 5).as_deref(), Some("1"));
    assert_eq!(seen(1, -5).as_deref(), Some("1"));
    assert_eq!(seen(2, 5).as_deref(), Some("2"));
    assert_eq!(seen(0, 10).as_deref(), Some("2"));
    assert_eq!(seen(0, -5), None);
}

#[test]
fn conditions_come_before_everything_else() {
    let mut store = Store::default();
    put(&mut store, "k", "1", 0);
    let etag = store.get(&id("k", None), View::Now).unwrap().etag.clone();
    let only = |header: &str| Conditions { if_match: Some(Condition::parse(header)), if_none_match: None };
    let fresh = Conditions { if_match: None, if_none_match: Some(Condition::Any) };
    let plan = |conditions: &Conditions| store.plan_put(id("k", None), text("2"), conditions, at(1));
    assert_eq!(plan(&fresh), Err(Rejection::Precondition));
    assert_eq!(plan(&only("\"other\"")), Err(Rejection::Precondition));
    assert!(matches!(plan(&only(&etag)), Ok(Change::Write(_))));
    assert_eq!(store.plan_delete(id("no", None), &only("*"), at(1)), Err(Rejection::Precondition));
}

#[test]
fn a_locked_item_refuses_changes() {
    let mut store = Store::default();
    put(&mut store, "k", "1", 0);
    let before = store.get(&id("k", None), View::Now).unwrap().etag.clone();
    let lock = store.plan_lock(id("k", None), true, &Conditions::default(), at(1)).unwrap();
    store.apply(lock);
    let locked = store.get(&id("k", None), View::Now).unwrap();
    assert!(locked.locked && locked.etag != before);
    let refused = Err(Rejection::Locked { key: "k".into() });
    assert_eq!(store.plan_put(id("k", None), text("2"), &Conditions::default(), at(2)), refused);
    assert_eq!(store.plan_delete(id("k", None), &Conditions::default(), at(2)), refused);
    assert_eq!(store.plan_lock(id("k", None), true, &Conditions::default(), at(2)), Ok(Change::Nothing));
    assert_eq!(store.plan_lock(id("no", None), true, &Conditions::default(), at(2)), Err(Rejection::NotFound));
    let unlock = store.plan_lock(id("k", None), false, &Conditions::default(), at(3)).unwrap();
    store.apply(unlock);
    assert!(matches!(put(&mut store, "k", "2", 4), Change::Write(_)));
}

#[test]
fn items_over_ten_kilobytes_are_refused() {
    let store = Store::default();
    let plan = |length| store.plan_put(id("k", None), text(&"v".repeat(length)), &Conditions::default(), at(0));
    assert!(matches!(plan(10 * 1024 - 1), Ok(Change::Write(_))), "the key counts too");
    assert_eq!(plan(10 * 1024), Err(Rejection::TooLarge { bytes: 10 * 1024 + 1 }));
}

#[test]
fn a_clock_that_goes_back_does_not_reorder_writes() {
    let mut store = Store::default();
    put(&mut store, "k", "1", 10);
    put(&mut store, "k", "2", 5);
    assert_eq!(store.get(&id("k", None), View::Now).unwrap().last_modified, at(10));
}

fn filter(key: &str, label: Option<&str>) -> SnapshotFilter {
    SnapshotFilter { key: key.into(), label: label.map(Into::into), tags: None }
}

fn asked(name: &str, filters: Vec<SnapshotFilter>, composition: Composition) -> CreateSnapshot {
    CreateSnapshot {
        name: name.into(),
        filters,
        composition,
        retention: Some(3_600),
        tags: BTreeMap::new(),
        description: None,
    }
}

fn create(store: &mut Store, asked: CreateSnapshot, seconds: i64) -> Result<(), Rejection> {
    let change = store.plan_snapshot(asked, None, &Conditions::default(), &rules(), at(seconds))?;
    store.apply(change);
    Ok(())
}

fn listed(store: &Store, name: &str, seconds: i64) -> Vec<String> {
    let snapshot = store.snapshot(name, at(seconds)).unwrap();
    snapshot.listed(at(seconds)).iter().map(|item| item.content.value.clone().unwrap()).collect()
}

#[test]
fn snapshots_freeze_their_items_once_ready() {
    let mut store = Store::default();
    put(&mut store, "k", "1", 0);
    create(&mut store, asked("s", vec![filter("*", None)], Composition::Key), 0).unwrap();
    put(&mut store, "k", "2", 1);
    assert!(listed(&store, "s", 1).is_empty(), "still provisioning");
    assert_eq!(listed(&store, "s", 2), ["1"]);
}

#[test]
fn a_later_filter_wins_with_composition_key() {
    let mut store = Store::default();
    put(&mut store, "k", "base", 0);
    put_labelled(&mut store, id("k", Some("prod")), "prod", 0);
    let filters = || vec![filter("*", None), filter("*", Some("prod"))];
    create(&mut store, asked("one", filters(), Composition::Key), 0).unwrap();
    create(&mut store, asked("both", filters(), Composition::KeyLabel), 0).unwrap();
    assert_eq!(listed(&store, "one", 2), ["prod"]);
    assert_eq!(listed(&store, "both", 2), ["base", "prod"]);
}

#[test]
fn snapshot_requests_are_checked() {
    let mut store = Store::default();
    let name_of = |result: Result<(), Rejection>| match result.unwrap_err() {
        Rejection::Invalid { name, .. } => name,
        other => panic!("{other:?}"),
    };
    let labels = asked("s", vec![filter("*", Some("*"))], Composition::Key);
    assert_eq!(name_of(create(&mut store, labels, 0)), "filters");
    assert_eq!(name_of(create(&mut store, asked("s", vec![], Composition::Key), 0)), "filters");
    let four = vec![filter("*", None); 4];
    assert_eq!(name_of(create(&mut store, asked("s", four, Composition::Key), 0)), "filters");
    for seconds in [3_599, 90 * 24 * 3_600 + 1] {
        let mut asked = asked("s", vec![filter("*", None)], Composition::Key);
        asked.retention = Some(seconds);
        assert_eq!(name_of(create(&mut store, asked, 0)), "retention_period");
    }
    create(&mut store, asked("s", vec![filter("*", Some("*"))], Composition::KeyLabel), 0).unwrap();
}

#[test]
fn a_name_is_taken_until_its_snapshot_expires() {
    let mut store = Store::default();
    let again = || asked("s", vec![filter("*", None)], Composition::Key);
    create(&mut store, again(), 0).unwrap();
    let change = store.plan_archive("s", true, &Conditions::default(), at(2)).unwrap();
    store.apply(change);
    assert_eq!(create(&mut store, again(), 10), Err(Rejection::AlreadyExists));
    assert!(store.snapshot("s", at(2 + 3_599)).is_some(), "archived snapshots stay readable");
    assert!(store.snapshot("s", at(2 + 3_600)).is_none());
    create(&mut store, again(), 2 + 3_600).unwrap();
}

#[test]
fn archive_and_recover_are_idempotent_and_need_a_ready_snapshot() {
    let mut store = Store::default();
    create(&mut store, asked("s", vec![filter("*", None)], Composition::Key), 0).unwrap();
    let plan = |store: &Store, archive, seconds| store.plan_archive("s", archive, &Conditions::default(), at(seconds));
    assert_eq!(plan(&store, true, 1), Err(Rejection::InvalidState));
    assert_eq!(plan(&store, false, 2), Ok(Change::Nothing));
    let ready = store.snapshot("s", at(2)).unwrap().etag(at(2));
    let archived = plan(&store, true, 3).unwrap();
    store.apply(archived);
    assert_eq!(plan(&store, true, 4), Ok(Change::Nothing));
    assert_ne!(store.snapshot("s", at(4)).unwrap().etag(at(4)), ready);
    let recovered = plan(&store, false, 5).unwrap();
    store.apply(recovered);
    assert_eq!(store.snapshot("s", at(400 * DAY)).unwrap().state(at(400 * DAY)), SnapshotState::Ready);
    assert_ne!(store.snapshot("s", at(6)).unwrap().etag(at(6)), ready);
}

#[test]
fn a_snapshot_over_one_megabyte_fails() {
    let mut store = Store::default();
    for index in 0..105 {
        put(&mut store, &format!("k{index:03}"), &"v".repeat(10_000), 0);
    }
    create(&mut store, asked("s", vec![filter("*", None)], Composition::Key), 0).unwrap();
    let snapshot = store.snapshot("s", at(2)).unwrap();
    assert_eq!(snapshot.state(at(1)), SnapshotState::Provisioning);
    assert_eq!(snapshot.state(at(2)), SnapshotState::Failed(SnapshotFailure::QuotaExceeded));
    assert!(snapshot.listed(at(2)).is_empty());
}
