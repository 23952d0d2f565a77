"""Start the robot's side of an assistant on two machines: microphone, speaker and head.

The arguments are those of assistant.launch.py.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource


def generate_launch_description() -> LaunchDescription:
    """Include assistant.launch.py, as this part of it."""
    assistant = PythonLaunchDescriptionSource(str(Path(__file__).with_name("assistant.launch.py")))
    return LaunchDescription([IncludeLaunchDescription(assistant, launch_arguments=[("part", "robot")])])
