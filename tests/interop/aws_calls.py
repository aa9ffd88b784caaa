"""A scripted sequence of Parameter Store and KMS calls, in the order in which they are made.

Topics use names of their own, so that one difference does not spread. `{name}` in a text stands for what an earlier
call saved: an answer holds what the very same peer returned (a token, a key id, a ciphertext).
"""

from dataclasses import dataclass, field

ALIAS = "alias/ai-config"
MISSING_KEY = "11111111-2222-3333-4444-555555555555"


@dataclass
class Call:
    """One call, and what later calls need of its answer: `save = {name: path}`."""

    id: str
    service: str
    operation: str
    arguments: dict
    save: dict = field(default_factory=dict)
    times: int = 1


CALLS = []


def call(service, id, operation, arguments, save=None, times=1):
    """Adds a call to the script."""
    CALLS.append(Call(id, service, operation, arguments, save or {}, times))


def ssm(id, operation, save=None, times=1, **arguments):
    """Adds a call of Parameter Store."""
    call("ssm", id, operation, arguments, save, times)


def kms(id, operation, save=None, times=1, **arguments):
    """Adds a call of KMS."""
    call("kms", id, operation, arguments, save, times)


def put(id, name, value, **more):
    """Adds a put of a String, unless told otherwise."""
    ssm(id, "PutParameter", Name=name, Value=value, **({"Type": "String"} | more))


def setup():
    kms("setup: a key", "CreateKey", {"key": "KeyMetadata.KeyId", "key_arn": "KeyMetadata.Arn"}, Description="interop")
    kms("setup: its alias", "CreateAlias", AliasName="alias/interop", TargetKeyId="{key}")


