"""Tests of the Kubernetes manifests without Kubernetes: what they name exists, and their settings are the program's.

`make docker-check` validates them against the schemas of Kubernetes.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.restarts import found_haproxy
from sidecar.program.config import Settings, load
from sidecar.proxy.health import Health
from sidecar.proxy.listener import Address
from tests.docker.dockerfile import FOLDER, environment, read_dockerfile

KUBERNETES = FOLDER / "kubernetes"
FILES = sorted(KUBERNETES.rglob("*.yaml"))
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def documents(path: Path) -> list[dict[str, Any]]:
    """Return what a file holds."""
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def containers(path: Path) -> Iterator[dict[str, Any]]:
    """Give the containers of ours in a file."""
    for document in documents(path):
        pod = document.get("spec", {}).get("template", {}).get("spec", {})
        for container in [*pod.get("initContainers", []), *pod.get("containers", [])]:
            if container.get("image") == "rerank-sidecar":
                yield container


OURS = [(path, container) for path in FILES for container in containers(path)]
EVERY_CONTAINER = pytest.mark.parametrize(
    ("path", "container"), OURS, ids=[str(path.relative_to(KUBERNETES)) for path, _ in OURS]
)


def literals(folder: Path) -> dict[str, str]:
    """Return the settings of a kustomization's configuration map."""
    generators = documents(folder / "kustomization.yaml")[0].get("configMapGenerator", [])
    return dict(literal.split("=", 1) for generator in generators for literal in generator.get("literals", []))


def settings_of(path: Path, container: dict[str, Any], patch: pytest.MonkeyPatch) -> Settings:
    """Return the settings with which a container starts: the image's, the map's, its own."""
    own = {each["name"]: each["value"] for each in container.get("env", [])}
    shared = literals(path.parent) if "envFrom" in container else {}
    for name, value in {**environment(read_dockerfile()), **shared, **own}.items():
        if name.startswith("RERANK_SIDECAR_"):
            patch.setenv(name, value)
    return load()


def port_of(address: str) -> int:
    """Return the port of an address of ours."""
    return int(str(Address.parse(address)).rpartition(":")[2])


@pytest.mark.parametrize("folder", ["proxy", "scorer", "pool", "balanced", "in-pod"])
def test_a_kustomization_names_what_exists(folder: str) -> None:
    """Its resources and patches; and every file of its folder is one of them."""
    content = documents(KUBERNETES / folder / "kustomization.yaml")[0]
    named = [*content["resources"], *(patch["path"] for patch in content.get("patches", []))]
    named += [name for generator in content.get("configMapGenerator", []) for name in generator.get("files", [])]
    assert all((KUBERNETES / folder / name).exists() for name in named)
    here = {path.name for path in (KUBERNETES / folder).iterdir()} - {"kustomization.yaml"}
    assert here <= set(named)


def test_there_are_three_ways_to_run_it() -> None:
    """As a deployment, as a scorer, and in the pod of an application."""
    assert ["in-pod", "proxy", "scorer"] == sorted(path.parent.name for path, _ in OURS)


