//! The rules of Parameter Store, one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Ssm;
use super::name::Name;
use crate::aws::context::{Behaviour, Context, Place};
use crate::aws::error::{AwsError, Result};
use crate::aws::kms::Kms;
use crate::counters::Counters;
use crate::persist::Persist;

/// One account in one region, with a clock of its own, kept in memory.
struct World {
    ssm: Ssm,
    kms: Kms,
    counters: Counters,
    persist: Persist,
    behaviour: Behaviour,
    now: i64,
}

impl World {
    fn new() -> Self {
        Self::open(Persist::in_memory().unwrap())
    }

    fn open(persist: Persist) -> Self {
        Self {
            ssm: Ssm::load(&persist).unwrap(),
            kms: Kms::load(&persist).unwrap(),
            counters: Counters::default(),
            persist,
            behaviour: Behaviour { recreate_wait: true, short_pages: false, read_lag: None },
            now: 1_700_000_000_123,
        }
    }

    fn run(&mut self, f: impl FnOnce(&mut Ssm, &mut Kms, &mut Context<'_>) -> Result<Value>) -> Result<Value> {
        let mut ctx = Context {
            place: Place { account: "111122223333".into(), region: "eu-west-1".into() },
            caller: "arn:aws:iam::111122223333:user/emulator".into(),
            now: Timestamp::from_millisecond(self.now).unwrap(),
            counters: &self.counters,
            behaviour: self.behaviour,
            oddity: None,
            changes: Vec::new(),
        };
        let result = f(&mut self.ssm, &mut self.kms, &mut ctx);
        self.persist.commit(&ctx.changes).unwrap();
        result
    }

    fn call(&mut self, operation: &str, input: Value) -> Result<Value> {
        self.run(|ssm, kms, ctx| super::call(operation, input.to_string().as_bytes(), ssm, kms, ctx))
    }

    fn kms(&mut self, operation: &str, input: Value) -> Result<Value> {
        self.run(|_, kms, ctx| crate::aws::kms::call(operation, input.to_string().as_bytes(), kms, ctx))
    }

    fn ok(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, input).unwrap()
    }

    fn err(&mut self, operation: &str, input: Value) -> AwsError {
        self.call(operation, input).unwrap_err()
    }

    fn code(&mut self, operation: &str, input: Value) -> String {
        self.err(operation, input).code.into_owned()
    }

    fn put(&mut self, name: &str, value: &str) -> Value {
        self.ok("PutParameter", json!({ "Name": name, "Value": value, "Type": "String", "Overwrite": true }))
    }

    /// Puts with these members over `{Name: /a, Value: v, Type: String}`.
    fn put_with(&mut self, members: Value) -> Result<Value> {
        let mut input = json!({ "Name": "/a", "Value": "v", "Type": "String" });
        for (member, value) in members.as_object().unwrap() {
            input[member] = value.clone();
        }
        self.call("PutParameter", input)
    }

    fn put_code(&mut self, members: Value) -> String {
        self.put_with(members).unwrap_err().code.into_owned()
    }

    fn get(&mut self, name: &str) -> Value {
        self.ok("GetParameter", json!({ "Name": name, "WithDecryption": true }))["Parameter"].clone()
    }

    fn names(answer: &Value) -> Vec<&str> {
        answer["Parameters"].as_array().unwrap().iter().map(|p| p["Name"].as_str().unwrap()).collect()
    }

    /// Follows a listing to its end and returns the pages.
    fn pages(&mut self, operation: &str, mut input: Value) -> Vec<Value> {
        let mut pages = Vec::new();
        for _ in 0..1_000 {
            let page = self.ok(operation, input.clone());
            let token = page["NextToken"].clone();
            pages.push(page);
            if token.is_null() {
                return pages;
            }
            input["NextToken"] = token;
        }
        panic!("the listing does not end");
    }
}

#[test]
fn versions_count_from_one_and_identical_values_count_too() {
    let mut world = World::new();
    assert_eq!(world.put("/a", "x"), json!({ "Version": 1, "Tier": "Standard" }));
    assert_eq!(world.put("/a", "x")["Version"], 2);
    let read = world.get("/a:1");
    assert_eq!(read["Selector"], ":1");
    assert_eq!(read["LastModifiedDate"], 1_700_000_000.123);
    assert_eq!(read["ARN"], "arn:aws:ssm:eu-west-1:111122223333:parameter/a");
    assert_eq!(world.code("GetParameter", json!({ "Name": "/a:3" })), "ParameterVersionNotFound");
    assert_eq!(world.code("GetParameter", json!({ "Name": "/b" })), "ParameterNotFound");
}

