"""A claimed domain is nobody else's."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.demo.domain import claim_domain


def test_two_claims_give_two_domains(tmp_path: Path) -> None:
    with claim_domain(folder=tmp_path) as first, claim_domain(folder=tmp_path) as second:
        assert first != second


def test_a_claim_that_has_ended_is_free_again(tmp_path: Path) -> None:
    with claim_domain(folder=tmp_path) as first:
        pass
    with claim_domain(domains=[first], folder=tmp_path) as second:
        assert second == first


def test_a_claim_that_ends_in_an_error_is_free_again(tmp_path: Path) -> None:
    with pytest.raises(KeyError), claim_domain(folder=tmp_path) as first:
        raise KeyError
    with claim_domain(domains=[first], folder=tmp_path) as second:
        assert second == first


def test_a_domain_on_which_somebody_listens_is_passed_over(tmp_path: Path) -> None:
    with claim_domain(folder=tmp_path) as domain:
        pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(("", 7400 + 250 * domain))
        with (
            pytest.raises(ResourceError, match="no ROS domain id is free"),
            claim_domain(domains=[domain], folder=tmp_path),
        ):
            pass


def test_when_all_are_held_a_sentence_says_what_to_do(tmp_path: Path) -> None:
    with (
        claim_domain(folder=tmp_path) as only,
        pytest.raises(ResourceError, match="end other ROS programs"),
        claim_domain(domains=[only], folder=tmp_path),
    ):
        pass
