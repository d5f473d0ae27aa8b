"""The Helm chart, rendered by Helm's own library and held against Kubernetes' schemas.

No cluster is asked: that the rendered objects do what they say in one is not shown here.
"""

import importlib
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from moderation.adapters.grpc.server import LIVENESS_NAME
from moderation.adapters.policy_yaml.binding import LOCK_NAME
from moderation.settings import setting_names, variable_of
from tests.deploy.monitoring import ALERTS, ROOT, RULES

NEEDED = {"helm_python": "helm-python-sdk", "kubernetes_validate": "kubernetes-validate"}
MISSING = [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]
if MISSING:
    pytest.skip(f"not installed: {', '.join(MISSING)}", allow_module_level=True)

helm: Any = importlib.import_module("helm_python.chart")
helm_errors: Any = importlib.import_module("helm_python.errors")
kubernetes_validate: Any = importlib.import_module("kubernetes_validate")

CHART = ROOT / "deploy" / "helm" / "moderation"
OF_THE_OPERATOR = {"ServiceMonitor", "PrometheusRule"}
"""Kinds that Kubernetes itself does not know."""
OLDEST, NEWEST = "1.27", "1.33"

VALUES: Mapping[str, dict[str, Any]] = {
    "defaults": {},
    "everything": {
        "image": {"repository": "registry.example/moderation", "pullSecrets": [{"name": "pull"}]},
        "workers": 4,
        "settings": {"MODERATION_LOG__LEVEL": "debug"},
        "policies": {"weapons.yaml": "id: weapons\n", LOCK_NAME: "encoder_id: e\n"},
        "bundle": {"claim": "clip", "path": "/bundle"},
        "gpu": {"enabled": True},
        "autoscaling": {"enabled": True, "maxReplicas": 20},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "tracing": {"endpoint": "http://collector.observability:4318", "sampleRatio": 0.5},
        "podAnnotations": {"example/note": "x"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
    },
    "mutual tls": {"tls": {"secret": "uploads-tls", "clientCaSecret": "uploads-ca"}},
    "keys": {"identity": {"secret": "uploads-keys"}},
    "buckets": {"fetch": {"awsSecret": "uploads-aws", "gsSecret": "uploads-gs"}},
    "signed policies": {
        "policyPackage": {
            "url": "https://policies.example/policies.tar.gz",
            "publicKeys": "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n",
            "tokenSecret": "policies-token",
            "minSerial": 1795999348904,
        }
    },
    "decision log": {
        "decisionLog": {"size": "20Gi", "storageClass": "ssd", "keySecret": "decisions-key"},
        "autoscaling": {"enabled": True},
    },
    "own config map": {
        "policiesConfigMap": "policies-of-trust",
        "networkPolicy": {"enabled": False},
    },
}
WRONG: Mapping[str, dict[str, Any]] = {
    "replica": {"replica": 3},
    "LOG_LEVEL": {"settings": {"LOG_LEVEL": "debug"}},
    "MODERATION_SERVER__PORT": {"settings": {"MODERATION_SERVER__PORT": 50051}},
    "/replicas": {"replicas": 0},
    "/tracing/endpoint": {"tracing": {"endpoint": "http://user:word@collector:4318"}},
    "/tls": {"tls": {"clientCaSecret": "uploads-ca"}},
    "/decisionLog": {"decisionLog": {"keySecret": "decisions-key"}},
    "/decisionLog/size": {"decisionLog": {"size": "plenty"}},
    "/policyPackage": {"policyPackage": {"url": "https://policies.example/policies.tar.gz"}},
    "/policyPackage/url": {"policyPackage": {"url": "http://policies.example/p.tar.gz"}},
    "secrets": {"identity": {"secrets": "uploads-keys"}},
    "/workers": {"workers": 65},
    "weapons.txt": {"policies": {"weapons.txt": "id: weapons"}},
}
"""By what the message has to name."""
PACKAGE = VALUES["signed policies"]["policyPackage"]
CONTRADICTORY: Mapping[str, dict[str, Any]] = {
    "policies and policyPackage.url": {"policies": {"a.yaml": "id: a"}, "policyPackage": PACKAGE},
    "policies and policiesConfigMap": {"policies": {"a.yaml": "id: a"}, "policiesConfigMap": "own"},
    "policiesConfigMap and policyPackage.url": {
        "policiesConfigMap": "own",
        "policyPackage": PACKAGE,
    },
    "autoscaling.minReplicas (5) is above autoscaling.maxReplicas (2)": {
        "autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 2}
    },
}
"""Each value is right by itself; by what the message has to say."""


def rendered(values: Mapping[str, Any], path: Path = CHART) -> dict[str, dict[str, Any]]:
    """Every object by its kind."""
    load = YAML(typ="safe", pure=True).load
    with helm.Chart.load(path) as chart:
        files = chart.render(values, name="uploads", namespace="trust")
    objects = [load(text) for name, text in files.items() if name.endswith(".yaml")]
    return {one["kind"]: one for one in objects if one}


def servers(objects: Mapping[str, Any]) -> dict[str, Any]:
    """The object that keeps the servers running, of whatever kind."""
    (one,) = (one for one in objects.values() if one["apiVersion"] == "apps/v1")
    found: dict[str, Any] = one
    return found


def pod(objects: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = servers(objects)["spec"]["template"]["spec"]
    return spec


def environment(objects: Mapping[str, Any]) -> dict[str, str]:
    variables = pod(objects)["containers"][0].get("env") or []
    assert len({one["name"] for one in variables}) == len(variables), "one is there twice"
    return {one["name"]: one["value"] for one in variables}


def test_helm_finds_nothing_to_complain_of() -> None:
    report = helm.lint(CHART, strict=True)

    assert report["errors"] == []
    assert [one for one in report["messages"] if one["severity"] > 1] == []


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("name", VALUES)
def test_every_object_is_valid(name: str, version: str) -> None:
    objects = rendered(VALUES[name])

    assert {servers(objects)["kind"], "Service", "PodDisruptionBudget"} <= objects.keys()
    for kind, one in objects.items():
        if kind not in OF_THE_OPERATOR:
            kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("named", WRONG)
def test_wrong_values_are_refused_by_name(named: str) -> None:
    with (
        helm.Chart.load(CHART) as chart,
        pytest.raises(helm_errors.HelmValuesError, match=re.escape(named)),
    ):
        chart.validate_schema(WRONG[named])


@pytest.mark.parametrize("said", CONTRADICTORY)
def test_values_that_contradict_each_other_are_refused(said: str) -> None:
    with pytest.raises(helm_errors.HelmRenderError, match=re.escape(said)):
        rendered(CONTRADICTORY[said])


def test_every_setting_can_be_given() -> None:
    every = {variable_of(setting): "0" for setting in setting_names()}

    assert every.items() <= environment(rendered({"settings": every})).items()


def test_what_is_optional_is_absent_by_default() -> None:
    assert rendered({}).keys() == {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}
    assert rendered(VALUES["everything"]).keys() - rendered({}).keys() == {
        "HorizontalPodAutoscaler",
        "ServiceMonitor",
        "PrometheusRule",
        "ConfigMap",
    }
    assert "replicas" not in rendered(VALUES["everything"])["Deployment"]["spec"]


@pytest.mark.parametrize("name", VALUES)
def test_everything_selects_the_servers_and_only_those(name: str) -> None:
    objects = rendered(VALUES[name])
    labels = servers(objects)["spec"]["template"]["metadata"]["labels"]

    selectors = [
        objects["Service"]["spec"]["selector"],
        servers(objects)["spec"]["selector"]["matchLabels"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ]

    assert all(selector == selectors[0] for selector in selectors)
    assert selectors[0].items() <= labels.items()
    assert selectors[0]["app.kubernetes.io/instance"] == "uploads"


def test_servers_have_no_rights_and_a_root_that_cannot_be_written() -> None:
    spec = pod(rendered({}))
    container = spec["containers"][0]["securityContext"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("name", VALUES)
def test_the_environment_holds_settings_that_exist(name: str) -> None:
    known = {variable_of(setting) for setting in setting_names()}

    assert environment(rendered(VALUES[name])).keys() <= {*known, "AWS_SHARED_CREDENTIALS_FILE"}


def test_policies_are_mounted_as_a_directory_where_the_service_reads_them() -> None:
    objects = rendered(VALUES["everything"])
    (mount,) = (
        one for one in pod(objects)["containers"][0]["volumeMounts"] if one["name"] == "policies"
    )
    (volume,) = (one for one in pod(objects)["volumes"] if one["name"] == "policies")

    assert environment(objects)["MODERATION_POLICIES__DIRECTORY"] == mount["mountPath"]
    assert "subPath" not in mount
    assert volume["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]
    assert objects["ConfigMap"]["data"] == VALUES["everything"]["policies"]


def test_clients_find_every_server_by_one_name() -> None:
    service = rendered({})["Service"]["spec"]

    assert service["clusterIP"] == "None"
    assert {port["name"]: port["port"] for port in service["ports"]} == {
        "grpc": 50051,
        "metrics": 9464,
    }


def test_traffic_is_asked_for_readiness_and_only_a_dead_process_is_restarted() -> None:
    container = pod(rendered({}))["containers"][0]

    assert container["readinessProbe"]["grpc"] == {"port": 50051}
    assert container["livenessProbe"]["grpc"] == {"port": 50051, "service": LIVENESS_NAME}
    assert container["startupProbe"]["grpc"] == container["livenessProbe"]["grpc"]


@pytest.mark.parametrize("name", ["defaults", "mutual tls"])
def test_a_busy_server_has_longer_than_a_second_to_answer_a_probe(name: str) -> None:
    container = pod(rendered(VALUES[name]))["containers"][0]

    assert container["readinessProbe"]["timeoutSeconds"] > 1
    assert container["livenessProbe"]["timeoutSeconds"] > 1
    assert "timeoutSeconds" in container["startupProbe"]


def test_certificates_are_mounted_where_the_service_looks_for_them() -> None:
    objects = rendered(VALUES["mutual tls"])
    container = pod(objects)["containers"][0]
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "tls")
    (volume,) = (one for one in pod(objects)["volumes"] if one["name"] == "tls")
    sources = [one["secret"] for one in volume["projected"]["sources"]]
    held = {f"{mount['mountPath']}/{one['path']}" for source in sources for one in source["items"]}

    settings = environment(objects)
    assert held == {value for name, value in settings.items() if name.endswith("_FILE")}
    assert settings["MODERATION_TLS__CLIENT_CERTIFICATES"] == "require"
    assert [one["name"] for one in sources] == ["uploads-tls", "uploads-ca"]
    assert "subPath" not in mount
    assert volume["projected"]["defaultMode"] == 0o440
    assert container["args"] == ["serve"]


@pytest.mark.parametrize(
    ("values", "name", "variable", "secret"),
    [
        (
            "decision log",
            "decisions-key",
            "MODERATION_DECISION_LOG__ENCRYPTION_KEY_FILE",
            "decisions-key",
        ),
        ("keys", "identity", "MODERATION_IDENTITY__KEYS_FILE", "uploads-keys"),
        ("buckets", "aws", "AWS_SHARED_CREDENTIALS_FILE", "uploads-aws"),
        ("buckets", "gs", "MODERATION_FETCH__GS_CREDENTIALS_FILE", "uploads-gs"),
    ],
)
def test_a_file_of_a_secret_is_mounted_where_the_service_looks_for_it(
    values: str, name: str, variable: str, secret: str
) -> None:
    objects = rendered(VALUES[values])
    container = pod(objects)["containers"][0]
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == name)
    (volume,) = (one for one in pod(objects)["volumes"] if one["name"] == name)
    (item,) = volume["secret"]["items"]

    file = f"{mount['mountPath']}/{item['path']}"
    assert environment(objects)[variable] == file
    assert volume["secret"]["secretName"] == secret
    assert volume["secret"]["defaultMode"] == 0o440
    assert "subPath" not in mount


def test_with_tls_nothing_is_probed_over_grpc() -> None:
    objects = rendered(VALUES["mutual tls"])
    container = pod(objects)["containers"][0]
    probes = [container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]

    assert not any("grpc" in probe for probe in probes)
    assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "metrics"}
    assert "appProtocol" not in objects["Service"]["spec"]["ports"][0]


def test_a_setting_that_is_given_wins_over_what_the_chart_makes_of_its_values() -> None:
    given = {
        "MODERATION_ENCODER__DEVICE": "tensorrt",
        "MODERATION_TLS__CLIENT_CERTIFICATES": "off",
        "MODERATION_TLS__CLIENT_CA_FILE": "",
    }
    values = {**VALUES["mutual tls"], "gpu": {"enabled": True}, "settings": given}

    assert given.items() <= environment(rendered(values)).items()


def test_a_gpu_is_asked_for_and_demanded() -> None:
    objects = rendered(VALUES["everything"])

    assert pod(objects)["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert environment(objects)["MODERATION_ENCODER__DEVICE"] == "cuda"


def test_metrics_are_for_the_namespace_that_prometheus_is_in() -> None:
    monitoring = {"kubernetes.io/metadata.name": "monitoring"}

    rules = rendered({})["NetworkPolicy"]["spec"]["ingress"]
    (scraped,) = (rule for rule in rules if rule["ports"] == [{"port": "metrics"}])

    assert scraped["from"] == [{"namespaceSelector": {"matchLabels": monitoring}}]


def test_servers_reach_what_the_operator_names() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 443}]}

    policy = rendered({"networkPolicy": {"egress": [rule]}})["NetworkPolicy"]
    named, to_names = policy["spec"]["egress"]

    assert named == rule
    assert {port["port"] for port in to_names["ports"]} == {53}


