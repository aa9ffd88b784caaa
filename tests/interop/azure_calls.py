"""A scripted sequence of App Configuration operations, with what the documentation says of each answer.

It is data, so that the official clients of two languages are driven alike: every client makes every call in this order,
in a store of its own. `$name` stands for what an earlier call of the same client saved.

An expectation is one of
    gives   members that the answer has (a key-value or a snapshot)
    lists   the items, in order, as `key` or `key@label`; with `values` also what they hold
    fails   the status, or the status and the type of the problem
    same    the answer says that nothing changed (304)
    nothing the answer says that there was nothing (204)
"""

CALLS = []
REFERENCE = "application/vnd.microsoft.appconfig.keyvaultref+json;charset=utf-8"
FLAG = "application/vnd.microsoft.appconfig.ff+json;charset=utf-8"
SNAPSHOT_REFERENCE = 'application/json; profile="https://azconfig.io/mime-profiles/snapshot-ref"; charset=utf-8'
CHAT = 'application/json; profile="https://azconfig.io/mime-profiles/ai/chat-completion"'
EXPECTATIONS = ("gives", "lists", "fails", "same", "nothing")


def call(id, op, save=None, values=None, gives=None, lists=None, fails=None, same=None, nothing=None, **arguments):
    """Adds a call; `save` names what to keep of its answer: `{name: member}`."""
    expected = {"gives": gives, "lists": lists, "fails": fails, "same": same, "nothing": nothing}
    given = {name: value for name, value in expected.items() if value is not None}
    if values is not None:
        given["values"] = values
    CALLS.append({"id": id, "op": op, "arguments": arguments, "expect": given, "save": save or {}})


def key_values():
    call(
        "kv: set",
        "set",
        key="kv/a",
        value="one",
        gives={"key": "kv/a", "label": None, "value": "one", "read_only": False},
    )
    call("kv: get", "get", key="kv/a", gives={"value": "one", "content_type": None, "tags": {}})
    call("kv: set another label", "set", key="kv/a", label="prod", value="two", gives={"label": "prod"})
    call("kv: get with the label", "get", key="kv/a", label="prod", gives={"value": "two"})
    call("kv: get without it", "get", key="kv/a", gives={"value": "one"})
    call("kv: get a missing label", "get", key="kv/a", label="dev", fails=404)
    call("kv: get a missing key", "get", key="kv/missing", fails=404)
    call("kv: case counts in keys", "get", key="KV/A", fails=404)
    call("kv: case counts in labels", "get", key="kv/a", label="PROD", fails=404)
    call(
        "kv: set everything",
        "set",
        {"full": "etag"},
        key="kv/full",
        label="prod",
        value="v",
        content_type="text/plain",
        tags={"team": "ml", "empty": ""},
        description="what it is for",
        gives={"content_type": "text/plain", "tags": {"team": "ml", "empty": ""}, "description": "what it is for"},
    )
    call(
        "kv: a put replaces the whole item",
        "set",
        key="kv/full",
        label="prod",
        value="v2",
        gives={"value": "v2", "content_type": None, "tags": {}, "description": None},
    )
    call("kv: an empty value", "set", key="kv/empty", value="", gives={"value": ""})
    call(
        "kv: unicode",
        "set",
        key="kv/é 東京",
        label="ä",
        value="🚀",
        gives={"key": "kv/é 東京", "label": "ä", "value": "🚀"},
    )
    call("kv: get unicode", "get", key="kv/é 東京", label="ä", gives={"value": "🚀"})
    for name, odd in [
        ("colons", "kv:b:c"),
        ("a plus", "kv/a+b"),
        ("a space", "kv/a b"),
        ("an ampersand", "kv/a&b=c"),
        ("a star", "kv/a*b"),
        ("a comma", "kv/a,b"),
        ("a backslash", "kv/a\\b"),
        ("quotes", "kv/\"a'b"),
    ]:
        call(f"kv: a key with {name}", "set", key=odd, value=name, gives={"key": odd})
        call(f"kv: get the key with {name}", "get", key=odd, gives={"key": odd, "value": name})
    call(
        "kv: a label with odd characters",
        "set",
        key="kv/l",
        label="a b+c&d=e,f*",
        value="x",
        gives={"label": "a b+c&d=e,f*"},
    )
    call("kv: get the odd label", "get", key="kv/l", label="a b+c&d=e,f*", gives={"value": "x"})
    call("kv: line breaks", "set", key="kv/lines", value="a\nb\r\nc\t", gives={"value": "a\nb\r\nc\t"})
    call("kv: get line breaks", "get", key="kv/lines", gives={"value": "a\nb\r\nc\t"})
    call("kv: a percent sign", "set", key="kv/100%", value="x", fails=400)
    # Clients shorten the path after they signed it, so the signature may be what is refused.
    call("kv: a dot alone", "set", key=".", value="x", fails=[400, 401, 404, 405])
    call("kv: 8 KB", "set", key="kv/8k", value="v" * 8192, gives={"value": "v" * 8192})
    call("kv: 20 KB", "set", key="kv/20k", value="v" * 20480, fails=[400, 413])
    call("kv: delete", "delete", key="kv/a", label="prod", gives={"deleted": True})
    call("kv: get the deleted", "get", key="kv/a", label="prod", fails=404)
    call("kv: the other label stays", "get", key="kv/a", gives={"value": "one"})
    call("kv: delete again", "delete", key="kv/a", label="prod", nothing=True)


