"""A Ray cluster of two nodes on this machine that serves scorers: a program that takes orders on standard input.

A process of its own, so that Ray's threads, warnings and sockets are not the tests'. It says what it has done, a line
for each order, and ends with its input.
"""

import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import ray
from ray import serve
from ray.cluster_utils import Cluster

from sidecar.scoring.ray_serve import NAME, app

OBJECT_STORE_BYTES = 80 * 1024 * 1024
NODE = {
    "num_cpus": 4,
    "object_store_memory": OBJECT_STORE_BYTES,
    "include_dashboard": False,
}
HEAD = {**NODE, "num_cpus": 2}  # so that no node holds all replicas


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def deploy(arguments: Mapping[str, Any]) -> None:
    """Deploy the application, and say so when all of its replicas are there."""
    serve.run(app(arguments), route_prefix="/")
    say("deployed")


def replicas() -> list[Mapping[str, Any]]:
    """Return the actors of the replicas that run, as Ray's control store lists them."""
    from ray._private.state import actors  # the public listing wants a dashboard

    listed = actors().values()
    return [each for each in listed if each["State"] == "ALIVE" and f"#{NAME}#" in (each["Name"] or "")]


def main(port: int, *words: str) -> None:
    """Begin the cluster, deploy, and take orders."""
    cluster = Cluster(initialize_head=True, head_node_args=HEAD)
    second = cluster.add_node(**NODE)
    ray.init(address=cluster.address, logging_level="error", log_to_driver="RAY_TEST_LOG" in os.environ)
    serve.start(http_options={"host": "127.0.0.1", "port": port}, proxy_location="HeadOnly")
    arguments = dict(word.split("=", 1) for word in words)
    deploy(arguments)
    for line in sys.stdin:
        match line.split():
            case ["end"]:
                break
            case ["kill"]:
                victim = replicas()[0]
                os.kill(victim["Pid"], signal.SIGKILL)
                say(f"killed {victim['Pid']}")
            case ["remove"]:
                cluster.remove_node(second, allow_graceful=False)
                say("removed")
            case ["add"]:
                second = cluster.add_node(**NODE)
                say("added")
            case ["scale", count]:
                deploy({**arguments, "min_replicas": count})
            case ["count"]:
                say(f"replicas {len(replicas())}")
            case ["nodes"]:
                say(f"nodes {len({each['Address']['NodeID'] for each in replicas()})}")
    serve.shutdown()
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
