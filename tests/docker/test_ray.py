"""The files for Ray without a cluster: both say the same, in Ray's own schema, and name what the program knows."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docker.dockerfile import FOLDER, read_dockerfile

SERVE = FOLDER / "ray/serve.yaml"
SERVICE = FOLDER / "kubernetes/ray/rayservice.yaml"


def read(path: Path) -> Any:
    """Return what a YAML file holds."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


CONFIGURATIONS = {"serve.yaml": read(SERVE), "rayservice.yaml": yaml.safe_load(read(SERVICE)["spec"]["serveConfigV2"])}
EVERY = pytest.mark.parametrize("name", CONFIGURATIONS)


@EVERY
def test_its_arguments_are_the_programs(name: str) -> None:
    """Ours and the program's settings; an unknown one would be refused at start."""
    pytest.importorskip("ray.serve", reason="the extra `ray` is not installed")
    from sidecar.program.config import load
    from sidecar.scoring.ray_serve import Arguments

    [application] = CONFIGURATIONS[name]["applications"]
    arguments, flags = Arguments.split(application["args"])
    settings = load(None, flags)
    assert ("cross-encoder/ms-marco-MiniLM-L6-v2", "bf16") == (settings.model.name, settings.model.dtype)
    assert (0.5, 2, 8) == (arguments.gpus, arguments.min_replicas, arguments.max_replicas)


@EVERY
def test_ray_takes_it(name: str) -> None:
    """By its own schema; and what it imports is there."""
    schema = pytest.importorskip("ray.serve.schema", reason="the extra `ray` is not installed")
    deployed = schema.ServeDeploySchema.model_validate(CONFIGURATIONS[name])
    [application] = deployed.applications
    module, _, attribute = application.import_path.partition(":")
    assert callable(getattr(pytest.importorskip(module), attribute))


def test_the_manifest_fits_together() -> None:
    """Nodes have the image that is built, on the Ray that the manifest says; the head scores nothing; replicas fit."""
    cluster = read(SERVICE)["spec"]["rayClusterConfig"]
    [group] = cluster["workerGroupSpecs"]
    pods = [cluster["headGroupSpec"]["template"]["spec"], group["template"]["spec"]]
    containers = [pod["containers"][0] for pod in pods]
    assert ["rerank-sidecar-ray"] * 2 == [each["image"] for each in containers]
    [version] = [each.rest for each in read_dockerfile(FOLDER / "ray/Dockerfile") if each.word == "ARG"]
    assert version.startswith(f"RAY={cluster['rayVersion']}-")
    assert "0" == cluster["headGroupSpec"]["rayStartParams"]["num-cpus"]
    [application] = CONFIGURATIONS["rayservice.yaml"]["applications"]
    replicas = (
        group["maxReplicas"] * containers[1]["resources"]["limits"]["nvidia.com/gpu"] / application["args"]["gpus"]
    )
    assert application["args"]["max_replicas"] <= replicas
    assert {port["name"]: port["containerPort"] for port in containers[1]["ports"]}["serve"] == 8000