@EVERY_CONTAINER
def test_settings_are_settings_of_the_program(
    path: Path, container: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program refuses what it does not know; what the pool adds, too."""
    settings = settings_of(path, container, monkeypatch)
    assert "cross-encoder/ms-marco-MiniLM-L6-v2" == settings.model.name
    [patch] = documents(KUBERNETES / "pool/proxy.yaml")
    for each in patch["spec"]["template"]["spec"]["containers"][0]["env"]:
        monkeypatch.setenv(each["name"], each["value"])
    [service] = documents(KUBERNETES / "scorer/service.yaml")
    assert f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}" == load().scorer.url


@EVERY_CONTAINER
def test_probes_ask_where_the_program_answers(
    path: Path, container: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their paths are the program's, and their ports those on which it listens to others than itself."""
    settings = settings_of(path, container, monkeypatch)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    health = Health(is_started=lambda: True, has_scorer=lambda: True)
    listen = settings.admin.listen
    if container["args"][0] == "score":
        listen = container["args"][container["args"].index("--listen") + 1]
    assert listen is not None
    assert listen.startswith("0.0.0.0:")
    probes = [container[name]["httpGet"] for name in PROBES if name in container]
    assert len(probes) >= 2
    for probe in probes:
        assert ("GET", probe["path"]) in health.endpoints()
        assert port_of(listen) == ports[probe["port"]]


@EVERY_CONTAINER
def test_a_pod_outlives_its_drain(path: Path, container: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in flight at the end of the drain has time left."""
    settings = settings_of(path, container, monkeypatch)
    [document] = [each for each in documents(path) if each["kind"] == "Deployment"]
    grace = document["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30)
    assert settings.drain_seconds + 30 <= grace


@EVERY_CONTAINER
def test_a_container_can_do_little(path: Path, container: dict[str, Any]) -> None:
    """No root, no capabilities, nothing to write to but /tmp and /models; memory is bounded."""
    [document] = [each for each in documents(path) if each["kind"] == "Deployment"]
    pod = document["spec"]["template"]["spec"].get("securityContext", {})
    context = {**pod, **container["securityContext"]}
    assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 10001)
    assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
    assert ({"drop": ["ALL"]}, {"type": "RuntimeDefault"}) == (context["capabilities"], context["seccompProfile"])
    assert {"/models", "/tmp"} == {mount["mountPath"] for mount in container["volumeMounts"]}
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("folder", ["proxy", "scorer"])
def test_a_service_finds_its_pods(folder: str) -> None:
    """Service, disruption budget and network policy select the labels that the pods have."""
    [deployment] = documents(KUBERNETES / folder / "deployment.yaml")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    [service] = documents(KUBERNETES / folder / "service.yaml")
    [budget] = documents(KUBERNETES / folder / "disruption.yaml")
    [policy] = documents(KUBERNETES / folder / "network.yaml")
    selectors = [
        service["spec"]["selector"],
        deployment["spec"]["selector"]["matchLabels"],
        budget["spec"]["selector"]["matchLabels"],
        policy["spec"]["podSelector"]["matchLabels"],
    ]
    assert [labels] * 4 == selectors
    names = {port["name"] for each in containers(KUBERNETES / folder / "deployment.yaml") for port in each["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= names


def test_the_balancer_is_the_one_that_is_tested() -> None:
    """HAProxy spreads, checks and sends again as docker/balancer/scorers.cfg says, and finds the scorers' pods."""
    shipped, here = (
        [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
        for path in (FOLDER / "balancer/scorers.cfg", KUBERNETES / "balanced/haproxy.cfg")
    )
    assert [line for line in shipped if line not in here] == [
        'bind "${LISTEN}"',
        'server scorer-1 "${SCORER_1}"',
        'server scorer-2 "${SCORER_2}"',
    ]
    [members] = documents(KUBERNETES / "balanced/members.yaml")
    [deployment] = documents(KUBERNETES / "scorer/deployment.yaml")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert ("None", labels) == (members["spec"]["clusterIP"], members["spec"]["selector"])
    [template] = [line for line in here if line.startswith("server-template")]
    assert f"{members['metadata']['name']}:{members['spec']['ports'][0]['port']}" in template
    [patch] = documents(KUBERNETES / "balanced/proxy.yaml")
    [url] = [each["value"] for each in patch["spec"]["template"]["spec"]["containers"][0]["env"]]
    balancer, service, budget = documents(KUBERNETES / "balanced/balancer.yaml")
    assert f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}" == url
    chosen = balancer["spec"]["template"]["metadata"]["labels"]
    assert [chosen] * 2 == [service["spec"]["selector"], budget["spec"]["selector"]["matchLabels"]]


@pytest.mark.skipif(found_haproxy() is None, reason="HAProxy is not installed")
@pytest.mark.parametrize("path", ["balancer/scorers.cfg", "kubernetes/balanced/haproxy.cfg"])
def test_haproxy_takes_its_configuration(path: str) -> None:
    """As it is."""
    addresses = {"LISTEN": "127.0.0.1:9281", "SCORER_1": "127.0.0.1:1", "SCORER_2": "127.0.0.1:2"}
    command = (found_haproxy() or "haproxy", "-c", "-f", str(FOLDER / path))
    done = subprocess.run(command, env=addresses, capture_output=True, encoding="utf-8", check=False)
    assert 0 == done.returncode, done.stderr


def test_scaling_follows_a_metric_that_the_adapter_gives() -> None:
    """And that the program has."""
    [scaler] = documents(KUBERNETES / "pool/scaling.yaml")
    name = scaler["spec"]["metrics"][0]["pods"]["metric"]["name"]
    [adapter] = documents(KUBERNETES / "metrics/prometheus-adapter.yaml")
    [rule] = adapter["rules"]["custom"]
    assert rule["name"]["matches"] == name
    assert re.match(r"\w+", rule["seriesQuery"])[0] == name  # type: ignore[index]
    gauge = name.removeprefix("rerank_sidecar_scorer_")
    metrics = (FOLDER.parent / "sidecar/telemetry/metrics.py").read_text(encoding="utf-8")
    assert f'"{gauge}"' in metrics
