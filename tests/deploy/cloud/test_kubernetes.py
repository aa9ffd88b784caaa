"""The chart and the sidecar, rendered by Helm and held against the schemas of Kubernetes; no cluster is needed."""

import os
import re
import subprocess

import kubernetes_validate
import pytest
import yaml

from conftest import DEPLOY

CHART = DEPLOY / "kubernetes" / "chart"
SIDECAR = DEPLOY / "kubernetes" / "sidecar.yaml"
# The oldest that the chart is for, and the newest that the schemas know.
VERSIONS = ["1.29", "1.37"]

FILE = "version: 1\nname: prod\ntargets: {}\n"
LEAST = ["--set", "image.repository=registry.example/repin", "--set-string", f"desired.files.repin\\.yaml={FILE}"]
EVERYTHING = {
    "image": {"repository": "registry.example/repin", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "desired": {"order": ["base.yaml", "prod.yaml"], "existingConfigMap": "desired"},
    "secrets": [{"name": "openai", "secretName": "openai-api-key"}],
    "daemon": {"interval": "2m", "dryRun": True, "verbosity": 2, "extraArgs": ["--target", "aws-*"]},
    "env": [{"name": "AZURE_AUTHORITY_HOST", "value": "https://login.microsoftonline.com"}],
    "aws": {"roleArn": "arn:aws:iam::111122223333:role/repin", "region": "eu-west-1"},
    "azure": {"clientId": "0" * 36, "tenantId": "1" * 36},
    "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "networkPolicy": {
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "podIdentity": True,
    },
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "arm", "operator": "Exists"}],
    "priorityClassName": "high",
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "ml"},
}


def helm(*arguments, expect=0):
    done = subprocess.run(
        [os.environ["HELM_BIN"], *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode == 0) == (expect == 0), f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done


def render(*arguments):
    text = helm("template", "prod", CHART, "--namespace", "repin", *arguments).stdout
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(text) if manifest}


@pytest.fixture(scope="session")
def everything(tmp_path_factory):
    values = tmp_path_factory.mktemp("values") / "everything.yaml"
    values.write_text(yaml.safe_dump(EVERYTHING))
    return ["-f", values]


def pods(manifests):
    return [manifest["spec"]["template"] for manifest in manifests if manifest["kind"] == "Deployment"]


def sidecar():
    return list(yaml.safe_load_all(SIDECAR.read_text()))


def strictly_valid(manifest, version):
    if manifest["apiVersion"].startswith("monitoring.coreos.com/"):
        return  # Another project's kind: test_service_monitor looks at it.
    kubernetes_validate.validate(manifest, version, strict=True)


