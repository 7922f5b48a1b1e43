"""Tests of the compose files without Docker: their schema, and that what they name exists."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from sidecar.program.config import load
from tests.docker.dockerfile import FOLDER, environment, read_dockerfile
from tests.engines.nodes import ELASTICSEARCH, OPENSEARCH, Engine

SCHEMA = Path(__file__).parent / "compose-spec.json"


def read(name: str) -> dict[str, Any]:
    """Return a compose file as compose reads it, but for its variables."""
    content: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return content


SERVICES: dict[str, dict[str, Any]] = read("compose.yaml")["services"]
SIDECARS = [name for name in SERVICES if name.startswith("sidecar")]
LOADERS = [name for name in SERVICES if name.startswith("loader")]


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_the_file_is_as_the_compose_specification_says(name: str) -> None:
    """Misspelt keys and wrong types are found; `version` is obsolete."""
    content = read(name)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(content)
    assert "version" not in content


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    """The engines of a demo have no passwords."""
    ports = SERVICES[name].get("ports", [])
    assert [port for port in ports if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)] == []


def test_no_port_is_published_twice() -> None:
    """Both engines can run side by side."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    published = [port.split(":")[1] for port in ports]
    assert sorted(published) == sorted(set(published))


@pytest.mark.parametrize("engine", [ELASTICSEARCH, OPENSEARCH], ids=lambda engine: engine.name)
def test_the_engines_are_of_the_version_that_the_tests_run(engine: Engine) -> None:
    """One version in the pom and in the image."""
    pom = (engine.project / "pom.xml").read_text(encoding="utf-8")
    tested = re.search(r"<(?:es|opensearch)\.version>([\d.]+)<", pom)
    assert tested is not None
    assert SERVICES[engine.name]["image"].partition(":")[2] == tested[1]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_only_for_what_exists_and_can_be_healthy(name: str) -> None:
    """Compose would wait for ever for a service without a health check, and in another profile for nothing."""
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        assert condition == {"condition": "service_healthy"}
        assert "test" in SERVICES[other]["healthcheck"]
        assert SERVICES[other].get("profiles") == SERVICES[name].get("profiles")


def test_opensearch_comes_only_when_asked_for() -> None:
    """The plain `docker compose up` starts Elasticsearch, a sidecar and the loader."""
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == [
        "elasticsearch",
        "sidecar",
        "loader",
    ]


@pytest.mark.parametrize("name", SIDECARS)
def test_the_settings_of_a_sidecar_are_settings_of_the_program(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program refuses what it does not know; the engine's address names a service that it waits for."""
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, re.sub(r"\$\{\w+:-(.*)\}", r"\1", value))
    settings = load()
    [url] = settings.engine.urls
    assert (urlsplit(url).hostname, settings.model.name) == (
        *SERVICES[name]["depends_on"],
        "cross-encoder/ms-marco-MiniLM-L6-v2",
    )


@pytest.mark.parametrize("name", SIDECARS)
def test_models_are_kept_in_the_volume_of_the_image(name: str) -> None:
    """A second start does not download again."""
    [volume] = SERVICES[name]["volumes"]
    assert volume.split(":") == ["models", environment(read_dockerfile())["HF_HOME"]]
    assert "models" in read("compose.yaml")["volumes"]


@pytest.mark.parametrize("name", LOADERS)
def test_a_loader_runs_the_script_that_the_image_has(name: str) -> None:
    """Its path is where the Dockerfile copies it; its argument is the engine that it waits for."""
    [_, target] = next(line.rest.split() for line in read_dockerfile() if line.rest.startswith("docker/load.py"))
    service = SERVICES[name]
    assert service["entrypoint"] == ["python", target]
    assert [urlsplit(url).hostname for url in service["command"]] == list(service["depends_on"])


@pytest.mark.parametrize("name", [*SIDECARS, *LOADERS])
def test_our_containers_can_do_little(name: str) -> None:
    """No capabilities, no new privileges, nothing to write to but /tmp and the volume."""
    service = SERVICES[name]
    assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_gpu_file_changes_services_that_exist() -> None:
    """Build and image change together, and only the sidecar asks for a GPU."""
    services = read("compose.gpu.yaml")["services"]
    assert set(services) <= set(SERVICES)
    assert {(service["image"], service["build"]["args"]["TORCH_BACKEND"]) for service in services.values()} == {
        ("rerank-sidecar:cuda", "pypi")
    }
    assert [name for name, service in services.items() if "deploy" in service] == ["sidecar"]