def conditions():
    call("if: add", "add", {"first": "etag"}, key="if/a", value="one", gives={"value": "one"})
    call("if: add again", "add", key="if/a", value="two", fails=412)
    call("if: the loser changed nothing", "get", key="if/a", gives={"value": "one"})
    call("if: get unless it is so", "get", key="if/a", unless="$first", same=True)
    call(
        "if: set if it is so",
        "set",
        {"second": "etag"},
        key="if/a",
        value="two",
        only_if="$first",
        gives={"value": "two"},
    )
    call("if: set if it was so", "set", key="if/a", value="three", only_if="$first", fails=412)
    call("if: get unless it was so", "get", key="if/a", unless="$first", gives={"value": "two"})
    call("if: delete if it was so", "delete", key="if/a", only_if="$first", fails=412)
    call(
        "if: an equal put changes nothing", "set", {"equal": "etag"}, key="if/a", value="two", gives={"etag": "$second"}
    )
    call("if: set a missing one if it is so", "set", key="if/missing", value="x", only_if="$first", fails=412)
    call("if: delete if it is so", "delete", key="if/a", only_if="$second", gives={"deleted": True})
    call("if: delete a missing one if it is so", "delete", key="if/a", only_if="$second", fails=412)
    call("if: add after a delete", "add", key="if/a", value="four", gives={"value": "four"})


def locks():
    call(
        "lock: a key-value",
        "set",
        {"unlocked": "etag"},
        key="lock/a",
        label="prod",
        value="one",
        gives={"read_only": False},
    )
    call(
        "lock: lock", "lock", {"locked": "etag"}, key="lock/a", label="prod", gives={"read_only": True, "value": "one"}
    )
    call("lock: get", "get", key="lock/a", label="prod", gives={"read_only": True})
    call("lock: set", "set", key="lock/a", label="prod", value="two", fails=[[409, "key-locked"]])
    call("lock: delete", "delete", key="lock/a", label="prod", fails=[[409, "key-locked"]])
    call(
        "lock: the condition comes first",
        "set",
        key="lock/a",
        label="prod",
        value="two",
        only_if="$unlocked",
        fails=412,
    )
    call("lock: again", "lock", key="lock/a", label="prod", gives={"read_only": True})
    call("lock: another label is free", "set", key="lock/a", label="dev", value="x", gives={"read_only": False})
    call("lock: a missing one", "lock", key="lock/missing", fails=404)
    call("lock: unlock if it was so", "unlock", key="lock/a", label="prod", only_if="$unlocked", fails=412)
    call(
        "lock: unlock if it is so", "unlock", key="lock/a", label="prod", only_if="$locked", gives={"read_only": False}
    )
    call("lock: set afterwards", "set", key="lock/a", label="prod", value="two", gives={"value": "two"})
    call("lock: unlock a missing one", "unlock", key="lock/missing", fails=404)