def test_servers_reach_nothing_but_the_collector_of_traces() -> None:
    closed = rendered({})
    tracing = rendered(VALUES["everything"])

    to_collector, to_names = tracing["NetworkPolicy"]["spec"]["egress"]

    assert closed["NetworkPolicy"]["spec"]["egress"] == []
    assert not any("TRACING" in name for name in environment(closed))
    assert to_collector == {"to": [{"namespaceSelector": {}}], "ports": [{"port": 4318}]}
    assert {port["port"] for port in to_names["ports"]} == {53}
    assert environment(tracing)["MODERATION_TRACING__ENDPOINT"].endswith(":4318")
    assert environment(tracing)["MODERATION_TRACING__SAMPLE_RATIO"] == "0.5"


def test_a_server_is_one_process_unless_more_are_asked_for() -> None:
    assert "MODERATION_SERVER__WORKERS" not in environment(rendered({}))
    assert environment(rendered(VALUES["everything"]))["MODERATION_SERVER__WORKERS"] == "4"


def test_a_package_is_fetched_by_the_keys_and_the_token_that_are_mounted() -> None:
    objects = rendered(VALUES["signed policies"])
    chosen = VALUES["signed policies"]["policyPackage"]
    mounts = {
        one["name"]: one["mountPath"] for one in pod(objects)["containers"][0]["volumeMounts"]
    }

    settings = {
        name.removeprefix("MODERATION_PACKAGE__"): value
        for name, value in environment(objects).items()
        if name.startswith("MODERATION_PACKAGE__")
    }

    assert settings == {
        "SOURCE": chosen["url"],
        "PUBLIC_KEYS": f"{mounts['package']}/keys.pub",
        "TOKEN_FILE": f"{mounts['package-token']}/token",
        "MIN_SERIAL": "1795999348904",
    }
    assert objects["ConfigMap"]["data"] == {"keys.pub": chosen["publicKeys"]}


