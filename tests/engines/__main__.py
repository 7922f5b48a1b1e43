"""`python -m tests.engines`: builds what is not built yet; the recipe of `make engines`.

Its one law: a machine without a JDK or Maven is no failure, since the tests then skip and say so. A failed build is.
"""

import shutil
import sys

from tests.engines.jdk import OLDEST, find_jdk
from tests.engines.nodes import ENGINES, BuildFailed, build, is_built


def main() -> int:
    """Build both engines where they can be built; return the exit code."""
    pending = [engine for engine in ENGINES if not is_built(engine)]
    jdk, maven = find_jdk(), shutil.which("mvn")
    if not pending:
        return 0
    if jdk is None or maven is None:
        _say(f"skipped: no {f'JDK {OLDEST}' if jdk is None else 'Maven'}")
        return 0
    for engine in pending:
        _say(f"building {engine.name} with the JDK in {jdk.home}; the first build downloads about 100 MB")
        try:
            build(engine, jdk, maven=maven)
        except BuildFailed as failure:
            _say(str(failure))
            return 1
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"real engines: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