def filters():
    items = [
        ("f/a", None, {}),
        ("f/a", "dev", {}),
        ("f/a", "prod", {}),
        ("f/ab", "prod", {}),
        ("f/b", "prod", {"team": "ml"}),
        ("f/b", "prod2", {"team": "ml", "stage": "x"}),
        ("f/c", None, {"team": ""}),
        ("f/star*", "prod", {}),
        ("f/x,y", "prod", {}),
        ("f/z\\w", "prod", {}),
    ]
    for key, label, tags in items:
        call(
            f"list: set {key}@{label}",
            "set",
            key=key,
            label=label,
            value=f"{key}@{label}",
            tags=tags,
            gives={"tags": tags},
        )
    every = [
        "f/a",
        "f/a@dev",
        "f/a@prod",
        "f/ab@prod",
        "f/b@prod",
        "f/b@prod2",
        "f/c",
        "f/star*@prod",
        "f/x,y@prod",
        "f/z\\w@prod",
    ]
    call("list: by prefix", "list", key_filter="f/*", lists=every)
    call("list: no label", "list", key_filter="f/*", label_filter="\0", lists=["f/a", "f/c"])
    call("list: any label, said", "list", key_filter="f/a", label_filter="*", lists=["f/a", "f/a@dev", "f/a@prod"])
    call("list: exact", "list", key_filter="f/a", label_filter="prod", lists=["f/a@prod"])
    call("list: a prefix and a label", "list", key_filter="f/a*", label_filter="prod", lists=["f/a@prod", "f/ab@prod"])
    call("list: two keys", "list", key_filter="f/b,f/a", label_filter="prod", lists=["f/a@prod", "f/b@prod"])
    call(
        "list: five keys",
        "list",
        key_filter="f/a,f/ab,f/b,f/c,f/none",
        label_filter="prod",
        lists=["f/a@prod", "f/ab@prod", "f/b@prod"],
    )
    call("list: six keys", "list", key_filter="1,2,3,4,5,6", fails=[[400, "invalid-argument"]])
    call("list: two labels", "list", key_filter="f/a", label_filter="prod,dev", lists=["f/a@dev", "f/a@prod"])
    call("list: a label or none", "list", key_filter="f/a", label_filter="\0,prod", lists=["f/a", "f/a@prod"])
    call("list: a label by prefix", "list", key_filter="f/b", label_filter="pro*", lists=["f/b@prod", "f/b@prod2"])
    call("list: an escaped star", "list", key_filter="f/star\\*", lists=["f/star*@prod"])
    call("list: an escaped comma", "list", key_filter="f/x\\,y", lists=["f/x,y@prod"])
    call("list: an escaped backslash", "list", key_filter="f/z\\\\w", lists=["f/z\\w@prod"])
    call("list: a star in the middle", "list", key_filter="f/*b", fails=[[400, "invalid-argument"]])
    call("list: a star in front", "list", key_filter="*b", fails=[[400, "invalid-argument"]])
    call("list: nothing", "list", key_filter="nothing/*", lists=[])
    call("list: case counts", "list", key_filter="F/*", lists=[])
    call("list: by tag", "list", key_filter="f/*", tags_filter=["team=ml"], lists=["f/b@prod", "f/b@prod2"])
    call("list: by two tags", "list", key_filter="f/*", tags_filter=["team=ml", "stage=x"], lists=["f/b@prod2"])
    call("list: by an empty tag", "list", key_filter="f/*", tags_filter=["team="], lists=["f/c"])
    call("list: by a tag that is nowhere", "list", key_filter="f/*", tags_filter=["none=x"], lists=[])
    call(
        "list: by tag and label",
        "list",
        key_filter="f/*",
        label_filter="prod2",
        tags_filter=["team=ml"],
        lists=["f/b@prod2"],
    )
    call(
        "list: six tags",
        "list",
        key_filter="f/*",
        tags_filter=[f"t{n}=x" for n in range(6)],
        fails=[[400, "invalid-argument"]],
    )
    call("list: some fields", "list", key_filter="f/ab", fields=["key", "label"], lists=["f/ab@prod"], values=[None])
    call(
        "list: the value alone",
        "list",
        key_filter="f/ab",
        fields=["key", "value"],
        lists=["f/ab"],
        values=["f/ab@prod"],
    )
    call("labels: by prefix", "labels", name_filter="pro*", lists=["prod", "prod2"])
    call("labels: exact", "labels", name_filter="dev", lists=["dev"])
    call("labels: nothing", "labels", name_filter="none", lists=[])