#[test]
fn a_create_needs_a_type_and_does_not_overwrite() {
    let mut world = World::new();
    assert_eq!(world.put_code(json!({ "Type": null })), "ValidationException");
    assert_eq!(world.put_code(json!({ "Type": "Text" })), "ValidationException");
    world.put("/a", "x");
    assert_eq!(world.put_code(json!({})), "ParameterAlreadyExists");
    assert_eq!(world.put_code(json!({ "Overwrite": false })), "ParameterAlreadyExists");
    assert_eq!(world.put_with(json!({ "Type": null, "Overwrite": true })).unwrap()["Version"], 2);
    assert_eq!(world.get("/a")["Type"], "String");
}

#[test]
fn values_have_limits_in_bytes_by_tier() {
    let mut world = World::new();
    assert_eq!(world.put_code(json!({ "Value": "" })), "ValidationException");
    assert_eq!(world.put_code(json!({ "Value": "x".repeat(4_097) })), "ValidationException");
    assert_eq!(world.put_code(json!({ "Value": "é".repeat(2_049) })), "ValidationException");
    assert!(world.put_with(json!({ "Value": "x".repeat(4_096) })).is_ok());
    let big = |tier: &str, bytes: usize| json!({ "Value": "x".repeat(bytes), "Tier": tier, "Overwrite": true });
    assert_eq!(world.put_code(big("Advanced", 8_193)), "ValidationException");
    assert_eq!(world.put_with(big("Intelligent-Tiering", 100)).unwrap()["Tier"], "Standard");
    assert_eq!(world.put_with(big("Intelligent-Tiering", 4_097)).unwrap()["Tier"], "Advanced");
    assert_eq!(world.put_with(big("Intelligent-Tiering", 1)).unwrap()["Tier"], "Advanced");
    assert_eq!(world.put_code(big("Standard", 1)), "ValidationException", "there is no way back");
    assert_eq!(world.put_with(json!({ "Overwrite": true })).unwrap()["Tier"], "Advanced");
    assert_eq!(world.put_code(big("Premium", 1)), "ValidationException");
}

#[test]
fn nested_references_are_refused() {
    let mut world = World::new();
    assert_eq!(world.put_code(json!({ "Value": "a {{ssm:b}} c" })), "ValidationException");
    assert_eq!(world.put_code(json!({ "Value": "{{ name }}" })), "ValidationException");
    assert!(world.put_with(json!({ "Value": "{\"a\":{\"b\":{}}} {{" })).is_ok());
}

#[test]
fn patterns_are_checked_and_kept() {
    let mut world = World::new();
    assert_eq!(world.put_code(json!({ "AllowedPattern": "(" })), "InvalidAllowedPatternException");
    assert_eq!(world.put_code(json!({ "AllowedPattern": "^\\d+$" })), "ParameterPatternMismatchException");
    assert!(world.put_with(json!({ "AllowedPattern": "^\\d+$", "Value": "12" })).is_ok());
    assert_eq!(world.put_code(json!({ "Overwrite": true })), "ParameterPatternMismatchException");
    assert!(world.put_with(json!({ "Overwrite": true, "AllowedPattern": "" })).is_ok(), "an empty one clears it");
}

#[test]
fn other_members_are_bounded() {
    let mut world = World::new();
    assert_eq!(world.put_code(json!({ "Description": "d".repeat(1_025) })), "ValidationException");
    assert_eq!(world.put_code(json!({ "KeyId": "alias/x" })), "ValidationException", "a String takes no key");
    assert_eq!(world.put_code(json!({ "KeyId": "a b", "Type": "SecureString" })), "ValidationException");
    assert_eq!(world.put_code(json!({ "DataType": "colour" })), "ValidationException");
    assert_eq!(world.put_code(json!({ "DataType": "integer" })), "ValidationException");
    assert!(world.put_with(json!({ "DataType": "integer", "Value": "7", "Description": "d".repeat(1_024) })).is_ok());
    assert_eq!(world.get("/a")["DataType"], "integer");
}

