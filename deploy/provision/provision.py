"""What repin needs in AWS and Azure, made by Pulumi.

The values are not here, and must not be. Pulumi would hold each of them in its state, prompts and API keys too; every
`pulumi up` would put back what a rollback of repin took away; and a change of a prompt would need the rights to change
keys and roles. So Pulumi makes the place (keys, rights, the store), and repin fills it.

Nor are the rights written here: `repin iam` prints them for the very file, and a test of repin's holds them against what
each command calls.
"""

import json
import subprocess
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi_azure_native import appconfiguration, authorization, managedidentity

MODES = ("plan", "apply", "rollback")

# What the account may do with a key through its own policies, and not more: to use it is another statement.
ADMINISTER = [
    "kms:CancelKeyDeletion",
    "kms:Describe*",
    "kms:DisableKey",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:DisableKeyRotation",
    "kms:Get*",
    "kms:List*",
    "kms:PutKeyPolicy",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
]


@dataclass(frozen=True)
class Settings:
    """What the file of repin does not say."""

    file: str
    program: str = "repin"
    high_throughput: bool = False
    oidc_provider_arn: str = ""
    cluster_issuer: str = ""
    service_account: str = "repin/repin"
    subscription: str = ""
    resource_group: str = ""


def provision(settings):
    """Makes everything and returns what is to be exported."""
    rights = {mode: rights_of(settings, mode) for mode in MODES}
    return on_aws(settings, rights) | on_azure(settings, rights)


def rights_of(settings, mode):
    """Asks repin which rights its file needs; it reads the name and the targets alone, and asks no store."""
    command = [settings.program, "iam", "--mode", mode, "--output", "json"]
    for file in settings.file.split(":"):
        command += ["--file", file]
    if settings.subscription:
        command += ["--subscription", settings.subscription, "--resource-group", settings.resource_group]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise pulumi.RunError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


# --- AWS --------------------------------------------------------------------------------------------------------------


def on_aws(settings, rights):
    principals = rights["apply"]["aws"]
    if not principals:
        return {}
    accounts = {principal["account"] for principal in principals}
    if len(accounts) > 1:
        raise pulumi.RunError(f"the file has targets in {sorted(accounts)}: provision one account at a time")
    [account] = accounts
    name = rights["apply"]["name"]
    keys = [key for principal in principals for key in keys_of(principal["policy"])]
    exports = {"keys": {alias: make_key(name, account, alias, *rest) for alias, *rest in keys}}
    if settings.high_throughput:
        for region in sorted({region_of(resource) for resource in resources(principals)}):
            aws.ssm.ServiceSetting(
                f"high-throughput-{region}",
                region=region,
                setting_id="/ssm/parameter-store/high-throughput-enabled",
                setting_value="true",
            )
    policies = {mode: make_policies(name, mode, rights[mode]["aws"]) for mode in MODES}
    if settings.oidc_provider_arn:
        exports["role"] = make_role(settings, name, policies["apply"])
    return exports | {"policies": {mode: [policy.arn for policy in made] for mode, made in policies.items()}}


def resources(principals):
    for principal in principals:
        for statement in principal["policy"]["Statement"]:
            yield from listed(statement["Resource"])


def listed(value):
    return value if isinstance(value, list) else [value]


def region_of(arn):
    return arn.split(":")[3]


def keys_of(policy):
    """Finds the keys that are named by an alias, which are made here; a key that is named itself is there already."""
    for statement in policy["Statement"]:
        condition = statement.get("Condition", {})
        alias = condition.get("ForAnyValue:StringEquals", {}).get("kms:ResourceAliases")
        if alias and "kms:Encrypt" in listed(statement["Action"]):
            yield alias, listed(statement["Resource"])[0], condition["StringEquals"], condition["StringLike"]


def make_key(name, account, alias, resource, via, names):
    partition, region = resource.split(":")[1], region_of(resource)
    logical = f"{alias.removeprefix('alias/')}-{region}"
    root = {"AWS": f"arn:{partition}:iam::{account}:root"}
    key = aws.kms.Key(
        logical,
        region=region,
        description=f"Secrets that repin keeps for {name}.",
        enable_key_rotation=True,
        rotation_period_in_days=365,
        deletion_window_in_days=30,
        policy=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {"Sid": "Administer", "Effect": "Allow", "Principal": root, "Action": ADMINISTER, "Resource": "*"},
                    # Whoever the account's policies allow it, readers too, but only through Parameter Store and only
                    # for the names of this file: a stolen ciphertext or another parameter is of no use with it.
                    {
                        "Sid": "UseThroughParameterStore",
                        "Effect": "Allow",
                        "Principal": root,
                        "Action": ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
                        "Resource": "*",
                        "Condition": {"StringEquals": via, "StringLike": names},
                    },
                ],
            }
        ),
        tags={"repin:name": name},
        # What was encrypted under it dies with it.
        opts=pulumi.ResourceOptions(protect=True),
    )
    aws.kms.Alias(logical, region=region, name=alias, target_key_id=key.key_id)
    return key.arn


