"""Pointing: signs, offsets of the axes, and frames."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfm_voice_ros.core.pointing import HeadGeometry, PointingError, geometry_of, transformed
from lfm_voice_ros.core.settings import PanTiltSettings

BARE = HeadGeometry("base_link")
FETCH = HeadGeometry("torso_lift_link", (0.053125, 0.0, 0.603), tilt_forward=0.14253, tilt_up=0.058)


@pytest.mark.parametrize(
    ("point", "pan", "tilt"),
    [
        ((1.0, 0.0, 0.0), 0.0, 0.0),
        ((1.0, 1.0, 0.0), 45.0, 0.0),  # to the left
        ((1.0, -1.0, 0.0), -45.0, 0.0),  # to the right
        ((1.0, 0.0, 1.0), 0.0, -45.0),  # up
        ((1.0, 0.0, -1.0), 0.0, 45.0),  # down
        ((0.0, 1.0, 1.0), 90.0, -45.0),
        ((-1.0, 0.0, 0.0), 180.0, 0.0),
    ],
)
def test_pan_is_positive_to_the_left_and_tilt_is_positive_down(
    point: tuple[float, float, float], pan: float, tilt: float
) -> None:
    assert BARE.angles(point) == pytest.approx((math.radians(pan), math.radians(tilt)))


def test_the_axes_offsets_count() -> None:
    pan, tilt = FETCH.angles((0.053125 + 0.14253, 0.0, 1.603))
    assert (pan, tilt) == pytest.approx((0.0, -math.pi / 2.0))

    pan, tilt = FETCH.angles((0.053125, 1.14253, 0.661))
    assert (pan, tilt) == pytest.approx((math.pi / 2.0, 0.0))


ANGLES = st.tuples(st.floats(-3.0, 3.0), st.floats(-1.4, 1.4))
TURNED = HeadGeometry(
    "mast", (0.1, -0.2, 0.3), ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), tilt_forward=0.05, tilt_up=0.02
)


@pytest.mark.parametrize("geometry", [BARE, FETCH, TURNED])
@given(position=ANGLES)
def test_a_head_looks_at_the_place_of_its_own_angles(geometry: HeadGeometry, position: tuple[float, float]) -> None:
    place = geometry.place(position)

    assert geometry.angles(place) == pytest.approx(position, abs=1e-6)
    assert geometry.off(position, place) == pytest.approx(0.0, abs=1e-6)


def test_the_error_is_the_angle_between_the_line_of_sight_and_the_point() -> None:
    assert BARE.off((0.0, 0.0), (1.0, 1.0, 0.0)) == pytest.approx(math.pi / 4.0)
    assert BARE.off((0.0, 0.2), (2.0, 0.0, 0.0)) == pytest.approx(0.2)
    assert BARE.off((0.0, 0.0), (-1.0, 0.0, 0.0)) == pytest.approx(math.pi)


@pytest.mark.parametrize(
    ("geometry", "point"), [(BARE, (0.0, 0.0, 1.0)), (FETCH, (0.053125 + 0.14253, 0.0, 0.661)), (BARE, (0.0, 0.0, 0.0))]
)
def test_a_point_in_an_axis_is_refused(geometry: HeadGeometry, point: tuple[float, float, float]) -> None:
    with pytest.raises(PointingError, match="in an axis of the head"):
        geometry.angles(point)


def test_the_parameters_tell_the_geometry() -> None:
    settings = PanTiltSettings(
        head_frame="torso", pan_axis_x=0.1, pan_axis_y=0.2, pan_axis_z=0.3, tilt_axis_x=0.4, tilt_axis_z=0.5
    )

    assert geometry_of(settings) == HeadGeometry("torso", (0.1, 0.2, 0.3), tilt_forward=0.4, tilt_up=0.5)


def test_a_transform_turns_and_shifts() -> None:
    half = math.sqrt(0.5)

    left = transformed((1.0, 0.0, 0.0), (0.0, 0.0, 0.5), (0.0, 0.0, half, half))
    assert left == pytest.approx((0.0, 1.0, 0.5))
    up = transformed((1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, -half, 0.0, half))
    assert up == pytest.approx((0.0, 0.0, 1.0))


@pytest.mark.parametrize("rotation", [(0.0, 0.0, 0.0, 0.0), (math.nan, 0.0, 0.0, 1.0), (3.0, 0.0, 0.0, 1.0)])
def test_what_is_no_rotation_is_refused(rotation: tuple[float, float, float, float]) -> None:
    with pytest.raises(PointingError, match="no valid rotation"):
        transformed((1.0, 0.0, 0.0), (0.0, 0.0, 0.0), rotation)