#[test]
fn policies_need_the_advanced_tier() {
    let mut world = World::new();
    let policy = r#"[{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"20","Unit":"Days"}}]"#;
    assert_eq!(world.put_code(json!({ "Policies": policy, "Tier": "Standard" })), "ValidationException");
    assert_eq!(world.put_code(json!({ "Policies": "no" })), "InvalidPolicyAttributeException");
    let unknown = r#"[{"Type":"Never","Attributes":{"a":"b"}}]"#;
    assert_eq!(world.put_code(json!({ "Policies": unknown })), "InvalidPolicyTypeException");
    let many = format!("[{}]", [&policy[1..policy.len() - 1]; 11].join(","));
    assert_eq!(world.put_code(json!({ "Policies": many, "Tier": "Advanced" })), "PoliciesLimitExceededException");
    world.put_with(json!({ "Policies": policy, "Tier": "Advanced" })).unwrap();
    world.put_with(json!({ "Overwrite": true })).unwrap();
    let described = world.ok("DescribeParameters", json!({}));
    assert_eq!(described["Parameters"][0]["Policies"][0]["PolicyType"], "NoChangeNotification");
    world.put_with(json!({ "Overwrite": true, "Policies": "[{}]" })).unwrap();
    assert_eq!(world.ok("DescribeParameters", json!({}))["Parameters"][0]["Policies"], json!([]));
}

#[test]
fn tags_come_with_a_create_only() {
    let mut world = World::new();
    let tags = json!([{ "Key": "owner", "Value": "repin" }]);
    assert_eq!(world.put_code(json!({ "Tags": tags, "Overwrite": true })), "ValidationException");
    world.put_with(json!({ "Tags": tags })).unwrap();
    let resource = json!({ "ResourceType": "Parameter", "ResourceId": "/a" });
    assert_eq!(world.ok("ListTagsForResource", resource.clone())["TagList"], tags);
    let with = |member: &str, value: Value| {
        let mut input = resource.clone();
        input[member] = value;
        input
    };
    let many: Vec<Value> = (0..50).map(|i| json!({ "Key": format!("k{i}"), "Value": "" })).collect();
    assert_eq!(world.code("AddTagsToResource", with("Tags", many.into())), "TooManyTagsError");
    world.ok("AddTagsToResource", with("Tags", json!([{ "Key": "a", "Value": "b" }])));
    world.ok("RemoveTagsFromResource", with("TagKeys", json!(["owner", "absent"])));
    assert_eq!(world.ok("ListTagsForResource", resource.clone())["TagList"], json!([{ "Key": "a", "Value": "b" }]));
    assert_eq!(world.code("ListTagsForResource", with("ResourceId", "/b".into())), "InvalidResourceId");
    assert_eq!(world.code("ListTagsForResource", with("ResourceType", "Document".into())), "InvalidResourceType");
    assert_eq!(world.get("/a")["Version"], 1, "tags make no version");
}

#[test]
fn a_hundred_versions_are_kept_unless_the_oldest_has_a_label() {
    let mut world = World::new();
    for _ in 0..101 {
        world.put("/a", "x");
    }
    assert_eq!(world.code("GetParameter", json!({ "Name": "/a:1" })), "ParameterVersionNotFound");
    assert_eq!(world.get("/a:2")["Version"], 2);
    let label = |version: u64| json!({ "Name": "/a", "ParameterVersion": version, "Labels": ["live"] });
    world.ok("LabelParameterVersion", label(2));
    assert_eq!(world.put_code(json!({ "Overwrite": true })), "ParameterMaxVersionLimitExceeded");
    assert_eq!(world.get("/a")["Version"], 101);
    world.ok("LabelParameterVersion", label(3));
    assert_eq!(world.put("/a", "x")["Version"], 102);
    assert_eq!(world.code("GetParameter", json!({ "Name": "/a:2" })), "ParameterVersionNotFound");
    assert_eq!(world.get("/a:live")["Version"], 3);
}