def putting():
    put("put: a String", "/put/a", "one")
    put("put: the same name again", "/put/a", "two")
    put("put: overwrite", "/put/a", "two", Overwrite=True)
    put("put: the same value makes a version", "/put/a", "two", Overwrite=True)
    ssm("put: overwrite keeps the type", "PutParameter", Name="/put/a", Value="three", Overwrite=True)
    ssm("put: no type on create", "PutParameter", Name="/put/untyped", Value="x")
    put("put: a StringList", "/put/list", "a,b,c", Type="StringList")
    put("put: a SecureString under an alias", "/put/secret", "s3cret", Type="SecureString", KeyId="alias/interop")
    put("put: a SecureString under a key id", "/put/secret-id", "s3cret", Type="SecureString", KeyId="{key}")
    put("put: a SecureString under an ARN", "/put/secret-arn", "s3cret", Type="SecureString", KeyId="{key_arn}")
    put("put: a SecureString under the default key", "/put/secret-default", "s3cret", Type="SecureString")
    put("put: an unknown key", "/put/secret-unknown", "s3cret", Type="SecureString", KeyId=MISSING_KEY)
    put("put: an unknown alias", "/put/secret-alias", "s3cret", Type="SecureString", KeyId="alias/nowhere")
    put("put: a key for a String", "/put/keyed", "x", KeyId="alias/interop")
    put("put: an unknown type", "/put/type", "x", Type="Text")
    put("put: no leading slash", "put-plain", "x")
    put("put: a slash inside but not in front", "put/inner", "x")
    put("put: a space inside", "/put/a b", "x")
    put("put: a character that is not allowed", "/put/a*b", "x")
    put("put: a name that starts with aws", "/aws/put", "x")
    put("put: a name that starts with ssm", "/ssm/put", "x")
    put("put: a name that starts with AWS and more", "awsome", "x")
    put("put: fifteen levels", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15", "x")
    put("put: sixteen levels", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", "x")
    put("put: a name that is too long", "/" + "n" * 1100, "x")
    put("put: an empty value", "/put/empty", "")
    put("put: 4096 bytes", "/put/4096", "v" * 4096)
    put("put: 4097 bytes", "/put/4097", "v" * 4097)
    put("put: 8192 bytes of the advanced tier", "/put/8192", "v" * 8192, Tier="Advanced")
    put("put: 8193 bytes of the advanced tier", "/put/8193", "v" * 8193, Tier="Advanced")
    put("put: intelligent, small", "/put/intelligent-small", "v", Tier="Intelligent-Tiering")
    put("put: intelligent, large", "/put/intelligent-large", "v" * 5000, Tier="Intelligent-Tiering")
    put("put: advanced to standard", "/put/8192", "v", Tier="Standard", Overwrite=True)
    put("put: standard to advanced", "/put/a", "four", Tier="Advanced", Overwrite=True)
    put("put: double braces", "/put/braces", "hello {{name}}")
    put("put: a reference to a parameter", "/put/reference", "{{ssm:other}}")
    put("put: a description", "/put/described", "x", Description="what it is for")
    put("put: a description that is too long", "/put/described-long", "x", Description="d" * 1025)
    put("put: a pattern that fits", "/put/pattern", "12", AllowedPattern="^[0-9]+$")
    put("put: a pattern that does not fit", "/put/pattern-not", "ab", AllowedPattern="^[0-9]+$")
    put("put: the pattern is kept", "/put/pattern", "ab", Overwrite=True)
    put("put: a pattern that is none", "/put/pattern-bad", "ab", AllowedPattern="([")
    put("put: a data type", "/put/text", "x", DataType="text")
    put("put: an unknown data type", "/put/datatype", "x", DataType="nonsense")
    put("put: a type change", "/put/list", "x", Type="String", Overwrite=True)
    put("put: a secret that becomes plain", "/put/secret-default", "plain", Type="String", Overwrite=True)
    put("put: unicode", "/put/unicode", "é 東京 🚀")
    put("put: line breaks", "/put/lines", "a\nb\r\nc\t")
    tag = [{"Key": "team", "Value": "ml"}]
    put("put: tags on create", "/put/tagged", "x", Tags=tag)
    put("put: tags on overwrite", "/put/tagged", "y", Tags=tag, Overwrite=True)
    put("put: an unknown tier", "/put/tier", "x", Tier="Gold")


def getting():
    put("get: first version", "/get/a", "one")
    put("get: second version", "/get/a", "two", Overwrite=True)
    put("get: a secret", "/get/secret", "s3cret", Type="SecureString", KeyId="alias/interop")
    put(
        "get: an advanced secret",
        "/get/secret-advanced",
        "s3cret",
        Type="SecureString",
        KeyId="alias/interop",
        Tier="Advanced",
    )
    put("get: a list", "/get/list", "a,b", Type="StringList")
    get = "GetParameter"
    ssm("get: by name", get, Name="/get/a")
    ssm("get: the first version", get, Name="/get/a:1")
    ssm("get: the last version", get, Name="/get/a:2")
    ssm("get: a version to come", get, Name="/get/a:3")
    ssm("get: version nought", get, Name="/get/a:0")
    ssm("get: a label that is not there", get, Name="/get/a:live")
    ssm("get: two selectors", get, Name="/get/a:1:2")
    ssm("get: unknown", get, Name="/get/unknown")
    ssm("get: unknown, with a version", get, Name="/get/unknown:1")
    ssm("get: case counts", get, Name="/GET/A")
    ssm("get: by ARN", get, Name="arn:aws:ssm:eu-west-1:111122223333:parameter/get/a")
    ssm("get: sealed", get, Name="/get/secret")
    ssm("get: unsealed", get, Name="/get/secret", WithDecryption=True)
    ssm("get: unsealed, by version", get, Name="/get/secret:1", WithDecryption=True)
    ssm("get: unsealed, advanced", get, Name="/get/secret-advanced", WithDecryption=True)
    ssm("get: decryption of a String", get, Name="/get/a", WithDecryption=True)
    ssm("get: a list is one text", get, Name="/get/list")
    ssm("get: no leading slash", get, Name="put-plain")
    ssm("get: a leading slash too much", get, Name="/put-plain")
    ssm("get: no name", get)
    many = "GetParameters"
    ssm("get many: two", many, Names=["/get/list", "/get/a"])
    ssm("get many: one missing", many, Names=["/get/a", "/get/unknown"])
    ssm("get many: all missing", many, Names=["/get/unknown-2", "/get/unknown-1"])
    ssm("get many: selectors", many, Names=["/get/a:1", "/get/list"])
    ssm("get many: a missing version", many, Names=["/get/a:9", "/get/list"])
    ssm("get many: a missing label", many, Names=["/get/a:live"])
    ssm("get many: one name, two selectors", many, Names=["/get/a:1", "/get/a:2"])
    ssm("get many: the same name twice", many, Names=["/get/a", "/get/a"])
    ssm("get many: secrets", many, Names=["/get/secret", "/get/secret-advanced"], WithDecryption=True)
    ssm("get many: sealed", many, Names=["/get/secret"])
    ssm("get many: ten", many, Names=[f"/get/n{n}" for n in range(10)])
    ssm("get many: eleven", many, Names=[f"/get/n{n}" for n in range(11)])
    ssm("get many: none", many, Names=[])


def listing():
    for n in range(12):
        put(f"list: parameter {n:02}", f"/list/sub/p{n:02}", str(n))
    put("list: one level up", "/list/top", "x")
    put("list: a secret", "/list/secret", "s3cret", Type="SecureString", KeyId="alias/interop")
    put("list: the path itself", "/list", "x")
    put("list: a neighbour", "/listed/x", "x")
    by_path = "GetParametersByPath"
    ssm("path: one level", by_path, Path="/list")
    ssm("path: a trailing slash", by_path, Path="/list/")
    ssm("path: recursive, first page", by_path, {"page": "NextToken"}, Path="/list", Recursive=True)
    ssm("path: recursive, second page", by_path, Path="/list", Recursive=True, NextToken="{page}")
    ssm("path: three a page", by_path, {"three": "NextToken"}, Path="/list/sub", MaxResults=3)
    ssm("path: three more", by_path, Path="/list/sub", MaxResults=3, NextToken="{three}")
    ssm("path: eleven a page", by_path, Path="/list/sub", MaxResults=11)
    ssm("path: none a page", by_path, Path="/list/sub", MaxResults=0)
    ssm("path: a made-up token", by_path, Path="/list/sub", NextToken="made-up")
    ssm("path: nothing there", by_path, Path="/nothing")
    ssm("path: no leading slash", by_path, Path="list")
    ssm("path: everything", by_path, Path="/list/sub/", Recursive=True, MaxResults=10)
    ssm("path: unsealed", by_path, Path="/list", WithDecryption=True)
    ssm("path: by type", by_path, Path="/list", ParameterFilters=[{"Key": "Type", "Values": ["SecureString"]}])
    ssm("path: by key", by_path, Path="/list", ParameterFilters=[{"Key": "KeyId", "Values": ["alias/interop"]}])
    ssm(
        "path: label begins",
        by_path,
        Path="/list",
        ParameterFilters=[{"Key": "Label", "Option": "BeginsWith", "Values": ["li"]}],
    )
    ssm("path: by name", by_path, Path="/list", ParameterFilters=[{"Key": "Name", "Values": ["/list/top"]}])
    ssm("path: by tier", by_path, Path="/list", ParameterFilters=[{"Key": "Tier", "Values": ["Standard"]}])
    ssm("path: the root", by_path, Path="/", MaxResults=1, ParameterFilters=[{"Key": "Type", "Values": ["Nonsense"]}])


def describing():
    put(
        "describe: an advanced one",
        "/describe/advanced",
        "x",
        Tier="Advanced",
        Description="large",
        Tags=[{"Key": "d", "Value": "1"}],
    )
    put("describe: a secret", "/describe/secret", "x", Type="SecureString", KeyId="alias/interop")
    put("describe: a list", "/describe/sub/list", "x", Type="StringList")
    describe = "DescribeParameters"

    def having(id, key, *values, option=None, **more):
        rule = {"Key": key, "Values": list(values)} | ({"Option": option} if option else {})
        ssm(id, describe, ParameterFilters=[rule], **more)

    having("describe: by name", "Name", "/describe/advanced")
    having("describe: by two names", "Name", "/describe/advanced", "/describe/secret")
    having("describe: name begins", "Name", "/describe/s", option="BeginsWith")
    having("describe: name contains", "Name", "ribe/sec", option="Contains")
    having("describe: name, unknown option", "Name", "/describe/s", option="EndsWith")
    having("describe: path, one level", "Path", "/describe", option="OneLevel")
    having("describe: path, recursive", "Path", "/describe", option="Recursive")
    having("describe: path, no option", "Path", "/describe")
    having("describe: path, wrong option", "Path", "/describe", option="BeginsWith")
    having("describe: unknown key", "Colour", "red")
    having("describe: label is no key", "Label", "live")
    having("describe: no values", "Name")
    having("describe: by tag", "tag:d", "1")
    having("describe: by another tag value", "tag:d", "2")
    having("describe: tag value begins", "tag:d", "1", option="BeginsWith")

    def below(id, **rule):
        path = {"Key": "Path", "Option": "Recursive", "Values": ["/describe"]}
        ssm(id, describe, ParameterFilters=[path, rule])

    below("describe: by type", Key="Type", Values=["StringList"])
    below("describe: key begins", Key="KeyId", Option="BeginsWith", Values=["alias/int"])
    below("describe: key contains", Key="KeyId", Option="Contains", Values=["interop"])
    below("describe: by unknown tier", Key="Tier", Values=["Gold"])
    below("describe: by unknown type", Key="Type", Values=["Text"])
    below("describe: by tier", Key="Tier", Values=["Advanced"])
    below("describe: by data type", Key="DataType", Values=["text"])
    below("describe: by key", Key="KeyId", Values=["alias/interop"])
    below("describe: the same key twice", Key="Path", Option="Recursive", Values=["/describe"])
    ssm("describe: old filters", describe, Filters=[{"Key": "Name", "Values": ["/describe/secret"]}])
    ssm(
        "describe: both kinds of filters",
        describe,
        Filters=[{"Key": "Name", "Values": ["/describe/secret"]}],
        ParameterFilters=[{"Key": "Name", "Values": ["/describe/secret"]}],
    )
    path = [{"Key": "Path", "Option": "Recursive", "Values": ["/describe"]}]
    ssm("describe: two a page", describe, {"described": "NextToken"}, ParameterFilters=path, MaxResults=2)
    ssm("describe: the next page", describe, ParameterFilters=path, MaxResults=2, NextToken="{described}")
    ssm("describe: 51 a page", describe, ParameterFilters=path, MaxResults=51)


def history():
    put("history: one", "/history/a", "one", Description="first")
    put("history: two", "/history/a", "two", Overwrite=True, Description="second")
    put("history: three", "/history/a", "three", Overwrite=True)
    put("history: a secret", "/history/secret", "s1", Type="SecureString", KeyId="alias/interop")
    put(
        "history: its second version",
        "/history/secret",
        "s2",
        Type="SecureString",
        KeyId="alias/interop",
        Overwrite=True,
    )
    ssm("history: a label", "LabelParameterVersion", Name="/history/a", ParameterVersion=2, Labels=["live"])
    read = "GetParameterHistory"
    ssm("history: all", read, Name="/history/a")
    ssm("history: two a page", read, {"older": "NextToken"}, Name="/history/a", MaxResults=2)
    ssm("history: the next page", read, Name="/history/a", MaxResults=2, NextToken="{older}")
    ssm("history: 51 a page", read, Name="/history/a", MaxResults=51)
    ssm("history: sealed", read, Name="/history/secret")
    ssm("history: unsealed", read, Name="/history/secret", WithDecryption=True)
    ssm("history: unknown", read, Name="/history/unknown")
    ssm("history: with a selector", read, Name="/history/a:1")


def labelling():
    for n in (1, 2, 3):
        put(f"label: version {n}", "/label/a", f"v{n}", Overwrite=n > 1)
    label, unlabel = "LabelParameterVersion", "UnlabelParameterVersion"
    ssm("label: the first version", label, Name="/label/a", ParameterVersion=1, Labels=["live"])
    ssm("label: get by label", "GetParameter", Name="/label/a:live")
    ssm("label: get many by label", "GetParameters", Names=["/label/a:live"])
    ssm("label: move it", label, Name="/label/a", ParameterVersion=2, Labels=["live"])
    ssm("label: get after the move", "GetParameter", Name="/label/a:live")
    ssm("label: move it back", label, Name="/label/a", ParameterVersion=1, Labels=["live"])
    ssm("label: no version means the last", label, Name="/label/a", Labels=["last"])
    ssm("label: the same again", label, Name="/label/a", ParameterVersion=1, Labels=["live"])
    ssm("label: a version that is not there", label, Name="/label/a", ParameterVersion=9, Labels=["live"])
    ssm("label: unknown parameter", label, Name="/label/unknown", ParameterVersion=1, Labels=["live"])
    ssm("label: starts with a digit", label, Name="/label/a", ParameterVersion=1, Labels=["1live", "good"])
    ssm("label: starts with aws", label, Name="/label/a", ParameterVersion=1, Labels=["awslive"])
    ssm("label: starts with SSM", label, Name="/label/a", ParameterVersion=1, Labels=["SSMlive"])
    ssm("label: a bad character", label, Name="/label/a", ParameterVersion=1, Labels=["li ve"])
    ssm("label: a hundred letters", label, Name="/label/b", ParameterVersion=1, Labels=["l" * 100])
    ssm("label: a hundred and one", label, Name="/label/a", ParameterVersion=1, Labels=["l" * 101])
    ssm("label: by path", "GetParametersByPath", Path="/label", ParameterFilters=[{"Key": "Label", "Values": ["live"]}])
    ssm(
        "label: by a path without it",
        "GetParametersByPath",
        Path="/label",
        ParameterFilters=[{"Key": "Label", "Values": ["gone"]}],
    )
    ssm("label: case counts", "GetParameter", Name="/label/a:LIVE")
    ssm("label: ten on one version", label, Name="/label/a", ParameterVersion=3, Labels=[f"t{n}" for n in range(9)])
    ssm("label: the eleventh", label, Name="/label/a", ParameterVersion=3, Labels=["eleven"])
    ssm("label: eleven at once", label, Name="/label/a", ParameterVersion=2, Labels=[f"e{n}" for n in range(11)])
    ssm("label: none", label, Name="/label/a", ParameterVersion=2, Labels=[])
    ssm("unlabel: one", unlabel, Name="/label/a", ParameterVersion=1, Labels=["live"])
    ssm("unlabel: again", unlabel, Name="/label/a", ParameterVersion=1, Labels=["live"])
    ssm("unlabel: a label of another version", unlabel, Name="/label/a", ParameterVersion=1, Labels=["t1"])
    ssm("unlabel: unknown version", unlabel, Name="/label/a", ParameterVersion=9, Labels=["t1"])
    ssm("unlabel: unknown parameter", unlabel, Name="/label/unknown", ParameterVersion=1, Labels=["t1"])
    ssm("unlabel: get afterwards", "GetParameter", Name="/label/a:live")


def evicting():
    put("evict: the first version", "/evict/a", "0")
    ssm("evict: up to a hundred", "PutParameter", times=99, Name="/evict/a", Value="n", Overwrite=True)
    ssm("evict: the first is there", "GetParameter", Name="/evict/a:1")
    put("evict: one more", "/evict/a", "101", Overwrite=True)
    ssm("evict: the first is gone", "GetParameter", Name="/evict/a:1")
    ssm("evict: the second is the oldest", "GetParameter", Name="/evict/a:2")
    ssm("evict: a label on the oldest", "LabelParameterVersion", Name="/evict/a", ParameterVersion=2, Labels=["keep"])
    put("evict: the label blocks", "/evict/a", "102", Overwrite=True)
    ssm("evict: the label goes on", "LabelParameterVersion", Name="/evict/a", ParameterVersion=50, Labels=["keep"])
    put("evict: and no longer blocks", "/evict/a", "102", Overwrite=True)


def tagging():
    put("tag: a parameter", "/tag/a", "x", Tags=[{"Key": "owner", "Value": "assistant"}])

    def on(id, operation, name="/tag/a", kind="Parameter", **more):
        ssm(id, operation, ResourceType=kind, ResourceId=name, **more)

    on("tag: list", "ListTagsForResource")
    on("tag: add", "AddTagsToResource", Tags=[{"Key": "stage", "Value": "prod"}, {"Key": "empty", "Value": ""}])
    on("tag: change", "AddTagsToResource", Tags=[{"Key": "owner", "Value": "other"}])
    on("tag: list after the change", "ListTagsForResource")
    on("tag: remove", "RemoveTagsFromResource", TagKeys=["stage", "never"])
    on("tag: list after the removal", "ListTagsForResource")
    on("tag: a tag makes no version", "ListTagsForResource", name="/tag/unknown")
    ssm("tag: the version stays", "GetParameter", Name="/tag/a")
    on("tag: unknown parameter", "AddTagsToResource", name="/tag/unknown", Tags=[{"Key": "a", "Value": "b"}])
    on("tag: removal from an unknown one", "RemoveTagsFromResource", name="/tag/unknown", TagKeys=["a"])
    on("tag: an unknown kind of resource", "ListTagsForResource", kind="Spaceship")
    on("tag: a value with braces", "AddTagsToResource", Tags=[{"Key": "a", "Value": "{b}"}])
    on("tag: a key that starts with aws:", "AddTagsToResource", Tags=[{"Key": "aws:a", "Value": "b"}])
    on("tag: fifty-one", "AddTagsToResource", Tags=[{"Key": f"k{n}", "Value": "v"} for n in range(51)])


def deleting():
    for name in "abc":
        put(f"delete: parameter {name}", f"/delete/{name}", "x")
    ssm("delete: one", "DeleteParameter", Name="/delete/a")
    ssm("delete: again", "DeleteParameter", Name="/delete/a")
    ssm("delete: it is gone", "GetParameter", Name="/delete/a")
    ssm("delete: so is its history", "GetParameterHistory", Name="/delete/a")
    ssm("delete: so are its tags", "ListTagsForResource", ResourceType="Parameter", ResourceId="/delete/a")
    ssm("delete: two and a missing one", "DeleteParameters", Names=["/delete/b", "/delete/c", "/delete/d"])
    ssm("delete: eleven", "DeleteParameters", Names=[f"/delete/n{n}" for n in range(11)])
    ssm("delete: none", "DeleteParameters", Names=[])
    ssm("delete: with a selector", "DeleteParameter", Name="/tag/a:1")


def settings():
    tier = "/ssm/parameter-store/default-parameter-tier"
    arn = "arn:aws:ssm:eu-west-1:111122223333:servicesetting"
    ssm("setting: the default tier", "GetServiceSetting", SettingId=tier)
    ssm("setting: high throughput", "GetServiceSetting", SettingId="/ssm/parameter-store/high-throughput-enabled")
    ssm("setting: unknown", "GetServiceSetting", SettingId="/ssm/parameter-store/nonsense")
    ssm("setting: change it", "UpdateServiceSetting", SettingId=arn + tier, SettingValue="Advanced")
    ssm("setting: after the change", "GetServiceSetting", SettingId=tier)
    ssm("setting: back", "ResetServiceSetting", SettingId=arn + tier)


def keys():
    kms("key: describe by id", "DescribeKey", KeyId="{key}")
    kms("key: describe by ARN", "DescribeKey", KeyId="{key_arn}")
    kms("key: describe by alias", "DescribeKey", KeyId="alias/interop")
    kms("key: describe by alias ARN", "DescribeKey", KeyId="arn:aws:kms:eu-west-1:111122223333:alias/interop")
    kms("key: unknown id", "DescribeKey", KeyId=MISSING_KEY)
    kms("key: unknown alias", "DescribeKey", KeyId="alias/nowhere")
    kms("key: a malformed ARN", "DescribeKey", KeyId="arn:aws:kms:nonsense")
    kms("key: the alias again", "CreateAlias", AliasName="alias/interop", TargetKeyId="{key}")
    kms("key: a reserved alias", "CreateAlias", AliasName="alias/aws/mine", TargetKeyId="{key}")
    kms("key: an alias without its prefix", "CreateAlias", AliasName="interop", TargetKeyId="{key}")
    kms("key: an alias of an unknown key", "CreateAlias", AliasName="alias/lost", TargetKeyId=MISSING_KEY)
    kms("key: aliases of one key", "ListAliases", KeyId="{key}")
    kms("key: rotation", "GetKeyRotationStatus", KeyId="{key}")
    context = {"PARAMETER_ARN": "arn:x"}
    kms("crypt: encrypt", "Encrypt", {"sealed": "CiphertextBlob"}, KeyId="alias/interop", Plaintext=b"hello")
    kms("crypt: decrypt", "Decrypt", CiphertextBlob="{sealed}")
    kms("crypt: decrypt naming the key", "Decrypt", CiphertextBlob="{sealed}", KeyId="{key}")
    kms(
        "crypt: encrypt under a context",
        "Encrypt",
        {"bound": "CiphertextBlob"},
        KeyId="{key}",
        Plaintext=b"hello",
        EncryptionContext=context,
    )
    kms("crypt: decrypt under it", "Decrypt", CiphertextBlob="{bound}", EncryptionContext=context)
    kms("crypt: decrypt without it", "Decrypt", CiphertextBlob="{bound}")
    kms(
        "crypt: decrypt under another",
        "Decrypt",
        CiphertextBlob="{bound}",
        EncryptionContext={"PARAMETER_ARN": "arn:y"},
    )
    kms("crypt: no ciphertext at all", "Decrypt", CiphertextBlob=b"nonsense")
    kms("crypt: 4096 bytes", "Encrypt", KeyId="{key}", Plaintext=b"v" * 4096)
    kms("crypt: 4097 bytes", "Encrypt", KeyId="{key}", Plaintext=b"v" * 4097)
    kms("crypt: an unknown key", "Encrypt", KeyId=MISSING_KEY, Plaintext=b"x")
    kms("crypt: a data key", "GenerateDataKey", {"data_key": "CiphertextBlob"}, KeyId="{key}", KeySpec="AES_256")
    kms("crypt: the data key unsealed", "Decrypt", CiphertextBlob="{data_key}")
    kms("crypt: neither size nor kind", "GenerateDataKey", KeyId="{key}")
    kms("crypt: both size and kind", "GenerateDataKey", KeyId="{key}", KeySpec="AES_256", NumberOfBytes=32)


def disabled_keys():
    kms("state: a second key", "CreateKey", {"second": "KeyMetadata.KeyId"})
    kms("state: its alias", "CreateAlias", AliasName="alias/second", TargetKeyId="{second}")
    put("state: a secret under it", "/state/a", "s", Type="SecureString", KeyId="alias/second")
    kms("state: encrypt while it can", "Encrypt", {"earlier": "CiphertextBlob"}, KeyId="{second}", Plaintext=b"x")
    kms("state: disable", "DisableKey", KeyId="{second}")
    kms("state: describe disabled", "DescribeKey", KeyId="{second}")
    kms("state: encrypt disabled", "Encrypt", KeyId="{second}", Plaintext=b"x")
    kms("state: decrypt disabled", "Decrypt", CiphertextBlob="{earlier}")
    kms("state: data key disabled", "GenerateDataKey", KeyId="{second}", KeySpec="AES_256")
    ssm("state: unsealed disabled", "GetParameter", Name="/state/a", WithDecryption=True)
    ssm("state: sealed disabled", "GetParameter", Name="/state/a")
    put("state: put disabled", "/state/b", "s", Type="SecureString", KeyId="alias/second")
    kms("state: enable", "EnableKey", KeyId="{second}")
    ssm("state: unsealed enabled", "GetParameter", Name="/state/a", WithDecryption=True)
    kms("state: schedule deletion", "ScheduleKeyDeletion", KeyId="{second}", PendingWindowInDays=7)
    kms("state: schedule it again", "ScheduleKeyDeletion", KeyId="{second}", PendingWindowInDays=7)
    kms("state: encrypt pending", "Encrypt", KeyId="{second}", Plaintext=b"x")
    kms("state: enable pending", "EnableKey", KeyId="{second}")
    ssm("state: unsealed pending", "GetParameter", Name="/state/a", WithDecryption=True)
    put("state: put pending", "/state/c", "s", Type="SecureString", KeyId="alias/second")
    kms("state: cancel deletion", "CancelKeyDeletion", KeyId="{second}")
    kms("state: cancel it again", "CancelKeyDeletion", KeyId="{second}")
    kms("state: describe cancelled", "DescribeKey", KeyId="{second}")
    kms("state: too short a wait", "ScheduleKeyDeletion", KeyId="{second}", PendingWindowInDays=6)
    kms("state: move the alias", "UpdateAlias", AliasName="alias/second", TargetKeyId="{key}")
    kms("state: the alias moved", "DescribeKey", KeyId="alias/second")
    kms("state: move an unknown alias", "UpdateAlias", AliasName="alias/nowhere", TargetKeyId="{key}")
    kms("state: delete the alias", "DeleteAlias", AliasName="alias/second")
    kms("state: delete it again", "DeleteAlias", AliasName="alias/second")


for topic in (
    setup,
    putting,
    getting,
    listing,
    describing,
    history,
    labelling,
    evicting,
    tagging,
    deleting,
    settings,
    keys,
    disabled_keys,
):
    topic()