def pages():
    call("page: 205 key-values", "fill", prefix="page/", count=205, gives={"count": 205})
    names = [f"page/{n:03}" for n in range(205)]
    call("page: all of them, in order", "list", key_filter="page/*", lists=names)
    call("page: sizes", "pages", {"etags": "etags"}, key_filter="page/*", gives={"sizes": [100, 100, 5]})
    call("page: nothing changed", "pages", key_filter="page/*", etags="$etags", gives={"changed": []})
    call("page: a change on the second", "set", key="page/150", value="changed", gives={"value": "changed"})
    call("page: only the second changed", "pages", key_filter="page/*", etags="$etags", gives={"changed": ["page/100"]})
    call("page: etags without bodies", "check", {"heads": "etags"}, key_filter="page/*", gives={"pages": 3})
    call("page: an empty page has an etag", "check", key_filter="nothing/*", gives={"pages": 1, "tagged": True})


def revisions_and_time():
    call(
        "past: the first",
        "set",
        key="past/a",
        label="prod",
        value="one",
        content_type="text/plain",
        gives={"value": "one"},
    )
    call("past: beside it", "set", key="past/b", label="prod", value="b", tags={"team": "ml"}, gives={"value": "b"})
    call("past: a moment", "moment", {"then": "moment"}, gives={})
    call("past: the second", "set", key="past/a", label="prod", value="two", gives={"value": "two"})
    call("past: one more", "set", key="past/c", label="prod", value="c", gives={"value": "c"})
    call("past: delete", "delete", key="past/b", label="prod", gives={"deleted": True})
    call(
        "past: revisions",
        "revisions",
        key_filter="past/a",
        label_filter="prod",
        lists=["past/a@prod"] * 2,
        values=["two", "one"],
    )
    call("past: revisions of the deleted", "revisions", key_filter="past/b", lists=["past/b@prod"], values=["b"])
    call(
        "past: revisions by prefix",
        "revisions",
        key_filter="past/*",
        label_filter="prod",
        lists=["past/a@prod", "past/a@prod", "past/b@prod", "past/c@prod"],
    )
    call("past: revisions by tag", "revisions", key_filter="past/*", tags_filter=["team=ml"], lists=["past/b@prod"])
    call("past: revisions by their end", "revisions", key_filter="*st/c", lists=["past/c@prod"])
    call("past: revisions by their middle", "revisions", key_filter="*st/c*", lists=["past/c@prod"])
    call("past: revisions of nothing", "revisions", key_filter="past/none", lists=[])
    call(
        "past: some fields of revisions",
        "revisions",
        key_filter="past/c",
        fields=["key", "label"],
        lists=["past/c@prod"],
        values=[None],
    )
    call(
        "past: get then",
        "get",
        key="past/a",
        label="prod",
        at="$then",
        gives={"value": "one", "content_type": "text/plain"},
    )
    call("past: get now", "get", key="past/a", label="prod", gives={"value": "two", "content_type": None})
    call("past: get then what is deleted now", "get", key="past/b", label="prod", at="$then", gives={"value": "b"})
    call("past: get then what was made later", "get", key="past/c", label="prod", at="$then", fails=404)
    call(
        "past: list then",
        "list",
        key_filter="past/*",
        label_filter="prod",
        at="$then",
        lists=["past/a@prod", "past/b@prod"],
        values=["one", "b"],
    )
    call(
        "past: list now",
        "list",
        key_filter="past/*",
        label_filter="prod",
        lists=["past/a@prod", "past/c@prod"],
        values=["two", "c"],
    )
    call("past: labels then", "labels", name_filter="prod", at="$then", lists=["prod"])
    call("past: revisions then", "revisions", key_filter="past/a", at="$then", lists=["past/a@prod"], values=["one"])