#[test]
fn labels_move_and_are_limited() {
    let mut world = World::new();
    world.put("/a", "one");
    world.put("/a", "two");
    let label =
        |version: Option<u64>, labels: Value| json!({ "Name": "/a", "ParameterVersion": version, "Labels": labels });
    let answer = world.ok("LabelParameterVersion", label(Some(1), json!(["live", "9x", "awsx", "SSMx", "a b"])));
    assert_eq!(answer, json!({ "InvalidLabels": ["9x", "SSMx", "a b", "awsx"], "ParameterVersion": 1 }));
    assert_eq!(world.get("/a:live")["Value"], "one");
    assert_eq!(world.ok("LabelParameterVersion", label(None, json!(["live"])))["ParameterVersion"], 2);
    let read = world.get("/a:live");
    assert_eq!((read["Value"].as_str(), read["Selector"].as_str()), (Some("two"), Some(":live")));
    let nine: Vec<String> = (0..9).map(|i| format!("l{i}")).collect();
    world.ok("LabelParameterVersion", label(Some(2), json!(nine)));
    let over = label(Some(2), json!(["eleventh"]));
    assert_eq!(world.code("LabelParameterVersion", over), "ParameterVersionLabelLimitExceeded");
    assert_eq!(world.code("LabelParameterVersion", label(Some(9), json!(["x"]))), "ParameterVersionNotFound");
    let eleven: Vec<String> = (0..11).map(|i| format!("m{i}")).collect();
    assert_eq!(world.code("LabelParameterVersion", label(Some(1), json!(eleven))), "ValidationException");
    let answer = world.ok("UnlabelParameterVersion", label(Some(2), json!(["live", "unknown"])));
    assert_eq!(answer, json!({ "RemovedLabels": ["live"], "InvalidLabels": ["unknown"] }));
    assert_eq!(world.code("GetParameter", json!({ "Name": "/a:live" })), "ParameterVersionNotFound");
}

#[test]
fn batches_sort_and_list_what_is_missing() {
    let mut world = World::new();
    for name in ["/b", "/a", "/c"] {
        world.put(name, "v");
    }
    let asked = json!({ "Names": ["/c", "/a:1", "/x", "/b:9", "/b:none",
        "arn:aws:ssm:eu-west-1:111122223333:parameter/b"] });
    let answer = world.ok("GetParameters", asked);
    assert_eq!(World::names(&answer), ["/a", "/b", "/c"]);
    assert_eq!(answer["InvalidParameters"], json!(["/b:9", "/b:none", "/x"]));
    let eleven: Vec<String> = (0..11).map(|i| format!("/n{i}")).collect();
    assert_eq!(world.code("GetParameters", json!({ "Names": eleven })), "ValidationException");
    assert_eq!(world.code("GetParameters", json!({ "Names": [] })), "ValidationException");
    let selected = world.ok("GetParameters", json!({ "Names": ["/a", "/a:1"] }));
    assert_eq!(World::names(&selected), ["/a", "/a"]);
}

#[test]
fn paths_are_read_in_pages_of_ten() {
    let mut world = World::new();
    for i in 0..20 {
        world.put(&format!("/app/{i:02}"), "v");
    }
    for name in ["/app", "/app/deep/er", "/apple", "plain"] {
        world.put(name, "v");
    }
    let pages = world.pages("GetParametersByPath", json!({ "Path": "/app" }));
    assert_eq!(pages.iter().map(|page| World::names(page).len()).collect::<Vec<_>>(), [10, 10]);
    let deep = world.pages("GetParametersByPath", json!({ "Path": "/app/", "Recursive": true }));
    let all: Vec<&str> = deep.iter().flat_map(World::names).collect();
    assert_eq!(all.len(), 21);
    assert!(all.contains(&"/app/deep/er") && !all.contains(&"/app") && !all.contains(&"/apple"));
    let root = world.ok("GetParametersByPath", json!({ "Path": "/" }));
    assert_eq!(World::names(&root), ["/app", "/apple", "plain"]);
    for bad in [json!({ "Path": "app" }), json!({ "Path": "/app", "MaxResults": 11 }), json!({ "Path": "/a b" })] {
        assert_eq!(world.code("GetParametersByPath", bad), "ValidationException");
    }
    let bogus = json!({ "Path": "/app", "NextToken": "bogus" });
    assert_eq!(world.code("GetParametersByPath", bogus), "InvalidNextToken");
    let token = pages[0]["NextToken"].clone();
    let other = json!({ "Path": "/", "NextToken": token });
    assert_eq!(world.code("GetParametersByPath", other), "InvalidNextToken");
}

