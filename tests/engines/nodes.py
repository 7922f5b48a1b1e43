"""Real Elasticsearch and OpenSearch nodes for the tests, each built by Maven from the published jars.

Decides how a node is built, started and stopped. Its one law: `run_node` starts what was built and downloads nothing;
`build` (`make engines`) is what talks to a registry. Standard library only: `make engines` runs before anything is
installed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from tests.engines.jdk import OLDEST, Jdk, find_jdk

START_SECONDS = 120  # 5 on an idle machine, 14 seen on a busy one
STOP_SECONDS = 60
LOG_TAIL = 3000  # characters of a node's log that an error message carries
UNSAFE_FLAG_SINCE = 23  # the JDK that brought --sun-misc-unsafe-memory-access, which silences the warnings of Lucene


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine as a Maven project: what differs between the two.

    `classpath` are globs under the project's target folder; `flags` are given to the JVM after the common ones and may
    name that folder as {target}.
    """

    name: str
    project: Path
    main: str
    classpath: tuple[str, ...]
    flags: tuple[str, ...] = ()

    @property
    def target(self) -> Path:
        """The folder that Maven builds into."""
        return self.project / "target"

    @property
    def override(self) -> str:
        """The environment variable with the URL of a running engine to use instead."""
        return f"{self.name.upper()}_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A running node: where it answers and what version it is."""

    url: str
    version: str


class EngineUnavailable(Exception):
    """No node can be started on this machine; the message is the reason that a skipped test shows."""


class BuildFailed(Exception):
    """Maven did not build an engine; the message ends with what Maven said."""


ELASTICSEARCH = Engine(
    name="elasticsearch",
    project=Path(__file__).parent / "elasticsearch",
    main="engines.elasticsearch.Main",
    classpath=("dist/lib/*.jar",),
    flags=("-Des.distribution.type=tar", "-Des.dist={target}/dist"),
)
OPENSEARCH = Engine(
    name="opensearch",
    project=Path(__file__).parent / "opensearch",
    main="engines.opensearch.Main",
    classpath=("opensearch-node-1.jar", "lib/*.jar"),
    flags=("-Djava.locale.providers=SPI,CLDR", "-Djna.nosys=true", "-Dfile.encoding=UTF-8"),
)
ENGINES = (ELASTICSEARCH, OPENSEARCH)


def is_built(engine: Engine) -> bool:
    """Say whether the target folder holds what the project's files describe now."""
    stamp = _stamp(engine)
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == _fingerprint(engine)


def build(engine: Engine, jdk: Jdk, *, maven: str = "mvn", tries: int = 2) -> None:
    """Build the engine afresh; the first build ever downloads its jars, about 100 MB.

    Raises: BuildFailed, after the last try.
    """
    shutil.rmtree(engine.target, ignore_errors=True)  # jars of an older version would stay on the class path
    environment = {**os.environ, "JAVA_HOME": str(jdk.home)}
    command = [maven, "--quiet", "--batch-mode", "--no-transfer-progress", "package"]
    output = b""
    for _ in range(tries):
        done = subprocess.run(
            command, cwd=engine.project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        if done.returncode == 0:
            _stamp(engine).write_text(_fingerprint(engine), encoding="utf-8")
            return
        output = done.stdout
    raise BuildFailed(f"{engine.name} was not built, {tries} tries:\n{output.decode(errors='replace')[-LOG_TAIL:]}")


@contextmanager
def run_node(engine: Engine, *, heap: str = "256m", settings: Mapping[str, str] | None = None) -> Iterator[Node]:
    """Start one node on a free loopback port, its data in a temporary folder, and stop it at the end.

    settings: of the engine, over the defaults of its Main. The node also ends when this process does.
    Raises: EngineUnavailable where there is nothing to start; RuntimeError with the node's log when it does not start.
    """
    jdk = _ready(engine)
    with tempfile.TemporaryDirectory(prefix=f"{engine.name}-") as folder, Path(folder, "stderr").open("w+b") as log:
        options = [f"{name}={value}" for name, value in (settings or {}).items()]
        command = [*_java_command(engine, jdk, heap=heap, temporary=folder), *options]
        with _started(command, log) as process:
            yield _first_answer(engine, process, log)


def _ready(engine: Engine) -> Jdk:
    jdk = find_jdk()
    if jdk is None:
        raise EngineUnavailable(f"no JDK {OLDEST}")
    if not is_built(engine):
        raise EngineUnavailable("not built, run: make engines" if shutil.which("mvn") else "not built, and no Maven")
    return jdk


def _java_command(engine: Engine, jdk: Jdk, *, heap: str, temporary: str) -> list[str]:
    jars = [str(jar) for pattern in engine.classpath for jar in sorted(engine.target.glob(pattern))]
    unsafe = ["--sun-misc-unsafe-memory-access=allow"] if jdk.version >= UNSAFE_FLAG_SINCE else []
    return [
        str(jdk.java),
        f"-Xms{heap}",
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",  # least memory and fewest threads
        "-XX:TieredStopAtLevel=1",  # starts faster; nothing here lives long enough for the second compiler
        "-Xlog:disable",  # the JVM's own messages would go to stdout, which is for the one JSON line
        "-Xlog:all=error:stderr",
        f"-Djava.io.tmpdir={temporary}",
        "-Djava.awt.headless=true",
        "-Dio.netty.noUnsafe=true",
        "-Dlog4j.shutdownHookEnabled=false",
        "-Dlog4j2.disable.jmx=true",
        "--enable-native-access=ALL-UNNAMED",
        *unsafe,
        *(flag.format(target=engine.target) for flag in engine.flags),
        "-cp",
        os.pathsep.join(jars),  # sorted: two runs load the same classes
        engine.main,
    ]


@contextmanager
def _started(command: Sequence[str], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as process:
        try:
            yield process
        finally:
            cast(IO[bytes], process.stdin).close()  # a node closes itself when its stdin does
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _first_answer(engine: Engine, process: subprocess.Popen[bytes], log: IO[bytes]) -> Node:
    timer = threading.Timer(START_SECONDS, process.kill)
    timer.start()
    try:
        line = next((line for line in cast(IO[bytes], process.stdout) if line.startswith(b"{")), None)
    finally:
        timer.cancel()
    if line is None:
        log.seek(0)
        tail = log.read().decode(errors="replace")[-LOG_TAIL:]
        raise RuntimeError(f"{engine.name} did not start (exit code {process.wait()}):\n{tail}")
    return Node(**json.loads(line))


def _stamp(engine: Engine) -> Path:
    return engine.target / "built-from"


def _fingerprint(engine: Engine) -> str:
    """Hash names and contents: a fresh clone has no modification times that mean anything."""
    digest = hashlib.sha256()
    for file in [engine.project / "pom.xml", *sorted((engine.project / "src").rglob("*"))]:
        if file.is_file():
            digest.update(f"{file.relative_to(engine.project).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()
