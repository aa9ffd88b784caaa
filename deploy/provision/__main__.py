"""Makes what repin needs in the clouds. What that is follows from its file: see provision.py."""

import pulumi

import provision

config = pulumi.Config()
settings = provision.Settings(
    file=config.require("file"),
    program=config.get("program") or "repin",
    high_throughput=config.get_bool("highThroughput") or False,
    oidc_provider_arn=config.get("oidcProviderArn") or "",
    cluster_issuer=config.get("clusterIssuer") or "",
    service_account=config.get("serviceAccount") or "repin/repin",
    subscription=config.get("subscription") or "",
    resource_group=config.get("resourceGroup") or "",
)
for name, value in provision.provision(settings).items():
    pulumi.export(name, value)