#[test]
fn a_label_filter_reads_the_labelled_versions() {
    let mut world = World::new();
    for name in ["/app/a", "/app/b"] {
        world.put(name, "old");
        world.put(name, "new");
    }
    world.ok("LabelParameterVersion", json!({ "Name": "/app/a", "ParameterVersion": 1, "Labels": ["live"] }));
    let filter =
        |key: &str, value: &str| json!({ "Path": "/app", "ParameterFilters": [{ "Key": key, "Values": [value] }] });
    let answer = world.ok("GetParametersByPath", filter("Label", "live"));
    assert_eq!(World::names(&answer), ["/app/a"]);
    assert_eq!(answer["Parameters"][0]["Value"], "old");
    assert_eq!(World::names(&world.ok("GetParametersByPath", filter("Type", "SecureString"))), [""; 0]);
    assert_eq!(world.code("GetParametersByPath", filter("Name", "/app/a")), "InvalidFilterKey");
    assert_eq!(world.code("GetParametersByPath", filter("Colour", "red")), "ValidationException");
    assert_eq!(world.code("GetParametersByPath", filter("Type", "Text")), "InvalidFilterOption");
    let begins = json!({ "Key": "Label", "Option": "BeginsWith", "Values": ["li"] });
    let begins = json!({ "Path": "/app", "ParameterFilters": [begins] });
    assert_eq!(world.code("GetParametersByPath", begins), "InvalidFilterOption");
}

#[test]
fn short_pages_lose_nothing() {
    let mut world = World::new();
    for i in 0..9 {
        world.put(&format!("/app/{i}"), "v");
    }
    world.behaviour.short_pages = true;
    let pages = world.pages("GetParametersByPath", json!({ "Path": "/app" }));
    assert!(World::names(&pages[0]).is_empty() && pages.len() > 3);
    assert_eq!(pages.iter().flat_map(World::names).count(), 9);
}

#[test]
fn descriptions_filter() {
    let mut world = World::new();
    world.put_with(json!({ "Name": "/app/a", "Tags": [{ "Key": "owner", "Value": "x" }] })).unwrap();
    world.put_with(json!({ "Name": "/app/deep/b", "Type": "SecureString", "Description": "d" })).unwrap();
    world.put_with(json!({ "Name": "/other", "Tier": "Advanced" })).unwrap();
    let mut names = |filter: Value| {
        let answer = world.ok("DescribeParameters", json!({ "ParameterFilters": [filter] }));
        World::names(&answer).join(" ")
    };
    assert_eq!(names(json!({ "Key": "Name", "Values": ["/app/a"] })), "/app/a");
    assert_eq!(names(json!({ "Key": "Name", "Option": "BeginsWith", "Values": ["/app"] })), "/app/a /app/deep/b");
    assert_eq!(names(json!({ "Key": "Name", "Option": "Contains", "Values": ["the"] })), "/other");
    assert_eq!(names(json!({ "Key": "Path", "Values": ["/app"] })), "/app/a");
    assert_eq!(names(json!({ "Key": "Path", "Option": "Recursive", "Values": ["/app"] })), "/app/a /app/deep/b");
    assert_eq!(names(json!({ "Key": "Type", "Values": ["SecureString"] })), "/app/deep/b");
    assert_eq!(names(json!({ "Key": "KeyId", "Values": ["alias/aws/ssm"] })), "/app/deep/b");
    assert_eq!(names(json!({ "Key": "Tier", "Values": ["Advanced"] })), "/other");
    assert_eq!(names(json!({ "Key": "tag:owner", "Values": ["x", "y"] })), "/app/a");
    assert_eq!(names(json!({ "Key": "tag:owner", "Values": ["y"] })), "");
    assert_eq!(names(json!({ "Key": "tag:owner" })), "/app/a");
    assert_eq!(names(json!({ "Key": "KeyId", "Option": "BeginsWith", "Values": ["alias/aws"] })), "/app/deep/b");
    assert_eq!(names(json!({ "Key": "tag:owner", "Option": "BeginsWith", "Values": ["x"] })), "/app/a");
    let refuse = |filter: Value| json!({ "ParameterFilters": [filter] });
    let code = world.code("DescribeParameters", refuse(json!({ "Key": "Label", "Values": ["x"] })));
    assert_eq!(code, "InvalidFilterKey");
    let code = world.code("DescribeParameters", refuse(json!({ "Key": "Name", "Option": "Near", "Values": ["x"] })));
    assert_eq!(code, "InvalidFilterOption");
    assert_eq!(world.code("DescribeParameters", refuse(json!({ "Key": "Name", "Values": [] }))), "InvalidFilterValue");
    let code = world.code("DescribeParameters", refuse(json!({ "Key": "Colour", "Values": ["red"] })));
    assert_eq!(code, "ValidationException");
    let code = world.code("DescribeParameters", refuse(json!({ "Key": "Tier", "Values": ["Gold"] })));
    assert_eq!(code, "InvalidFilterOption");
    let code =
        world.code("DescribeParameters", refuse(json!({ "Key": "Type", "Option": "Contains", "Values": ["String"] })));
    assert_eq!(code, "InvalidFilterOption");
    let once = json!({ "Key": "Type", "Values": ["String"] });
    let twice = json!({ "ParameterFilters": [once, once] });
    assert_eq!(world.code("DescribeParameters", twice), "InvalidFilterKey");
    let values: Vec<String> = (0..51).map(|i| format!("v{i}")).collect();
    let many = refuse(json!({ "Key": "Name", "Values": values }));
    assert_eq!(world.code("DescribeParameters", many), "ValidationException");
    assert_eq!(world.code("DescribeParameters", json!({ "MaxResults": 51 })), "ValidationException");
    let described = world.ok("DescribeParameters", json!({ "Filters": [{ "Key": "Name", "Values": ["/app/deep"] }] }));
    let secret = &described["Parameters"][0];
    assert_eq!((secret["Description"].as_str(), secret.get("Value")), (Some("d"), None));
}

