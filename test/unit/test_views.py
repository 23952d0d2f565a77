"""The files that show the robot: its URDF, the views of RViz and rqt, the controllers, the containers."""

from __future__ import annotations

import ast
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
import yaml
from robot import JOINTS, REPOSITORY, ROBOT, attribute, pose_of

from lfm_voice_ros.core.markers import COMMAND, HEARD, SAID, direction
from lfm_voice_ros.core.settings import MarkersSettings, PanTiltSettings

HEAD = PanTiltSettings()


def test_the_head_is_one_tree_with_its_root_at_the_base() -> None:
    links = {link.get("name") for link in ROBOT.findall("link")}
    children = [attribute(joint, "child", "link") for joint in JOINTS.values()]

    assert len(children) == len(set(children))
    assert links - set(children) == {MarkersSettings().frame}
    assert {attribute(joint, "parent", "link") for joint in JOINTS.values()} <= links


@pytest.mark.parametrize(
    ("joint", "lowest", "highest"),
    [(HEAD.pan_joint, HEAD.pan_min, HEAD.pan_max), (HEAD.tilt_joint, HEAD.tilt_min, HEAD.tilt_max)],
)
def test_the_joints_have_the_limits_that_pan_tilt_keeps_to(joint: str, lowest: float, highest: float) -> None:
    limits = {name: float(attribute(JOINTS[joint], "limit", name)) for name in ("lower", "upper", "velocity")}

    assert limits == {"lower": lowest, "upper": highest, "velocity": HEAD.max_speed}


@pytest.mark.parametrize(("pan", "tilt"), [(0.0, 0.0), (0.7, 0.0), (0.0, 0.5), (-1.2, -0.6), (1.57, 0.79)])
def test_the_camera_looks_where_pan_tilt_and_the_arrows_say(pan: float, tilt: float) -> None:
    angles = {HEAD.pan_joint: HEAD.pan_sign * pan, HEAD.tilt_joint: HEAD.tilt_sign * tilt}
    camera, optical = pose_of("head_camera_link", angles), pose_of("head_camera_optical_frame", angles)

    assert camera[:3, 0] == pytest.approx(direction(pan, tilt), abs=1e-6)
    # REP 103: an optical frame has z forward, x to the right, y down.
    assert optical[:3, 2] == pytest.approx(camera[:3, 0], abs=1e-6)
    assert optical[:3, 0] == pytest.approx(-camera[:3, 1], abs=1e-6)
    assert optical[:3, 1] == pytest.approx(-camera[:3, 2], abs=1e-6)


def test_the_arrows_begin_on_the_axis_of_tilt() -> None:
    axis = pose_of("head_tilt_link", {HEAD.pan_joint: 0.4, HEAD.tilt_joint: 0.0})

    assert axis[:3, 3] == pytest.approx([0.0, 0.0, MarkersSettings().axis_height])


@pytest.mark.parametrize(
    "link", [link.get("name") for link in ROBOT.findall("link") if link.find("inertial") is not None]
)
def test_masses_and_inertias_are_those_of_a_body(link: str) -> None:
    inertial = ROBOT.find(f"link[@name='{link}']/inertial")
    assert inertial is not None
    x, y, z = sorted(float(attribute(inertial, "inertia", name)) for name in ("ixx", "iyy", "izz"))
    mass = float(attribute(inertial, "mass", "value"))

    assert 0.01 < mass < 1.0
    assert x > 0.0
    assert z < x + y
    assert math.sqrt(z / mass) < 0.06  # its radius of gyration: no larger than the part


def test_mock_hardware_and_controllers_drive_the_joints_of_the_head() -> None:
    control = ElementTree.parse(REPOSITORY / "urdf/pan_tilt_head.ros2_control.xml").getroot()
    controllers = yaml.safe_load((REPOSITORY / "config/head_controllers.yaml").read_text())
    head = controllers["/**/head_controller"]["ros__parameters"]
    system = control.find("ros2_control")
    assert system is not None

    assert [joint.get("name") for joint in system.findall("joint")] == [HEAD.pan_joint, HEAD.tilt_joint]
    assert head["joints"] == [HEAD.pan_joint, HEAD.tilt_joint]
    for joint in system.findall("joint"):
        for kind in ("command", "state"):
            there = {one.get("name") for one in joint.findall(f"{kind}_interface")}
            assert set(head[f"{kind}_interfaces"]) <= there


def test_the_xacro_file_holds_nothing_but_the_two_others() -> None:
    xacro = pytest.importorskip("xacro", reason="xacro is not installed")
    file = str(REPOSITORY / "urdf/pan_tilt_head.urdf.xacro")

    def parts(**arguments: str) -> list[tuple[str, str | None]]:
        robot = ElementTree.fromstring(xacro.process_file(file, mappings=arguments).toxml())
        return [(part.tag, part.get("name")) for part in robot]

    head = [(part.tag, part.get("name")) for part in ROBOT]
    assert parts() == head
    assert parts(ros2_control="true") == [*head, ("ros2_control", "pan_tilt_head")]


def _display(kind: str) -> dict[str, Any]:
    view = yaml.safe_load((REPOSITORY / "rviz/assistant.rviz").read_text())["Visualization Manager"]
    assert view["Global Options"]["Fixed Frame"] == MarkersSettings().frame
    (display,) = (one for one in view["Displays"] if one["Class"] == f"rviz_default_plugins/{kind}")
    assert display["Enabled"] is True
    return dict(display)


def test_rviz_shows_the_model_and_the_markers_of_the_namespace_it_runs_in() -> None:
    assert _display("TF")
    assert _display("RobotModel")["Description Topic"]["Value"] == "robot_description"
    markers = _display("MarkerArray")
    assert markers["Topic"]["Value"] == "markers"
    assert set(markers["Namespaces"]) == {HEARD, SAID, COMMAND}


def test_the_rqt_perspective_opens_its_plugins_with_values_that_rqt_can_read() -> None:
    def values(group: dict[str, Any]) -> dict[str, Any]:
        assert all(value["type"] == "repr" for value in group["keys"].values())
        return {key: ast.literal_eval(value["repr"]) for key, value in group["keys"].items()}

    perspective = json.loads((REPOSITORY / "config/assistant.perspective").read_text())
    manager = perspective["groups"]["pluginmanager"]
    running = values(manager)["running-plugins"]
    assert set(running) == {
        "rqt_plot/Plot",
        "rqt_reconfigure/Param",
        "rqt_robot_monitor/RobotMonitor",
        "rqt_topic/TopicPlugin",
    }
    plot = values(manager["groups"]["plugin__rqt_plot__Plot__1"]["groups"]["plugin"])
    assert plot["topics"] == [
        "/joint_states/position[0]",
        "/joint_states/position[1]",
        "/head/state/target_pan",
        "/head/state/target_tilt",
    ]


def test_the_containers_run_launch_files_that_there_are() -> None:
    compose = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
    stages = re.findall(r"^FROM .* AS (\w+)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    for service in compose["services"].values():
        assert service["build"]["target"] in stages
        assert (service["network_mode"], service["ipc"]) == ("host", "host")
        assert (REPOSITORY / "launch" / service["command"].split()[3]).exists()
