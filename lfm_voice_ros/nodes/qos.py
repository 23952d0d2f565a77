"""The QoS profiles, each with its reason; and whether two of them go together."""

from collections.abc import Iterator, Sequence

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.topic_endpoint_info import TopicEndpointInfo

#: Streams of sound: a lost chunk is a lost syllable, and two seconds of backlog are more than anybody wants to hear.
AUDIO = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.RELIABLE)

#: Sound of other packages: best effort matches every publisher, and audio_common of mgonzs13 publishes so.
SOUND_OF_OTHERS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)

#: Things that happen once: utterances, transcripts, decisions, results, replies, interrupts.
EVENT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=20, reliability=ReliabilityPolicy.RELIABLE)

#: Trajectories: only the newest counts.
COMMAND = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE)

#: Joint states as they are taken: best effort matches every publisher, microcontrollers included, and other parts of
#: the robot may publish theirs on the same topic.
JOINT_STATES = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
#: Joint states as pan_tilt_sim gives them, like joint_state_broadcaster.
JOINT_STATES_OUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE)

#: States that a late-comer must know at once.
STATE = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)

#: A reply's Opus packets on their way to another machine: a packet that is sent again comes too late to be heard, and
#: would hold up those behind it; what stays out is concealed. Replies are made faster than they are heard, so a whole
#: one (20 s) may be on its way at once.
AUDIO_WIRE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=400, reliability=ReliabilityPolicy.BEST_EFFORT)

#: Signs of life: only the newest counts, and one that is sent again says nothing.
HEARTBEAT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def mismatches(
    publishers: Sequence[TopicEndpointInfo], subscriptions: Sequence[TopicEndpointInfo]
) -> Iterator[tuple[TopicEndpointInfo, TopicEndpointInfo, str]]:
    """Give the pairs of a topic whose QoS keeps anything from coming through, with the reason.

    Those of different types never meet, which is another matter.
    """
    for publisher in publishers:
        for subscription in subscriptions:
            if publisher.topic_type != subscription.topic_type:
                continue
            compatibility, reason = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
            if compatibility == QoSCompatibility.ERROR:
                yield publisher, subscription, " ".join(reason.replace("ERROR: ", "").split()).rstrip(";")
