//! The rules of KMS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Kms;
use crate::aws::context::{Behaviour, Context, Place};
use crate::aws::error::Result;
use crate::counters::Counters;
use crate::persist::Persist;

struct World {
    kms: Kms,
    persist: Persist,
    counters: Counters,
}

impl World {
    fn new() -> Self {
        Self::open(Persist::in_memory().unwrap())
    }

    fn open(persist: Persist) -> Self {
        Self { kms: Kms::load(&persist).unwrap(), persist, counters: Counters::default() }
    }

    fn run<T>(&mut self, f: impl FnOnce(&mut Kms, &mut Context<'_>) -> T) -> T {
        let mut ctx = Context {
            place: Place { account: "111122223333".into(), region: "eu-west-1".into() },
            caller: String::new(),
            now: Timestamp::UNIX_EPOCH,
            counters: &self.counters,
            behaviour: Behaviour { recreate_wait: true, short_pages: false, read_lag: None },
            oddity: None,
            changes: Vec::new(),
        };
        let done = f(&mut self.kms, &mut ctx);
        self.persist.commit(&ctx.changes).unwrap();
        done
    }

    fn call(&mut self, operation: &str, input: Value) -> Result<Value> {
        self.run(|kms, ctx| super::call(operation, input.to_string().as_bytes(), kms, ctx))
    }

    fn ok(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, input).unwrap()
    }

    fn code(&mut self, operation: &str, input: Value) -> String {
        self.call(operation, input).unwrap_err().code.into_owned()
    }

