"""Start the head of urdf/pan_tilt_head.urdf: its frames, its joints, and with rviz:=true the view of it."""

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node, PushRosNamespace
from launch_ros.parameter_descriptions import ParameterValue

SHARE = Path(get_package_share_directory("lfm_voice_ros"))

#: What head:=ros2_control needs, as packages of the ROS distribution.
CONTROL = (
    "robot_state_publisher",
    "controller_manager",
    "joint_state_broadcaster",
    "joint_trajectory_controller",
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; what is started is decided when their values are known."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "head",
                default_value="auto",
                choices=["auto", "ros2_control", "sim", "external"],
                description="What moves the joints: ros2_control (controller_manager with mock hardware, "
                "joint_state_broadcaster and a joint_trajectory_controller named head_controller), sim (pan_tilt_sim), "
                "external (something that runs already), or auto (ros2_control where it is installed, else sim).",
            ),
            DeclareLaunchArgument(
                "rviz",
                default_value="false",
                choices=["true", "false"],
                description="true: RViz with the head, and the node markers: what was heard and said above it, and an "
                "arrow to where a command will turn it.",
            ),
            DeclareLaunchArgument(
                "description",
                default_value="",
                description="A URDF file of the robot. Empty: the package's pan_tilt_head.urdf.",
            ),
            DeclareLaunchArgument("namespace", default_value="", description="Namespace of all nodes and topics."),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(SHARE / "config" / "assistant.yaml"),
                description="Parameters of pan_tilt_sim and markers.",
            ),
            OpaqueFunction(function=_head),
        ]
    )


def _head(context: LaunchContext) -> list:
    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    def own(name: str) -> Node:
        return Node(
            package="lfm_voice_ros", executable=name, name=name, output="screen", parameters=[value("params_file")]
        )

    said: list[str] = []
    mover = value("head")
    if mover in ("auto", "ros2_control"):
        missing = [package for package in CONTROL if not _installed(package)]
        if missing:
            said.append(f"{_not_there(missing)}; pan_tilt_sim moves the head instead")
        mover = "sim" if missing else "ros2_control"
    description = Path(value("description")).expanduser() if value("description") else SHARE / "urdf/pan_tilt_head.urdf"
    control = SHARE / "urdf" / "pan_tilt_head.ros2_control.xml" if mover == "ros2_control" else None

    started: list = []
    if _installed("robot_state_publisher"):
        started.append(
            Node(
                package="robot_state_publisher",
                executable="robot_state_publisher",
                output="screen",
                parameters=[{"robot_description": ParameterValue(_robot(description, control), value_type=str)}],
            )
        )
    else:
        said.append(f"{_not_there(['robot_state_publisher'])}; there are no frames and no model of the head")
    if mover == "sim":
        started.append(own("pan_tilt_sim"))
    elif mover == "ros2_control":
        started += _controllers()
    if value("rviz") == "true":
        started.append(own("markers"))
        view = SHARE / "rviz" / "assistant.rviz"
        if _installed("rviz2"):
            started.append(Node(package="rviz2", executable="rviz2", output="log", arguments=["-d", str(view)]))
        else:
            said.append(f"{_not_there(['rviz2'])}; on another machine: rviz2 -d {view.name}, with the file {view}")
    return [*(LogInfo(msg=line) for line in said), GroupAction([PushRosNamespace(value("namespace")), *started])]


def _controllers() -> list:
    """The controller manager, which reads the topic robot_description, and what loads its two controllers in turn."""
    file = str(SHARE / "config" / "head_controllers.yaml")
    return [
        Node(package="controller_manager", executable="ros2_control_node", output="screen", parameters=[file]),
        Node(
            package="controller_manager",
            executable="spawner",
            output="screen",
            arguments=["joint_state_broadcaster", "head_controller", "--param-file", file],
        ),
    ]


def _robot(description: Path, control: Path | None) -> str:
    """The URDF, with the ros2_control of a second file put into it."""
    robot = ElementTree.parse(description).getroot()
    if control is not None:
        robot.extend(ElementTree.parse(control).getroot())
    return ElementTree.tostring(robot, encoding="unicode")


def _installed(package: str) -> bool:
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def _not_there(packages: list) -> str:
    distribution = os.environ.get("ROS_DISTRO", "$ROS_DISTRO")
    debian = " ".join(f"ros-{distribution}-{package.replace('_', '-')}" for package in packages)
    return f"{', '.join(packages)}: not installed (sudo apt install {debian})"
