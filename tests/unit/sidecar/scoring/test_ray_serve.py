"""The deployment's arguments, without a cluster: ours, the program's settings, and what is refused."""

from typing import Any

import pytest

from sidecar.errors import ConfigError

ray_serve = pytest.importorskip("sidecar.scoring.ray_serve", reason="the extra `ray` is not installed")


def test_arguments_and_settings_are_told_apart() -> None:
    """On a command line all are texts, in a file they are what they are."""
    for gpus, test in (("0.5", "true"), (0.5, True)):
        given = {"gpus": gpus, "allow_test_scorers": test, "max_replicas": "4", "model.name": "offline"}
        arguments, flags = ray_serve.Arguments.split(given)
        assert (0.5, True, 1, 4) == (
            arguments.gpus,
            arguments.allow_test_scorers,
            arguments.min_replicas,
            arguments.max_replicas,
        )
        assert {"model.name": "offline"} == flags


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"gpus": "many"}, "gpus: got 'many', expected float"),
        ({"allow_test_scorers": "perhaps"}, "allow_test_scorers"),
        ({"modle.name": "offline"}, "modle"),
        ({"replicas": "3"}, "replicas"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], words: str) -> None:
    """Before anything is deployed, in words that name it."""
    with pytest.raises(ConfigError, match=words):
        ray_serve.app(given)


def test_replicas_are_fixed_or_follow_the_load() -> None:
    """They follow it where there may be more of them."""
    fixed = ray_serve.app({"min_replicas": "3"})._bound_deployment
    assert (3, None) == (fixed.num_replicas, fixed._deployment_config.autoscaling_config)
    following = ray_serve.app({"max_replicas": "5", "gpus": "0.25"})._bound_deployment
    scaling = following._deployment_config.autoscaling_config
    assert (1, 5, 8.0) == (scaling.min_replicas, scaling.max_replicas, scaling.target_ongoing_requests)
    assert 0.25 == following.ray_actor_options["num_gpus"]
