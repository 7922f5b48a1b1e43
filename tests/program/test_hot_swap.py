"""The model of a policy changes while searches come in, and none of them is lost."""

import asyncio
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.wire import Answer, send
from tests.program.processes import (
    ANYWHERE,
    QUICK_END,
    Program,
    asynchronous,
    children,
    eventually,
    running,
    search,
)

TEST = ("--scorer", "test:identity", "--allow-test-scorers", "--listen", ANYWHERE)
POLICIES = "/_rerank/policies"
FIRST, SECOND, THIRD = "test:slow=20", "test:slow=5", "test:identity"
AT_ONCE = 4


def toml(model: str) -> str:
    """Return a configuration whose policy names a model."""
    return f'[rerank]\ndeadline_ms = 0\nwindow = 10\n\n[[policies]]\nindices = ["*"]\nmodel = "{model}"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file, with the first model."""
    path = tmp_path / "sidecar.toml"
    path.write_text(toml(FIRST), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def bare() -> Iterator[str]:
    """An engine of its own, which several fronts can share."""
    arguments = ("--engine", "embedded", "--listen", ANYWHERE, "--scorer", "test:identity", "--allow-test-scorers")
    with running("serve", *arguments, **QUICK_END, RERANK_SIDECAR_RERANK__ENABLED="false") as program:
        yield program.url


class Searching:
    """Searches that do not stop coming in, and which models answered them."""

    def __init__(self, url: str) -> None:
        """Search there."""
        self._url = url
        self.markers: Counter[str] = Counter()
        self.latest = ""

    async def one(self) -> None:
        """Search once."""
        answer = await search(self._url, "why is the sky blue", index="*")
        self.latest = [value for name, value in answer.headers if name == "x-rerank"][-1]
        self.markers[self.latest] += 1

    async def run(self, stop: asyncio.Event) -> None:
        """Search until told."""
        while not stop.is_set():
            await self.one()

    @property
    def models(self) -> set[str]:
        """The models that have scored."""
        return {found[1] for each in self.markers if (found := re.search(r"model=(\S+)$", each))}

    @property
    def outcomes(self) -> set[str]:
        """The first words of the markers."""
        return {each.partition(";")[0] for each in self.markers}


async def put(program: Program, model: str) -> Answer:
    """Have the policy name another model."""
    admin = program.said(r"^probes and metrics on (http://\S+)/_rerank/metrics$")[1]
    return await send(admin, "PUT", POLICIES, body={"policies": [{"indices": ["*"], "model": model}]})


async def used(searching: Searching, model: str) -> None:
    """Wait until a model has answered."""
    await eventually(asynchronous(lambda: searching.latest), lambda latest: latest.endswith(f"model={model}"))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
async def test_no_search_is_lost_when_the_model_changes(path: Path, bare: str, workers: int) -> None:
    """By PUT and by SIGHUP; a model that cannot be had changes nothing."""
    engine = "embedded" if workers == 1 else bare
    arguments = ("--config", str(path), "--engine", engine, "--workers", str(workers), *TEST)
    with running("serve", *arguments, **QUICK_END) as program:
        searching, stop = Searching(program.url), asyncio.Event()
        while not searching.latest.endswith(f"model={FIRST}"):
            await searching.one()  # its child starts
        searching.markers.clear()
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(searching.run(stop))
            assert 200 == (await put(program, SECOND)).status
            await used(searching, SECOND)
            refused = await put(program, "/nowhere/a-model")
            assert (400, True) == (refused.status, "/nowhere/a-model cannot be had" in refused.body.decode())
            await asyncio.to_thread(path.write_text, toml(THIRD), encoding="utf-8")
            program.send(signal.SIGHUP)
            await used(searching, THIRD)
            stop.set()
        assert ({"applied"}, {FIRST, SECOND, THIRD}) == (searching.outcomes, searching.models)
        if workers == 1:  # the first two are gone, with their processes
            await eventually(asynchronous(lambda: children(program.pid)), lambda found: len(found) == 1)
            assert program.said(r"model_let_go name=test:slow=20")