def snapshots():
    for key, label, value in [
        ("snap/a", "prod", "a1"),
        ("snap/b", "prod", "b1"),
        ("snap/a", None, "a0"),
        ("snap/t", "prod", "t1"),
    ]:
        tags = {"team": "ml"} if key == "snap/t" else {}
        call(
            f"snapshot: set {key}@{label}", "set", key=key, label=label, value=value, tags=tags, gives={"value": value}
        )
    prod = [{"key": "snap/*", "label": "prod"}]
    call(
        "snapshot: create",
        "snapshot",
        name="s1",
        filters=prod,
        retention=3600,
        tags={"release": "1"},
        description="the first",
        gives={
            "name": "s1",
            "status": "ready",
            "composition_type": "key",
            "items_count": 3,
            "retention_period": 3600,
            "tags": {"release": "1"},
            "description": "the first",
            "filters": prod,
            "expires": False,
        },
    )
    call(
        "snapshot: the name is taken",
        "snapshot",
        name="s1",
        filters=prod,
        retention=3600,
        fails=[[409, "already-exists"]],
    )
    call(
        "snapshot: its contents",
        "list_snapshot",
        name="s1",
        lists=["snap/a@prod", "snap/b@prod", "snap/t@prod"],
        values=["a1", "b1", "t1"],
    )
    call("snapshot: a later change", "set", key="snap/a", label="prod", value="a2", gives={"value": "a2"})
    call(
        "snapshot: its contents stay",
        "list_snapshot",
        name="s1",
        lists=["snap/a@prod", "snap/b@prod", "snap/t@prod"],
        values=["a1", "b1", "t1"],
    )
    call(
        "snapshot: some fields",
        "list_snapshot",
        name="s1",
        fields=["key"],
        lists=["snap/a", "snap/b", "snap/t"],
        values=[None] * 3,
    )
    call(
        "snapshot: two filters",
        "snapshot",
        name="s2",
        filters=[{"key": "snap/*", "label": None}, {"key": "snap/b", "label": "prod"}],
        retention=3600,
        gives={"status": "ready", "items_count": 2},
    )
    call("snapshot: of both filters", "list_snapshot", name="s2", lists=["snap/a", "snap/b@prod"], values=["a0", "b1"])
    call(
        "snapshot: by tag",
        "snapshot",
        name="s3",
        filters=[{"key": "snap/*", "label": "prod", "tags": ["team=ml"]}],
        retention=3600,
        gives={"items_count": 1},
    )
    call("snapshot: of what has the tag", "list_snapshot", name="s3", lists=["snap/t@prod"])
    call(
        "snapshot: by key and label",
        "snapshot",
        name="s4",
        filters=[{"key": "snap/a", "label": "*"}],
        composition="key_label",
        retention=3600,
        gives={"composition_type": "key_label", "items_count": 2},
    )
    call("snapshot: of every label", "list_snapshot", name="s4", lists=["snap/a", "snap/a@prod"])
    call(
        "snapshot: by key, of any label",
        "snapshot",
        name="s5",
        filters=[{"key": "snap/a", "label": "*"}],
        composition="key",
        retention=3600,
        fails=[[400, "invalid-argument"]],
    )
    call(
        "snapshot: four filters",
        "snapshot",
        name="s6",
        filters=prod * 4,
        retention=3600,
        fails=[[400, "invalid-argument"]],
    )
    call("snapshot: no filter", "snapshot", name="s7", filters=[], retention=3600, fails=[[400, "invalid-argument"]])
    call(
        "snapshot: too short a retention",
        "snapshot",
        name="s8",
        filters=prod,
        retention=60,
        fails=[[400, "invalid-argument"]],
    )
    call(
        "snapshot: of nothing",
        "snapshot",
        name="empty",
        filters=[{"key": "nothing/*", "label": None}],
        retention=3600,
        gives={"status": "ready", "items_count": 0},
    )
    call(
        "snapshot: get",
        "get_snapshot",
        {"ready": "etag"},
        name="s1",
        gives={"status": "ready", "items_count": 3, "expires": False},
    )
    call("snapshot: get a missing one", "get_snapshot", name="none", fails=404)
    call("snapshot: archive if it was so", "archive", name="s1", only_if="nonsense", fails=412)
    call("snapshot: archive", "archive", name="s1", gives={"status": "archived", "expires": True})
    call("snapshot: archive again", "archive", name="s1", gives={"status": "archived"})
    call(
        "snapshot: an archived one is readable",
        "list_snapshot",
        name="s1",
        lists=["snap/a@prod", "snap/b@prod", "snap/t@prod"],
    )
    call(
        "snapshot: an archived name is taken",
        "snapshot",
        name="s1",
        filters=prod,
        retention=3600,
        fails=[[409, "already-exists"]],
    )
    call("snapshot: list the archived", "list_snapshots", status=["archived"], lists=["s1"])
    call("snapshot: list the ready", "list_snapshots", name_filter="s*", status=["ready"], lists=["s2", "s3", "s4"])
    call(
        "snapshot: list both",
        "list_snapshots",
        name_filter="s*",
        status=["ready", "archived"],
        lists=["s1", "s2", "s3", "s4"],
    )
    call("snapshot: list by name", "list_snapshots", name_filter="s2", lists=["s2"])
    call("snapshot: recover", "recover", name="s1", gives={"status": "ready", "expires": False})
    call("snapshot: recover again", "recover", name="s1", gives={"status": "ready"})
    call("snapshot: archive a missing one", "archive", name="none", fails=404)