    fn create(&mut self) -> String {
        self.ok("CreateKey", json!({}))["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_key_answers_to_four_names() {
    let mut world = World::new();
    let id = world.create();
    world.ok("CreateAlias", json!({ "AliasName": "alias/ai", "TargetKeyId": id }));
    let arn = format!("arn:aws:kms:eu-west-1:111122223333:key/{id}");
    for name in [&id, &arn, "alias/ai", "arn:aws:kms:eu-west-1:111122223333:alias/ai"] {
        assert_eq!(world.ok("DescribeKey", json!({ "KeyId": name }))["KeyMetadata"]["Arn"], arn.as_str());
    }
    for unknown in ["alias/other", "1234", &arn.replace("eu-west-1", "us-east-1"), &arn.replace("1111", "9999")] {
        assert_eq!(world.code("DescribeKey", json!({ "KeyId": unknown })), "NotFoundException", "{unknown}");
    }
    assert_eq!(world.code("DescribeKey", json!({ "KeyId": "arn:aws:iam::1:user/x" })), "InvalidArnException");
    let managed = world.ok("DescribeKey", json!({ "KeyId": "alias/aws/ssm" }));
    assert_eq!(managed["KeyMetadata"]["KeyManager"], "AWS");
}

#[test]
fn aliases_have_rules() {
    let mut world = World::new();
    let id = world.create();
    let alias = |name: &str| json!({ "AliasName": name, "TargetKeyId": id });
    world.ok("CreateAlias", alias("alias/a"));
    assert_eq!(world.code("CreateAlias", alias("alias/a")), "AlreadyExistsException");
    assert_eq!(world.code("CreateAlias", alias("a")), "InvalidAliasNameException");
    assert_eq!(world.code("CreateAlias", alias("alias/a b")), "InvalidAliasNameException");
    assert_eq!(world.code("CreateAlias", alias("alias/aws/x")), "NotAuthorizedException");
    assert_eq!(world.code("UpdateAlias", alias("alias/b")), "NotFoundException");
    let to_alias = json!({ "AliasName": "alias/b", "TargetKeyId": "alias/a" });
    assert_eq!(world.code("CreateAlias", to_alias), "ValidationException");
    world.ok("DeleteAlias", json!({ "AliasName": "alias/a" }));
    assert_eq!(world.code("DeleteAlias", json!({ "AliasName": "alias/a" })), "NotFoundException");
}

#[test]
fn ciphertexts_belong_to_a_key_and_a_context() {
    let mut world = World::new();
    let (id, other) = (world.create(), world.create());
    let plain = STANDARD.encode("data");
    let sealed = json!({ "KeyId": id, "Plaintext": plain, "EncryptionContext": { "a": "b" } });
    let blob = world.ok("Encrypt", sealed)["CiphertextBlob"].clone();
    let open = |context: Value| json!({ "CiphertextBlob": blob, "EncryptionContext": context });
    assert_eq!(world.ok("Decrypt", open(json!({ "a": "b" })))["Plaintext"], plain.as_str());
    for wrong in [json!({}), json!({ "a": "c" }), json!({ "ab": "" })] {
        assert_eq!(world.code("Decrypt", open(wrong)), "InvalidCiphertextException");
    }
    let mut with_key = open(json!({ "a": "b" }));
    with_key["KeyId"] = other.into();
    assert_eq!(world.code("Decrypt", with_key), "IncorrectKeyException");
    for damaged in ["", "AQ==", "not base64", "AAAA"] {
        assert_eq!(world.code("Decrypt", json!({ "CiphertextBlob": damaged })), "InvalidCiphertextException");
    }
    let big = json!({ "KeyId": id, "Plaintext": STANDARD.encode([0; 4_097]) });
    assert_eq!(world.code("Encrypt", big), "ValidationException");
}

#[test]
fn data_keys_come_in_both_forms() {
    let mut world = World::new();
    let id = world.create();
    let made = world.ok("GenerateDataKey", json!({ "KeyId": id, "KeySpec": "AES_256" }));
    assert_eq!(STANDARD.decode(made["Plaintext"].as_str().unwrap()).unwrap().len(), 32);
    let opened = world.ok("Decrypt", json!({ "CiphertextBlob": made["CiphertextBlob"] }));
    assert_eq!(opened["Plaintext"], made["Plaintext"]);
    for odd in [json!({}), json!({ "KeySpec": "AES_256", "NumberOfBytes": 5 }), json!({ "NumberOfBytes": 1_025 })] {
        let mut input = odd;
        input["KeyId"] = id.as_str().into();
        assert_eq!(world.code("GenerateDataKey", input), "ValidationException");
    }
}

#[test]
fn listings_have_pages() {
    let mut world = World::new();
    for _ in 0..4 {
        world.create();
    }
    let (mut seen, mut marker) = (Vec::new(), Value::Null);
    for _ in 0..3 {
        let page = world.ok("ListKeys", json!({ "Limit": 2, "Marker": marker }));
        seen.extend(page["Keys"].as_array().unwrap().iter().map(|key| key["KeyId"].as_str().unwrap().to_owned()));
        marker = page["NextMarker"].clone();
        assert_eq!(page["Truncated"], !marker.is_null());
    }
    seen.dedup();
    assert_eq!((seen.len(), marker), (5, Value::Null), "four, and the one that AWS manages");
    assert_eq!(world.code("ListKeys", json!({ "Limit": 0 })), "ValidationException");
}

#[test]
fn states_have_an_order() {
    let mut world = World::new();
    let id = world.create();
    let key = json!({ "KeyId": id });
    assert_eq!(world.code("CancelKeyDeletion", key.clone()), "KMSInvalidStateException");
    let soon = json!({ "KeyId": id, "PendingWindowInDays": 6 });
    assert_eq!(world.code("ScheduleKeyDeletion", soon), "ValidationException");
    assert_eq!(world.ok("ScheduleKeyDeletion", key.clone())["DeletionDate"], 30.0 * 86_400.0);
    for operation in ["EnableKey", "DisableKey", "ScheduleKeyDeletion"] {
        assert_eq!(world.code(operation, key.clone()), "KMSInvalidStateException", "{operation}");
    }
    world.ok("CancelKeyDeletion", key.clone());
    assert_eq!(world.ok("DescribeKey", key.clone())["KeyMetadata"]["KeyState"], "Disabled");
    assert_eq!(world.ok("GetKeyRotationStatus", key)["KeyRotationEnabled"], false);
}

#[test]
fn keys_can_be_there_from_the_start_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["alias/ai", "1234abcd-12ab-34cd-56ef-1234567890ab", "arn:aws:kms:us-east-1:999900001111:key/far"];
    let mut before = None;
    for _ in 0..2 {
        let mut world = World::open(Persist::open(dir.path(), "x.redb").unwrap());
        for name in names {
            world.run(|kms, ctx| kms.ensure(ctx, name)).unwrap();
        }
        let alias = world.ok("DescribeKey", json!({ "KeyId": names[0] }));
        let id = world.ok("DescribeKey", json!({ "KeyId": names[1] }));
        assert_eq!(id["KeyMetadata"]["KeyId"], names[1]);
        assert_eq!(world.code("DescribeKey", json!({ "KeyId": names[2] })), "NotFoundException", "it is elsewhere");
        assert_eq!(before.replace(alias.clone()).unwrap_or(alias.clone()), alias, "the same key after a restart");
    }
}