def test_prometheus_is_given_the_shipped_rules_and_no_others(tmp_path: Path) -> None:
    load = YAML(typ="safe", pure=True).load
    packed = Path(helm.package(CHART, destination=tmp_path))
    shipped = [load(path.read_text(encoding="utf-8"))["groups"] for path in (ALERTS, RULES)]

    for chart in (CHART, packed):
        rule = rendered(VALUES["everything"], chart)["PrometheusRule"]

        assert rule["spec"] == {"groups": [group for groups in shipped for group in groups]}
        assert rule["metadata"]["labels"]["release"] == "prometheus"


def test_each_server_keeps_its_decisions_on_a_volume_that_outlives_it() -> None:
    objects = rendered(VALUES["decision log"])
    spec = servers(objects)["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    (mount,) = (
        one for one in pod(objects)["containers"][0]["volumeMounts"] if one["name"] == "decisions"
    )

    kept_at = environment(objects)["MODERATION_DECISION_LOG__DIRECTORY"]
    assert kept_at.startswith(f"{mount['mountPath']}/")
    assert claim["metadata"]["name"] == mount["name"]
    assert claim["spec"]["storageClassName"] == "ssd"
    assert claim["spec"]["resources"] == {"requests": {"storage": "20Gi"}}
    assert spec["serviceName"] == objects["Service"]["metadata"]["name"]
    assert objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": servers(objects)["metadata"]["name"],
    }


def test_without_a_decision_log_there_is_no_volume_and_a_roll_out_starts_one_more_first() -> None:
    spec = rendered({})["Deployment"]["spec"]

    assert "volumeClaimTemplates" not in spec
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
