"""tool_server with the robot's own services, actions and topics, which are played in the test's process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from harness import NodeProcess, Probe
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from lfm_voice_ros.action import Say
from lfm_voice_ros.msg import ToolCall, ToolDecision, ToolResult
from lfm_voice_ros.srv import CallTool, MoveHead

NavigateToPose = pytest.importorskip("nav2_msgs.action", reason="nav2_msgs isn't installed").NavigateToPose

FILE = """
include: tools.yaml
tools:
  - name: take_picture
    description: Take a picture.
    parameters: {type: object}
    binding: {service: camera/take_picture, type: std_srvs/srv/Trigger, timeout: 3.0, words: {message: message}}
    says: {done: "Taken: {message}.", failed: "I could not take a picture: {reason}."}
  - name: charge
    description: Charge the battery.
    parameters: {type: object}
    binding: {service: charge, type: std_srvs/srv/Trigger, wait: false, limit: 100}
    says: {accepted: "I am charging.", done: "I am full.", failed: "I could not charge: {reason}."}
  - name: show_face
    description: Show a face.
    parameters: &face {type: object, properties: {face: {type: string}}, required: [face]}
    binding: {topic: face, type: std_msgs/msg/String, message: {data: {template: "face/{face}"}}}
    says: {done: "This is my {face} face.", failed: "No {face} face: {reason}."}
  - name: show_elsewhere
    description: Show a face where nobody looks.
    parameters: *face
    binding: {topic: nobody/listens, type: std_msgs/msg/String, message: {data: {argument: face}}, timeout: 0.3}
    says: {done: "This is my {face} face.", failed: "No {face} face: {reason}."}
  - name: go_to
    description: Drive to a place.
    parameters: &place {type: object, properties: {place: {type: string, enum: [kitchen, desk]}}, required: [place]}
    binding: &go
      action: navigate_to_pose
      type: nav2_msgs/action/NavigateToPose
      goal: &goal
        pose.header.frame_id: map
        pose.pose:
          argument: place
          choices:
            kitchen: {position.x: 3.5, position.y: -1, orientation: {yaw: 90}}
            desk: {position: {x: 0.5}, orientation.w: 1.0}
      wait: false
      feedback: {distance: distance_remaining, left: estimated_time_remaining}
      report_every: 0.1
    says: &says
      accepted: "I am on my way to the {place}."
      progress: "{distance} meters and {left} to the {place}."
      done: "I have arrived in the {place}."
      canceled: "I am no longer going to the {place}."
      failed: "I could not get to the {place}: {reason}."
  - name: hop_to
    description: Go to a place nearby.
    parameters: *place
    binding: {action: navigate_to_pose, type: nav2_msgs/action/NavigateToPose, goal: *goal, timeout: 4.0}
    says: {done: "I am at the {place}.", failed: "I am not at the {place}: {reason}."}
  - name: cancel
    description: Cancel what is running.
    parameters: {type: object}
    binding: {cancel: newest}
    says: {done: "{canceled}", nothing: "There is nothing to cancel.", failed: "No: {reason}."}
"""


class Trip:
    """A goal that the robot works on until the test or a cancellation says how it ends."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.over = threading.Event()
        self.end = ""

    def finish(self, end: str) -> None:
        if not self.over.is_set():
            self.end = end
            self.over.set()


