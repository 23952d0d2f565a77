"""A domain for the worker's session; nodes and probes that end with their test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import NodeProcess, Probe

from lfm_voice_ros.demo.domain import claim_domain


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what fails here once more, as ROS's own build farm does (``--retest-until-pass``).

    Three tests at a time share two cores, and each has several processes that find one another in a time of their own.
    """
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def domain() -> Iterator[int]:
    """A ROS domain that nobody else uses while this test process runs; it is in the environment of all nodes."""
    with claim_domain() as number, pytest.MonkeyPatch.context() as environment:
        environment.setenv("ROS_DOMAIN_ID", str(number))
        environment.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        for unwanted in ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS", "FASTDDS_DEFAULT_PROFILES_FILE", "CYCLONEDDS_URI"):
            environment.delenv(unwanted, raising=False)
        distro = os.environ.get("ROS_DISTRO") or os.environ.get("LFM_VOICE_DISTRO", "jazzy")
        if distro == "jazzy":  # the Fast DDS of later ones has other names
            profiles = Path(__file__).parents[1] / "support" / "fastdds.xml"
            environment.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(profiles))
        yield number
        assert os.environ["ROS_DOMAIN_ID"] == str(number), "a test has changed ROS_DOMAIN_ID for those after it"


@pytest.fixture
def start(domain: int) -> Iterator[Callable[..., NodeProcess]]:
    """Start nodes, with the arguments of NodeProcess; they end with the test, and a failure shows what they wrote."""
    nodes: list[NodeProcess] = []

    def start_node(executable: str, **options: object) -> NodeProcess:
        nodes.append(NodeProcess(executable, **options))  # type: ignore[arg-type]
        return nodes[-1]

    yield start_node
    for node in reversed(nodes):
        node.kill()
        print(f"--- {node.executable} ({node.pid}) wrote:\n{node.output}")


@pytest.fixture
def probe(domain: int) -> Iterator[Probe]:
    """A probe in the session's domain, of this test alone."""
    created = Probe()
    yield created
    created.close()