#[test]
fn history_shows_versions_oldest_first() {
    let mut world = World::new();
    for i in 0..60 {
        world.put("/a", &i.to_string());
    }
    world.ok("LabelParameterVersion", json!({ "Name": "/a", "ParameterVersion": 2, "Labels": ["live"] }));
    let pages = world.pages("GetParameterHistory", json!({ "Name": "/a" }));
    assert_eq!(pages.iter().map(|page| World::names(page).len()).collect::<Vec<_>>(), [50, 10]);
    let second = &pages[0]["Parameters"][1];
    assert_eq!((&second["Version"], &second["Value"], &second["Labels"]), (&json!(2), &json!("1"), &json!(["live"])));
    assert_eq!(second["LastModifiedUser"], "arn:aws:iam::111122223333:user/emulator");
    assert!(second.get("ARN").is_none());
    assert_eq!(world.code("GetParameterHistory", json!({ "Name": "/b" })), "ParameterNotFound");
    assert_eq!(world.code("GetParameterHistory", json!({ "Name": "/a:1" })), "ValidationException");
}

#[test]
fn deleting_drops_history_and_blocks_the_name_for_a_while() {
    let mut world = World::new();
    world.put("/a", "x");
    world.put("/a", "y");
    world.ok("DeleteParameter", json!({ "Name": "/a" }));
    assert_eq!(world.code("DeleteParameter", json!({ "Name": "/a" })), "ParameterNotFound");
    world.now += 29_999;
    assert_eq!(world.put_code(json!({})), "TooManyUpdates");
    world.now += 1;
    assert_eq!(world.put_with(json!({})).unwrap()["Version"], 1);
    let answer = world.ok("DeleteParameters", json!({ "Names": ["/a", "/b"] }));
    assert_eq!(answer, json!({ "DeletedParameters": ["/a"], "InvalidParameters": ["/b"] }));
    world.behaviour.recreate_wait = false;
    assert!(world.put_with(json!({})).is_ok());
    let eleven: Vec<String> = (0..11).map(|i| format!("/n{i}")).collect();
    assert_eq!(world.code("DeleteParameters", json!({ "Names": eleven })), "ValidationException");
}

#[test]
fn secrets_are_ciphertext_until_decrypted() {
    let mut world = World::new();
    let secret = json!({ "Type": "SecureString", "Value": "hunter2", "Overwrite": true });
    world.put_with(secret.clone()).unwrap();
    let hidden = world.ok("GetParameter", json!({ "Name": "/a" }))["Parameter"]["Value"].clone();
    assert!(!hidden.as_str().unwrap().contains("hunter2"));
    assert_eq!(world.get("/a")["Value"], "hunter2");
    world.put_with(secret).unwrap();
    assert_ne!(world.ok("GetParameter", json!({ "Name": "/a" }))["Parameter"]["Value"], hidden);
    let advanced = json!({ "Name": "/big", "Type": "SecureString", "Value": "s".repeat(8_192), "Tier": "Advanced" });
    world.put_with(advanced).unwrap();
    assert_eq!(world.get("/big")["Value"], "s".repeat(8_192));
    let counted: BTreeMap<&str, u64> = ["Encrypt (ssm)", "GenerateDataKey (ssm)", "Decrypt (ssm)"]
        .into_iter()
        .map(|operation| (operation, world.counters.count("kms", operation)))
        .collect();
    assert_eq!(counted, BTreeMap::from([("Encrypt (ssm)", 2), ("GenerateDataKey (ssm)", 1), ("Decrypt (ssm)", 2)]));
}

