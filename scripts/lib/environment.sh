# Sourced by the scripts beside it: which environment is used and how it is entered. Needs $here, the repository.

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
make_dir() { mkdir -p "$1" && printf '%s\n' "$1"; }

# Sets ros_from (system or wheels), distro, env_dir and venv.
select_environment() {
  if [ -n "${ROS_DISTRO:-}" ]; then
    ros_from=system
    distro=$ROS_DISTRO
    case $distro in
      foxy | galactic | humble | iron) die "ROS 2 '$distro' has no Python 3.12; source Jazzy or newer, or unset ROS_DISTRO to use the wheels" ;;
    esac
    [ -n "${AMENT_PREFIX_PATH:-}" ] ||
      die "ROS_DISTRO is '$distro', but ROS 2 is not sourced: source /opt/ros/$distro/setup.bash, or unset ROS_DISTRO to use the wheels"
    if [ -n "${LFM_VOICE_DISTRO:-}" ] && [ "$LFM_VOICE_DISTRO" != "$distro" ]; then
      die "a ROS 2 '$distro' is sourced but '$LFM_VOICE_DISTRO' was asked for; open a shell without a sourced ROS 2 to use the wheels"
    fi
    env_dir=$here/.work/$distro-system
  else
    ros_from=wheels
    distro=${LFM_VOICE_DISTRO:-jazzy}
    [ -f "$here/requirements/ros-$distro.txt" ] || die "there are no ROS 2 wheels for '$distro' here; choose jazzy or kilted"
    env_dir=$here/.work/$distro
  fi
  venv=$env_dir/venv
}

# Puts the environment's Python and ROS 2 on the paths of this shell.
enter_ros() {
  # The safe path keeps the sources in the current folder from hiding the built package, which has the messages.
  export VIRTUAL_ENV=$venv PATH=$venv/bin:$PATH PYTHONSAFEPATH=1
  [ "$ros_from" = system ] && return
  local libraries
  libraries=$(find "$venv/lib/python3.12/site-packages" -maxdepth 1 -name 'ros_*.libs' | paste -sd:)
  export AMENT_PREFIX_PATH=$venv CMAKE_PREFIX_PATH=$venv ROS_VERSION=2 ROS_PYTHON_VERSION=3
  export RMW_IMPLEMENTATION=${RMW_IMPLEMENTATION:-rmw_fastrtps_cpp}
  # Set here, so that the wheels need not execute each Python program a second time to set it.
  export LD_LIBRARY_PATH=$venv/lib${libraries:+:$libraries}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
}

# enter_ros, and the built package above it; with LFM_VOICE_STAND_INS=yes also the interfaces for the tests.
enter_workspace() {
  enter_ros
  set +u
  # shellcheck disable=SC1091
  source "$env_dir/install/local_setup.bash"
  if [ "${LFM_VOICE_STAND_INS:-}" = yes ]; then
    # shellcheck disable=SC1091
    source "$env_dir/stand_ins/common/local_setup.bash"
  fi
  set -u
}