def make_policies(name, mode, principals):
    made = []
    for number, principal in enumerate(principals):
        suffix = f"-{number + 1}" if len(principals) > 1 else ""
        made.append(
            aws.iam.Policy(
                f"repin-{name}-{mode}{suffix}",
                name=f"repin-{name}-{mode}{suffix}",
                description=f"What repin needs for {name}: {mode}.",
                policy=json.dumps(principal["policy"]),
            )
        )
    return made


def make_role(settings, name, policies):
    """Makes the role that the service account of the cluster may assume, and nobody else."""
    namespace, account = settings.service_account.split("/")
    issuer = settings.oidc_provider_arn.split(":oidc-provider/")[1]
    role = aws.iam.Role(
        f"repin-{name}",
        name=f"repin-{name}",
        assume_role_policy=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Federated": settings.oidc_provider_arn},
                        "Action": "sts:AssumeRoleWithWebIdentity",
                        "Condition": {
                            "StringEquals": {
                                f"{issuer}:aud": "sts.amazonaws.com",
                                f"{issuer}:sub": f"system:serviceaccount:{namespace}:{account}",
                            }
                        },
                    }
                ],
            }
        ),
    )
    for number, policy in enumerate(policies):
        aws.iam.RolePolicyAttachment(f"repin-{name}-{number + 1}", role=role.name, policy_arn=policy.arn)
    return role.arn


# --- Azure ------------------------------------------------------------------------------------------------------------


def on_azure(settings, rights):
    stores = rights["apply"]["azure"]
    if not stores or not settings.subscription:
        return {}
    name, group = rights["apply"]["name"], settings.resource_group
    identity = managedidentity.UserAssignedIdentity(
        f"repin-{name}", resource_name_=f"repin-{name}", resource_group_name=group
    )
    if settings.cluster_issuer:
        managedidentity.FederatedIdentityCredential(
            f"repin-{name}",
            federated_identity_credential_resource_name="kubernetes",
            resource_name_=identity.name,
            resource_group_name=group,
            issuer=settings.cluster_issuer,
            subject=f"system:serviceaccount:{settings.service_account.replace('/', ':')}",
            audiences=["api://AzureADTokenExchange"],
        )
    made = {}
    for number, store in enumerate(stores):
        roles = {mode: make_role_definition(rights[mode]["azure"][number], mode) for mode in MODES}
        made[store["endpoint"]] = make_store(store, group, identity, roles["apply"])
    return {"clientId": identity.client_id, "stores": made}


def make_store(store, group, identity, role):
    name = store["assign_on"].rsplit("/", 1)[1]
    made = appconfiguration.ConfigurationStore(
        name,
        config_store_name=name,
        resource_group_name=group,
        sku=appconfiguration.SkuArgs(name="Standard"),
        # No access keys: everybody has a name and a role.
        disable_local_auth=True,
        # Deleted by mistake, it can be had back, and by nobody be purged before that.
        soft_delete_retention_in_days=7,
        enable_purge_protection=True,
        opts=pulumi.ResourceOptions(protect=True),
    )
    authorization.RoleAssignment(
        f"repin-{name}",
        principal_id=identity.principal_id,
        principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
        role_definition_id=role.id,
        scope=made.id,
    )
    return made.endpoint


def make_role_definition(store, mode):
    role = store["role"]
    [scope] = role["AssignableScopes"]
    return authorization.RoleDefinition(
        f"{mode}-{store['assign_on'].rsplit('/', 1)[1]}",
        role_name=role["Name"],
        role_type="CustomRole",
        description=role["Description"],
        scope=scope,
        assignable_scopes=[scope],
        permissions=[
            authorization.PermissionArgs(
                actions=[], not_actions=[], data_actions=role["DataActions"], not_data_actions=[]
            )
        ],
    )