#[test]
fn nothing_secret_is_kept_in_the_clear() {
    let mut world = World::new();
    world.put_with(json!({ "Type": "SecureString", "Value": "hunter2" })).unwrap();
    for table in ["ssm_parameters", "ssm_versions", "kms_keys"] {
        for (_, row) in world.persist.load_all::<Value>(table).unwrap() {
            assert!(!row.to_string().contains("hunter2"), "{table}");
        }
    }
}

#[test]
fn a_keys_state_stops_secrets() {
    let mut world = World::new();
    let key = world.kms("CreateKey", json!({})).unwrap()["KeyMetadata"]["KeyId"].clone();
    world.kms("CreateAlias", json!({ "AliasName": "alias/ai", "TargetKeyId": key })).unwrap();
    let secret = json!({ "Type": "SecureString", "KeyId": "alias/ai", "Overwrite": true });
    world.put_with(secret.clone()).unwrap();
    let refused = |error: AwsError, cause: &str| {
        assert_eq!(error.code, "InvalidKeyId");
        assert!(
            error.message.contains(&format!("(Service: AWSKMS; Status Code: 400; Error Code: {cause}; ")),
            "{error:?}"
        );
    };
    let read = json!({ "Name": "/a", "WithDecryption": true });
    world.kms("DisableKey", json!({ "KeyId": key })).unwrap();
    refused(world.err("GetParameter", read.clone()), "DisabledException");
    refused(world.put_with(secret.clone()).unwrap_err(), "DisabledException");
    assert!(world.call("GetParameter", json!({ "Name": "/a" })).is_ok(), "the ciphertext is still shown");
    world.kms("EnableKey", json!({ "KeyId": key })).unwrap();
    world.kms("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 7 })).unwrap();
    refused(world.err("GetParameter", read.clone()), "KMSInvalidStateException");
    world.kms("CancelKeyDeletion", json!({ "KeyId": key })).unwrap();
    refused(world.err("GetParameter", read.clone()), "DisabledException");
    world.kms("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 7 })).unwrap();
    world.now += 7 * 86_400_000;
    refused(world.err("GetParameter", read), "NotFoundException");
    refused(world.put_with(secret).unwrap_err(), "NotFoundException");
    let described = world.kms("DescribeKey", json!({ "KeyId": "alias/ai" }));
    assert_eq!(described.unwrap_err().code, "NotFoundException");
}

#[test]
fn a_repointed_alias_leaves_old_versions_with_their_key() {
    let mut world = World::new();
    let mut new_key = || world.kms("CreateKey", json!({})).unwrap()["KeyMetadata"]["KeyId"].clone();
    let (first, second) = (new_key(), new_key());
    world.kms("CreateAlias", json!({ "AliasName": "alias/ai", "TargetKeyId": first })).unwrap();
    let secret = json!({ "Type": "SecureString", "KeyId": "alias/ai", "Overwrite": true });
    world.put_with(secret.clone()).unwrap();
    world.kms("UpdateAlias", json!({ "AliasName": "alias/ai", "TargetKeyId": second })).unwrap();
    world.put_with(secret).unwrap();
    world.kms("DisableKey", json!({ "KeyId": first })).unwrap();
    assert_eq!(world.get("/a:2")["Version"], 2);
    assert_eq!(world.code("GetParameter", json!({ "Name": "/a:1", "WithDecryption": true })), "InvalidKeyId");
    let batch = json!({ "Names": ["/a", "/a:1"], "WithDecryption": true });
    assert_eq!(world.code("GetParameters", batch), "InvalidKeyId", "one bad key fails the batch");
}

#[test]
fn settings_have_defaults() {
    let mut world = World::new();
    let id = "arn:aws:ssm:eu-west-1:111122223333:servicesetting/ssm/parameter-store/default-parameter-tier";
    let shown = world.ok("GetServiceSetting", json!({ "SettingId": id }))["ServiceSetting"].clone();
    assert_eq!((&shown["SettingValue"], &shown["Status"]), (&json!("Standard"), &json!("Default")));
    world.ok("UpdateServiceSetting", json!({ "SettingId": id, "SettingValue": "Advanced" }));
    assert_eq!(world.put("/a", "x")["Tier"], "Advanced");
    let changed = world.ok("ResetServiceSetting", json!({ "SettingId": id }));
    assert_eq!(changed["ServiceSetting"]["Status"], "Default");
    assert_eq!(world.code("GetServiceSetting", json!({ "SettingId": "/other" })), "ServiceSettingNotFound");
    let odd = json!({ "SettingId": "/ssm/parameter-store/high-throughput-enabled", "SettingValue": "maybe" });
    assert_eq!(world.code("UpdateServiceSetting", odd), "ValidationException");
}

#[test]
fn everything_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(Persist::open(dir.path(), "x.redb").unwrap());
    world.put("/gone", "x");
    world.ok("DeleteParameter", json!({ "Name": "/gone" }));
    for _ in 0..102 {
        world.put("/old", "x");
    }
    world.put_with(json!({ "Type": "SecureString", "Tags": [{ "Key": "k", "Value": "v" }] })).unwrap();
    world.put_with(json!({ "Type": "SecureString", "Value": "w", "Overwrite": true })).unwrap();
    world.ok("LabelParameterVersion", json!({ "Name": "/a", "ParameterVersion": 1, "Labels": ["live"] }));
    let snapshot = |world: &mut World| {
        let history = world.ok("GetParameterHistory", json!({ "Name": "/a", "WithDecryption": true }));
        let old = world.pages("GetParameterHistory", json!({ "Name": "/old" }));
        let tags = world.ok("ListTagsForResource", json!({ "ResourceType": "Parameter", "ResourceId": "/a" }));
        (history, old, tags, world.ok("DescribeParameters", json!({})))
    };
    let before = snapshot(&mut world);
    drop(world);
    let mut world = World::open(Persist::open(dir.path(), "x.redb").unwrap());
    assert_eq!(snapshot(&mut world), before);
    assert_eq!(before.1.iter().map(|page| World::names(page).len()).sum::<usize>(), 100);
    let again = json!({ "Name": "/gone", "Value": "x", "Type": "String" });
    assert_eq!(world.code("PutParameter", again), "TooManyUpdates");
}

#[test]
fn reads_can_lag_behind_writes() {
    let mut world = World::new();
    world.put("/old", "one");
    world.now += 5_000;
    world.behaviour.read_lag = Some(Duration::from_secs(2));
    world.put("/old", "two");
    world.put("/new", "x");
    assert_eq!(world.get("/old")["Value"], "one");
    assert_eq!(world.code("GetParameter", json!({ "Name": "/old:2" })), "ParameterVersionNotFound");
    let batch = world.ok("GetParameters", json!({ "Names": ["/old", "/new"] }));
    assert_eq!(batch["InvalidParameters"], json!(["/new"]));
    assert_eq!(World::names(&world.ok("DescribeParameters", json!({}))), ["/old"]);
    assert_eq!(World::names(&world.ok("GetParametersByPath", json!({ "Path": "/" }))), ["/old"]);
    assert_eq!(World::names(&world.ok("GetParameterHistory", json!({ "Name": "/old" }))).len(), 1);
    assert_eq!(world.put("/old", "three")["Version"], 3, "writes see everything");
    world.now += 2_000;
    assert_eq!(world.get("/old")["Value"], "three");
    assert_eq!(world.get("/new")["Value"], "x");
}

#[test]
fn ten_thousand_standard_parameters_fit() {
    let mut world = World::new();
    world.put("/a", "x");
    world
        .run(|ssm, _, ctx| {
            let store = ssm.store(&ctx.place);
            let one = store.parameters.values().next().unwrap().clone();
            for i in 1..10_000 {
                let name = Name::parse_new(&format!("/n/{i}"), &ctx.place).unwrap().0;
                store.parameters.insert(name, one.clone());
            }
            Ok(Value::Null)
        })
        .unwrap();
    let put = |tier: &str| json!({ "Name": "/more", "Tier": tier });
    assert_eq!(world.put_code(put("Standard")), "ParameterLimitExceeded");
    assert!(world.put_with(json!({ "Overwrite": true })).is_ok(), "only new ones count");
    assert_eq!(world.put_with(put("Intelligent-Tiering")).unwrap()["Tier"], "Advanced");
}

#[test]
fn odd_requests_are_refused() {
    let mut world = World::new();
    assert_eq!(world.code("PutParameter", json!({ "Name": "/a" })), "ValidationException");
    assert_eq!(world.code("PutParameter", json!({ "Name": 7, "Value": "v" })), "SerializationException");
    assert_eq!(world.code("SendCommand", json!({})), "UnknownOperationException");
    let missing = world.run(|ssm, kms, ctx| super::call("PutParameter", b"{", ssm, kms, ctx));
    assert_eq!(missing.unwrap_err().code, "SerializationException");
}