def test_lint(everything):
    print(helm("version", "--short").stdout.strip())
    for values in (LEAST, everything):
        assert "WARNING" not in helm("lint", "--strict", CHART, *values).stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_the_chart_is_valid(everything, version):
    for values in (LEAST, everything):
        manifests = render("--kube-version", version, *values)
        assert {"Deployment", "ServiceAccount", "NetworkPolicy", "Service"} <= manifests.keys()
        for manifest in manifests.values():
            strictly_valid(manifest, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_sidecar_is_valid(version):
    for manifest in sidecar():
        strictly_valid(manifest, version)


def test_validation_is_strict():
    manifest = render(*LEAST)["Deployment"]
    manifest["spec"]["replica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        strictly_valid(manifest, VERSIONS[-1])


def test_pods_keep_to_the_restricted_standard(everything):
    """Pod Security Standards, restricted: every control of it that a pod without host access can break."""
    templates = pods(render(*LEAST).values()) + pods(render(*everything).values()) + pods(sidecar())
    assert len(templates) == 3
    for template in templates:
        spec = template["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        allowed = {"configMap", "emptyDir", "secret", "projected", "downwardAPI", "persistentVolumeClaim"}
        for volume in spec["volumes"]:
            assert set(volume) - {"name"} <= allowed
        for container in spec["containers"] + spec.get("initContainers", []):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True
            assert not context.get("privileged")
            assert all("hostPort" not in port for port in container.get("ports", []))
            assert "memory" in container["resources"]["limits"]


def test_there_is_one_writer(everything):
    for manifests in (render(*LEAST), render(*everything)):
        spec = manifests["Deployment"]["spec"]
        assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")
    helm("template", "prod", CHART, *LEAST, "--set", "replicas=3", expect=1)


def repin_containers(everything):
    for template in pods(render(*LEAST).values()) + pods(render(*everything).values()) + pods(sidecar()):
        for container in template["spec"]["containers"] + template["spec"].get("initContainers", []):
            if container["name"] == "repin":
                yield template, container


def test_probes_ask_no_store(everything):
    for _, container in repin_containers(everything):
        for probe, word in (("startupProbe", "live"), ("livenessProbe", "live"), ("readinessProbe", "ready")):
            if probe in container:
                assert container[probe]["exec"]["command"] == ["/usr/bin/repin", "status", "--probe", word]
        assert "livenessProbe" in container


def test_the_file_can_change_in_a_pod(everything):
    """What is mounted by subPath is never updated."""
    for template, container in repin_containers(everything):
        assert all("subPath" not in mount for mount in container["volumeMounts"])
        environment = {entry["name"]: entry["value"] for entry in container["env"]}
        assert all(path.startswith("/etc/repin/desired/") for path in environment["REPIN_FILE"].split(":"))
        [desired] = [volume for volume in template["spec"]["volumes"] if volume["name"] == "desired"]
        # A missing ConfigMap keeps the pod waiting, with its name in the event, instead of an empty folder.
        assert not desired["configMap"].get("optional", False)


def test_the_program_takes_the_arguments(everything, repin):
    """The arguments of the manifests are those of this very program: its parser gets as far as the missing file."""
    for _, container in repin_containers(everything):
        assert container["command"] == ["/usr/bin/repin"]
        # The file is not there, which is 78; an argument that it did not know would be 64.
        done = repin(*container["args"], "-f", "/nonexistent/repin.yaml", expect=78)
        assert "/nonexistent/repin.yaml" in done.stdout + done.stderr


def test_the_runbooks_name_what_the_chart_makes():
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    called = set(re.findall(r"kubectl -n (\S+) exec deploy/(\S+) -- (\S+) ", text))
    deployment = render(*LEAST)["Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert called == {("repin", deployment["metadata"]["name"], container["command"][0])}


def test_workload_identity(everything):
    manifests = render(*everything)
    annotations = manifests["ServiceAccount"]["metadata"]["annotations"]
    assert annotations["eks.amazonaws.com/role-arn"] == EVERYTHING["aws"]["roleArn"]
    assert annotations["azure.workload.identity/client-id"] == EVERYTHING["azure"]["clientId"]
    assert annotations["azure.workload.identity/tenant-id"] == EVERYTHING["azure"]["tenantId"]
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert labels["azure.workload.identity/use"] == "true"
    assert "azure.workload.identity/use" not in str(render(*LEAST)), "asked for only where it is used"


def test_network_policy(everything):
    closed = render(*LEAST)["NetworkPolicy"]["spec"]
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert closed["ingress"] == [], "nobody may connect unless told"
    ports = {port["port"] for rule in closed["egress"] for port in rule["ports"]}
    assert ports == {53, 443}
    blocks = [peer["ipBlock"] for rule in closed["egress"] for peer in rule.get("to", [])]
    assert {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]} in blocks
    opened = render(*everything)["NetworkPolicy"]["spec"]
    assert opened["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 9187}]
    assert 80 in {port["port"] for rule in opened["egress"] for port in rule["ports"]}


def test_service_monitor(everything):
    manifests = render(*everything)
    monitor, service = manifests["ServiceMonitor"]["spec"], manifests["Service"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    [endpoint] = monitor["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    [container] = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    [port] = container["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert f"--listen=0.0.0.0:{port['containerPort']}" in container["args"]
    assert "ServiceMonitor" not in render(*LEAST)


def test_the_config_map_holds_the_files_as_they_are(tmp_path):
    text = 'version: 1\nname: prod\nentries:\n  a: { value: "{{ not a template }}" }\n\n'
    file = tmp_path / "repin.yaml"
    file.write_text(text)
    manifests = render(
        "--set", "image.repository=r.example/repin", "--set-file", f"desired.files.repin\\.yaml={file}"
    )
    assert manifests["ConfigMap"]["data"]["repin.yaml"].rstrip("\n") == text.rstrip("\n")
    [volume] = [v for v in manifests["Deployment"]["spec"]["template"]["spec"]["volumes"] if v["name"] == "desired"]
    assert volume["configMap"]["name"] == manifests["ConfigMap"]["metadata"]["name"]


def test_the_example_in_the_sidecar_is_a_file_that_repin_takes(tmp_path, repin):
    [config_map] = [manifest for manifest in sidecar() if manifest["kind"] == "ConfigMap"]
    file = tmp_path / "repin.yaml"
    secret = tmp_path / "key"
    secret.write_text("k")
    file.write_text(config_map["data"]["repin.yaml"].replace("/etc/repin/secrets/openai/key", str(secret)))
    repin("validate", "-f", file)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([], "image"),
        (["--set", "image.repository=r/repin"], "desired"),
        ([*LEAST, "--set", "imagee.tag=x"], "imagee"),
        ([*LEAST, "--set", "desired.existingConfigMap=x"], "desired"),
        ([*LEAST, "--set", "desired.order={other.yaml}"], "other.yaml"),
        ([*LEAST, "--set", "aws.roleArn=repin"], "roleArn"),
        ([*LEAST, "--set", "daemon.interval=often"], "interval"),
        ([*LEAST, "--set", "metrics.enabled=false", "--set", "metrics.serviceMonitor.enabled=true"], "metrics.enabled"),
    ],
)
def test_values_that_make_no_sense_are_refused(values, says):
    assert says in helm("template", "prod", CHART, *values, expect=1).stderr
