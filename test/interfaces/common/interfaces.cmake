# Builds the interfaces below a stand-in's folder.
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
set(needed builtin_interfaces std_msgs geometry_msgs trajectory_msgs action_msgs)
foreach(package ${needed})
  find_package(${package} REQUIRED)
endforeach()
file(GLOB interfaces CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} "msg/*.msg" "srv/*.srv" "action/*.action")
rosidl_generate_interfaces(${PROJECT_NAME} ${interfaces} DEPENDENCIES ${needed})
# See the CMakeLists.txt of lfm_voice_ros: its numpy headers can't be exported from below the source folder.
set_target_properties(${PROJECT_NAME}__rosidl_generator_py PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "")
ament_package()
