"""The wire: messages (`messages.py`), their bytes (`coding.py`), and the sockets that carry them (`sockets.py`).

The only folder that imports zmq or msgspec.
"""

from .coding import KINDS as KINDS
from .coding import MalformedMessage as MalformedMessage
from .coding import UnknownKind as UnknownKind
from .coding import decode as decode
from .coding import encode as encode
from .curve import ClientKey as ClientKey
from .curve import Doorkeeper as Doorkeeper
from .curve import Link as Link
from .curve import ServerKey as ServerKey
from .messages import F32 as F32
from .messages import SHOWN as SHOWN
from .messages import U8 as U8
from .messages import UNKNOWN as UNKNOWN
from .messages import AnyMessage as AnyMessage
from .messages import Decision as Decision
from .messages import End as End
from .messages import Event as Event
from .messages import EventKind as EventKind
from .messages import Frame as Frame
from .messages import Glimpse as Glimpse
from .messages import Lost as Lost
from .messages import Message as Message
from .messages import People as People
from .messages import Preview as Preview
from .messages import Report as Report
from .messages import Scores as Scores
from .messages import Tracks as Tracks
from .messages import Window as Window
from .messages import replaced as replaced
from .sockets import MAX_MESSAGE_BYTES as MAX_MESSAGE_BYTES
from .sockets import PROTOCOL as PROTOCOL
from .sockets import Bus as Bus
from .sockets import Feeder as Feeder
from .sockets import Inbox as Inbox
from .sockets import Outbox as Outbox
from .sockets import Publisher as Publisher
from .sockets import Subscriber as Subscriber
from .sockets import Worker as Worker
from .sockets import WorkServer as WorkServer
from .sockets import check_endpoint as check_endpoint
from .sockets import wait_any as wait_any
from .sound import LONGEST_TEXT as LONGEST_TEXT
from .wishes import Named as Named
from .wishes import Recording as Recording
from .wishes import RobotState as RobotState
from .wishes import Taught as Taught
from .wishes import Teach as Teach
from .wishes import Tuned as Tuned