class Robot:
    """A camera, a charger, a screen, wheels, a head and a voice. Methods are called from the test's thread."""

    def __init__(self, namespace: str = "") -> None:
        self.news = threading.Condition()
        self.camera = (True, "number three")
        self.silent = threading.Event()  # set: the camera answers
        self.charged = threading.Event()
        self.trips: list[Trip] = []
        self.said: list[str] = []
        self.faces: list[str] = []
        self.accepts = self.cancels = True
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        self._node = Node("robot", namespace=namespace, context=self._context)
        group = ReentrantCallbackGroup()
        self._node.create_service(Trigger, "camera/take_picture", self._take_picture, callback_group=group)
        self._node.create_service(Trigger, "charge", self._charge, callback_group=group)
        self._node.create_service(MoveHead, "head/move", lambda _, response: _moved(response), callback_group=group)
        self._node.create_subscription(String, "face", lambda msg: self._note(self.faces, msg.data), 10)
        self._navigation = ActionServer(
            self._node,
            NavigateToPose,
            "navigate_to_pose",
            self._navigate,
            goal_callback=lambda _: GoalResponse.ACCEPT if self.accepts else GoalResponse.REJECT,
            cancel_callback=self._on_cancel,
            callback_group=group,
        )
        self._voice: ActionServer | None = None
        if not namespace:
            self._voice = ActionServer(self._node, Say, "say", self._say, callback_group=group)
        self._executor = MultiThreadedExecutor(8, context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def wait_for(self, predicate: Callable[[], Any], what: str, timeout: float = 20.0) -> Any:
        """Wait until it is true; it is tried again whenever something has happened to the robot."""
        with self.news:
            value = self.news.wait_for(predicate, timeout)
        assert value, f"{what} has not happened within {timeout} s; it said {self.said}"
        return value

    def heard(self, text: str) -> None:
        """Wait until it was said."""
        self.wait_for(lambda: text in self.said, f"'{text}'")

    def trip(self) -> Trip:
        """The goal that was taken last."""
        self.wait_for(lambda: self.trips, "a goal")
        return self.trips[-1]

    def reset(self) -> None:
        """End what is running and forget what was."""
        for trip in self.trips:
            trip.finish("succeed")
        self.silent.set()
        self.charged.set()
        self.charged = threading.Event()
        self.trips.clear()
        self.said.clear()
        self.faces.clear()
        self.camera, self.accepts, self.cancels = (True, "number three"), True, True

    def close(self) -> None:
        self.reset()
        self._executor.shutdown(timeout_sec=2.0)
        self._navigation.destroy()
        if self._voice:
            self._voice.destroy()
        self._node.destroy_node()
        self._context.try_shutdown()

    def _note(self, where: list[Any], what: Any) -> None:
        with self.news:
            where.append(what)
            self.news.notify_all()

    def _take_picture(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.silent.wait(20.0)
        response.success, response.message = self.camera
        return response

    def _charge(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.charged.wait(20.0)
        response.success = True
        return response

    def _navigate(self, handle: Any) -> Any:
        trip = Trip(handle)
        self._note(self.trips, trip)
        trip.over.wait(20.0)
        while trip.end == "canceled" and not handle.is_cancel_requested:
            time.sleep(0.01)  # the state changes behind the callback that has taken the cancellation
        getattr(handle, trip.end)()
        return NavigateToPose.Result(error_msg="the door is closed." if trip.end == "abort" else "")

    def _on_cancel(self, _handle: Any) -> CancelResponse:
        if not self.cancels:
            return CancelResponse.REJECT
        self.trips[-1].finish("canceled")
        return CancelResponse.ACCEPT

    def _say(self, handle: Any) -> Say.Result:
        self._note(self.said, handle.request.text)
        handle.succeed()
        return Say.Result(state=Say.Result.FINISHED)


def _moved(response: MoveHead.Response) -> MoveHead.Response:
    response.success = True
    return response


@pytest.fixture(scope="module")
def tools_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("skills") / "skills.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture(scope="module")
def running(domain: int, tools_file: Path) -> Iterator[tuple[Robot, NodeProcess]]:
    robot = Robot()
    robot.silent.set()
    with NodeProcess("tool_server", {"tools_file": str(tools_file), "timeout": 2.0}) as server:
        # An answer is lost where the server doesn't know its client yet: DDS makes both known in its own time.
        probe = Probe("warm_up")
        answers = (call(probe, "take_picture").status == ToolResult.SUCCEEDED for _ in range(10))
        assert any(answers), server.output
        probe.close()
        yield robot, server
        print(f"--- tool_server wrote:\n{server.output}")
    robot.close()


@pytest.fixture
def robot(running: tuple[Robot, NodeProcess], probe: Probe) -> Iterator[Robot]:
    """The robot at rest, with a tool_server that knows its skills."""
    robot = running[0]
    robot.silent.set()
    yield robot
    robot.reset()
    assert not [line for line in running[1].output.splitlines() if "Traceback" in line]


def call(probe: Probe, name: str, **arguments: Any) -> ToolResult:
    request = CallTool.Request(call=ToolCall(name=name, arguments_json=json.dumps(arguments)))
    return probe.call("call_tool", CallTool, request).result


def idle(probe: Probe) -> None:
    """Wait until nothing is running: what the test before has ended is over."""
    while call(probe, "cancel").speech != "There is nothing to cancel.":
        pass


def test_a_service_is_called_and_its_answer_is_what_is_said(robot: Robot, probe: Probe) -> None:
    taken = call(probe, "take_picture")
    robot.camera = (False, "the lens: is covered.")
    failed = call(probe, "take_picture")
    robot.silent.clear()
    hanging = call(probe, "take_picture")

    assert (taken.status, taken.speech) == (ToolResult.SUCCEEDED, "Taken: number three.")
    assert json.loads(taken.result_json) == {"message": "number three"}
    assert failed.status == ToolResult.FAILED
    assert failed.speech == "I could not take a picture: the lens, is covered."
    assert hanging.status == ToolResult.TIMED_OUT
    assert hanging.speech.endswith("there was no answer, so I don't know whether it was done.")


def test_a_topic_gets_its_message_and_one_without_listeners_fails(robot: Robot, probe: Probe) -> None:
    shown = call(probe, "show_face", face="happy")
    unseen = call(probe, "show_elsewhere", face="sad")

    assert (shown.status, shown.speech) == (ToolResult.SUCCEEDED, "This is my happy face.")
    robot.wait_for(lambda: robot.faces == ["face/happy"], "the face")
    assert (unseen.status, unseen.speech) == (ToolResult.FAILED, "No sad face: nobody listens.")


def test_a_long_action_reports_its_progress_and_its_end(robot: Robot, probe: Probe) -> None:
    idle(probe)

    accepted = call(probe, "go_to", place="kitchen")

    assert (accepted.status, accepted.speech) == (ToolResult.SUCCEEDED, "I am on my way to the kitchen.")
    trip = robot.trip()
    wanted = trip.handle.request.pose
    assert (wanted.header.frame_id, wanted.pose.position.x, wanted.pose.position.y) == ("map", 3.5, -1.0)
    assert wanted.pose.orientation.z == pytest.approx(wanted.pose.orientation.w)
    feedback = NavigateToPose.Feedback(distance_remaining=2.5)
    feedback.estimated_time_remaining.sec = 61

    def told() -> bool:
        trip.handle.publish_feedback(feedback)
        return "two point five meters and one minute and one second to the kitchen." in robot.said

    while not told():
        with robot.news:
            robot.news.wait(0.1)
    trip.finish("succeed")

    robot.heard("I have arrived in the kitchen.")


def test_stop_ends_what_is_running_and_says_so(robot: Robot, probe: Probe) -> None:
    idle(probe)
    call(probe, "go_to", place="desk")
    trip = robot.trip()

    stopped = call(probe, "stop")

    assert (stopped.status, stopped.speech) == (ToolResult.SUCCEEDED, "Stopped. I am no longer going to the desk.")
    assert json.loads(stopped.result_json)["canceled"] == ["go_to"]
    assert trip.end == "canceled"
    assert call(probe, "stop").speech == "Stopped."
    assert robot.said == []


def test_cancel_ends_the_newest_and_what_cannot_be_cancelled_goes_on(robot: Robot, probe: Probe) -> None:
    idle(probe)
    call(probe, "go_to", place="desk")
    trip = robot.trip()

    robot.cancels = False
    refused = call(probe, "cancel")
    robot.cancels = True
    canceled = call(probe, "cancel")

    assert (refused.status, refused.speech) == (ToolResult.FAILED, "No: what I am doing can't be cancelled.")
    assert "refuses" in refused.error
    assert (canceled.status, canceled.speech) == (ToolResult.SUCCEEDED, "I am no longer going to the desk.")
    assert trip.end == "canceled"
    assert call(probe, "cancel").speech == "There is nothing to cancel."


def test_what_the_server_gives_up_or_refuses_is_told_with_its_reason(robot: Robot, probe: Probe) -> None:
    idle(probe)
    call(probe, "go_to", place="kitchen")
    robot.trip().finish("abort")
    robot.heard("I could not get to the kitchen: the door is closed.")
    robot.accepts = False

    rejected = call(probe, "go_to", place="desk")

    assert (rejected.status, rejected.speech) == (ToolResult.FAILED, "I could not get to the desk: it was refused.")


def test_an_action_that_is_waited_for_gives_its_result_and_stop_passes_the_queue(robot: Robot, probe: Probe) -> None:
    idle(probe)
    results = probe.subscribe("tool_result", ToolResult)

    def decide(utterance_id: str, name: str, **arguments: Any) -> None:
        wanted = [ToolCall(name=name, arguments_json=json.dumps(arguments))]
        probe.publish("tool_decision", ToolDecision(utterance_id=utterance_id, calls=wanted))

    def result(utterance_id: str) -> ToolResult:
        found = probe.wait_for(
            lambda: next((each for each in results if each.utterance_id == utterance_id), None), what=utterance_id
        )
        assert found is not None
        return found

    decide("there", "hop_to", place="desk")
    robot.trip().finish("succeed")
    assert (result("there").status, result("there").speech) == (ToolResult.SUCCEEDED, "I am at the desk.")

    decide("away", "hop_to", place="kitchen")
    robot.wait_for(lambda: len(robot.trips) == 2, "the second goal")
    decide("halt", "stop")

    assert (result("away").status, result("away").speech) == (ToolResult.CANCELED, "")
    assert result("halt").speech == "Stopped. I have cancelled that."
    assert robot.trips[-1].end == "canceled"


def test_a_slow_service_is_reported_and_without_a_voice_the_diagnostics_say_so(
    start: Callable[..., NodeProcess], probe: Probe, tools_file: Path
) -> None:
    robot = Robot("/mute")
    told: list[DiagnosticArray] = probe.subscribe("/diagnostics", DiagnosticArray)
    start("tool_server", parameters={"tools_file": str(tools_file)}, remappings={"__ns": "/mute"})
    asked = CallTool.Request(call=ToolCall(name="charge", arguments_json="{}"))
    try:
        assert probe.call("/mute/call_tool", CallTool, asked).result.speech == "I am charging."
        cancel = CallTool.Request(call=ToolCall(name="cancel", arguments_json="{}"))
        assert (
            probe.call("/mute/call_tool", CallTool, cancel).result.speech == "No: what I am doing can't be cancelled."
        )
        robot.charged.set()

        probe.wait_for(
            lambda: any(
                "was not said: nobody offers the action say" in status.message
                for array in told
                for status in array.status
            ),
            what="the warning",
        )
    finally:
        robot.close()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("position.x: 3.5", "position.q: 3.5", "go_to: goal: there is no field pose.pose[kitchen].position.q"),
        ("type: std_msgs/msg/String", "type: foo_msgs/msg/Face", "the package foo_msgs, which isn't installed"),
    ],
)
def test_what_does_not_fit_the_installed_types_ends_the_start_up(
    start: Callable[..., NodeProcess], tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(FILE.replace(old, new))

    node = start("tool_server", parameters={"tools_file": str(path)})

    assert node.wait() == 2
    assert str(path) in node.output
    assert complaint in node.output
    assert "Traceback" not in node.output
