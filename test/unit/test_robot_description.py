"""What is read from a URDF: limits, speeds, axes, and what is wrong with it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from lfm_voice_ros.core.robot_description import DescriptionError, geometry_in, narrowed, read_joints
from lfm_voice_ros.core.settings import PanTiltSettings

SETTINGS = PanTiltSettings(pan_joint="pan", tilt_joint="tilt")
PAN_LIMIT = '<limit lower="-1.2" upper="2.0" velocity="1.0" effort="1"/>'
TILT_LIMIT = '<limit lower="-0.5" upper="0.4" velocity="3.0" effort="1"/>'


def urdf(
    pan: str = PAN_LIMIT,
    tilt: str = TILT_LIMIT,
    *,
    pan_kind: str = "revolute",
    tilt_kind: str = "revolute",
    tilt_origin: str = 'xyz="0.1 0.03 0.05"',
    tilt_axis: str = "0 1 0",
    pan_origin: str = 'xyz="0.2 0 0.6"',
    tilt_parent: str = "bracket",
) -> str:
    return f"""<?xml version="1.0"?>
<!-- A head on a torso, with a bracket between its two links. -->
<robot name="test">
  <link name="torso"/><link name="pan_link"/><link name="bracket"/><link name="tilt_link"/>
  <joint name="pan" type="{pan_kind}">
    <parent link="torso"/><child link="pan_link"/><origin {pan_origin}/><axis xyz="0 0 1"/>{pan}
  </joint>
  <joint name="bracket_joint" type="fixed">
    <parent link="pan_link"/><child link="bracket"/><origin xyz="0.02 0 0"/>
  </joint>
  <joint name="tilt" type="{tilt_kind}">
    <parent link="{tilt_parent}"/><child link="tilt_link"/><origin {tilt_origin}/><axis xyz="{tilt_axis}"/>{tilt}
  </joint>
  <gazebo><joint name="no_joint_of_ours"/></gazebo>
  <ros2_control name="head" type="system"><joint name="pan"><command_interface name="position"/></joint></ros2_control>
</robot>"""


def test_the_narrower_of_the_parameters_and_the_description_wins() -> None:
    both = narrowed(SETTINGS, read_joints(urdf()))

    assert (both.pan_min, both.pan_max) == (-1.2, 1.57)
    assert (both.tilt_min, both.tilt_max) == (-0.5, 0.4)
    assert both.max_speed == 1.0


def test_a_joint_that_counts_the_other_way_has_its_limits_turned_round() -> None:
    both = narrowed(replace(SETTINGS, pan_sign=-1.0, tilt_sign=-1.0), read_joints(urdf()))

    assert (both.pan_min, both.pan_max) == (-1.57, 1.2)
    assert (both.tilt_min, both.tilt_max) == (-0.4, 0.5)


def test_a_continuous_joint_has_the_limits_of_the_parameters() -> None:
    both = narrowed(SETTINGS, read_joints(urdf('<limit velocity="0.7" effort="1"/>', pan_kind="continuous")))

    assert (both.pan_min, both.pan_max, both.max_speed) == (-1.57, 1.57, 0.7)
    assert narrowed(SETTINGS, read_joints(urdf("", pan_kind="continuous"))).max_speed == 1.5


def test_soft_limits_are_kept() -> None:
    soft = '<safety_controller k_velocity="1" soft_lower_limit="-1.1" soft_upper_limit="1.0"/>'

    both = narrowed(SETTINGS, read_joints(urdf(PAN_LIMIT + soft)))

    assert (both.pan_min, both.pan_max) == (-1.1, 1.0)


def test_a_speed_of_zero_stands_for_unknown() -> None:
    both = narrowed(SETTINGS, read_joints(urdf('<limit lower="-1" upper="1" velocity="0" effort="0"/>')))

    assert both.max_speed == 1.5


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("no xml", "is no XML"),
        ("<sdf/>", "is no URDF: it begins with <sdf>"),
        ('<!DOCTYPE robot [<!ENTITY a "b">]><robot>&a;</robot>', "has a DTD"),
        (urdf("", pan_kind="revolute"), "'pan' is revolute and has no <limit>"),
        (urdf('<limit lower="low" upper="1" velocity="1"/>'), "'pan' has lower 'low'.*is no number"),
        (urdf(pan_origin='xyz="0 0"'), "'pan' has xyz '0 0'.*not three numbers"),
    ],
)
def test_what_is_no_description_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(DescriptionError, match=complaint):
        read_joints(text)


@pytest.mark.parametrize(
    ("settings", "text", "complaint"),
    [
        (replace(SETTINGS, pan_joint="neck"), urdf(), "no joint 'neck'; set pan_joint to one of: pan, tilt"),
        (SETTINGS, urdf(pan_kind="fixed"), "'pan' is fixed.*one that turns"),
        (replace(SETTINGS, pan_min=-1.57, pan_max=-1.3), urdf(), "nothing is left"),
        (SETTINGS, "<robot/>", r"one of: \(none turns\)"),
    ],
)
def test_joints_that_are_no_head_are_refused(settings: PanTiltSettings, text: str, complaint: str) -> None:
    with pytest.raises(DescriptionError, match=complaint):
        narrowed(settings, read_joints(text))


def test_the_axes_are_found_through_fixed_joints() -> None:
    geometry = geometry_in(SETTINGS, read_joints(urdf()))

    assert geometry.frame == "torso"
    assert geometry.origin == pytest.approx((0.2, 0.0, 0.6))
    assert (geometry.tilt_forward, geometry.tilt_up) == pytest.approx((0.12, 0.05))
    assert geometry.angles((1.2, 1.0, 0.65))[0] == pytest.approx(math.pi / 4.0)


def test_a_tilt_joint_that_counts_upwards_and_a_turned_parent_give_the_same_head() -> None:
    """As in TIAGo and Stretch: the tilt axis points to the right, and the parent's frame isn't upright."""
    quarter = math.pi / 2.0
    lying = urdf(
        pan_origin=f'xyz="0.2 0 0.6" rpy="0 {quarter} 0"',
        tilt_origin=f'xyz="0.1 0.03 0.05" rpy="{quarter} 0 0"',
        tilt_axis="0 0 1",
    )

    geometry = geometry_in(replace(SETTINGS, tilt_sign=-1.0), read_joints(lying))

    # Up is the parent's x, forward its -z.
    forward, left, up = geometry.basis
    assert forward == pytest.approx((0.0, 0.0, -1.0), abs=1e-9)
    assert left == pytest.approx((0.0, 1.0, 0.0), abs=1e-9)
    assert up == pytest.approx((1.0, 0.0, 0.0), abs=1e-9)
    pan, tilt = geometry.angles((0.2 + 0.05 + 1.0, 1.0, 0.6))
    assert pan == pytest.approx(quarter)
    assert tilt < 0.0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (urdf(tilt_axis="0 0 1"), "not at right angles"),
        (urdf(tilt_axis="0 0 0"), "length zero"),
        (urdf(tilt_parent="torso"), "doesn't hang from 'pan'"),
    ],
)
def test_axes_that_can_not_be_pointed_are_told(text: str, complaint: str) -> None:
    with pytest.raises(DescriptionError, match=complaint):
        geometry_in(SETTINGS, read_joints(text))