def special_kinds():
    call(
        "kind: a flag",
        "set_flag",
        name="beta",
        enabled=True,
        filters=[{"name": "Microsoft.Percentage", "parameters": {"Value": 30}}],
        gives={"key": ".appconfig.featureflag/beta", "content_type": FLAG},
    )
    call("kind: get the flag", "get_flag", name="beta", gives={"enabled": True, "filters": ["Microsoft.Percentage"]})
    call("kind: turn it off", "set_flag", name="beta", enabled=False, filters=[], gives={"content_type": FLAG})
    call("kind: get it turned off", "get_flag", name="beta", gives={"enabled": False, "filters": []})
    call("kind: list flags", "list", key_filter=".appconfig.featureflag/*", lists=[".appconfig.featureflag/beta"])
    vault = "https://contoso.vault.azure.net/secrets/openai/5d1c"
    call(
        "kind: a Key Vault reference", "set_reference", key="kind/secret", uri=vault, gives={"content_type": REFERENCE}
    )
    call("kind: get the reference", "get_reference", key="kind/secret", gives={"uri": vault})
    call(
        "kind: a snapshot reference",
        "set",
        key="kind/snapshot",
        value='{"snapshot_name":"s1"}',
        content_type=SNAPSHOT_REFERENCE,
        gives={"content_type": SNAPSHOT_REFERENCE},
    )
    call("kind: get the snapshot reference", "get", key="kind/snapshot", gives={"content_type": SNAPSHOT_REFERENCE})
    call(
        "kind: a chat configuration",
        "set",
        key="kind/chat",
        value='{"model":"gpt-4o"}',
        content_type=CHAT,
        gives={"content_type": CHAT},
    )
    call(
        "kind: get the chat configuration",
        "get",
        key="kind/chat",
        gives={"value": '{"model":"gpt-4o"}', "content_type": CHAT},
    )


for topic in (key_values, conditions, locks, filters, pages, revisions_and_time, snapshots, special_kinds):
    topic()
