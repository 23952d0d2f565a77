# The assistant in a workspace, the ROS way: rosdep for what has keys, scripts/setup for the rest, colcon.
#
#   docker build -t lfm_voice_ros .                                     Jazzy
#   docker build -t lfm_voice_ros --build-arg ROS_DISTRO=kilted .
#   docker build -t lfm_voice_ros --build-arg SETUP="--lfm" .           with LFM2-Audio
#   docker build -t lfm_voice_ros:view --target view .                  with RViz, rqt and ros2_control
#
# compose.yaml runs them.
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base AS assistant

ARG SETUP=""
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive

# ALSA's default device, where the host shares its PulseAudio or PipeWire; Python's part that makes environments.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libasound2-plugins python3-venv \
    && rm -rf /var/lib/apt/lists/*

# The keys of package.xml before everything else: they change least.
WORKDIR /ws
COPY package.xml src/lfm_voice_ros/package.xml
RUN apt-get update \
    && rosdep update --rosdistro "$ROS_DISTRO" \
    && rosdep install --from-paths src --ignore-src --default-yes --rosdistro "$ROS_DISTRO" \
    && rm -rf /var/lib/apt/lists/*

COPY . src/lfm_voice_ros
RUN source "/opt/ros/$ROS_DISTRO/setup.bash" \
    && apt-get update \
    && src/lfm_voice_ros/scripts/setup $SETUP \
    && source "src/lfm_voice_ros/.work/$ROS_DISTRO-system/venv/bin/activate" \
    && colcon build --packages-select lfm_voice_ros \
    && rm -rf /var/lib/apt/lists/* /root/.cache log

# Not root. The group audio may use /dev/snd; models that are downloaded and recordings go into its home.
RUN useradd --create-home --groups audio robot \
    && install --directory --owner robot --group robot /home/robot/.cache /home/robot/.ros
COPY --chmod=755 docker/entrypoint /usr/local/bin/lfm-voice-entrypoint
USER robot
WORKDIR /home/robot
ENTRYPOINT ["/usr/local/bin/lfm-voice-entrypoint"]
CMD ["ros2", "launch", "lfm_voice_ros", "assistant.launch.py"]

# With what shows the head, and with mock hardware.
FROM assistant AS view
USER root
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        "ros-$ROS_DISTRO-controller-manager" \
        "ros-$ROS_DISTRO-joint-state-broadcaster" \
        "ros-$ROS_DISTRO-joint-trajectory-controller" \
        "ros-$ROS_DISTRO-robot-state-publisher" \
        "ros-$ROS_DISTRO-rqt-gui" \
        "ros-$ROS_DISTRO-rqt-plot" \
        "ros-$ROS_DISTRO-rqt-reconfigure" \
        "ros-$ROS_DISTRO-rqt-robot-monitor" \
        "ros-$ROS_DISTRO-rqt-topic" \
        "ros-$ROS_DISTRO-rviz2" \
        "ros-$ROS_DISTRO-xacro" \
    && rm -rf /var/lib/apt/lists/*
USER robot

# What is built where no target is named.
FROM assistant
