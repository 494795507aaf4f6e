"""Contains all the data models used in inputs/outputs"""

from .event_base import EventBase
from .file_urls import FileUrls
from .finalize_request import FinalizeRequest
from .node import Node
from .node_data import NodeData
from .node_defer_event import NodeDeferEvent
from .node_end_event import NodeEndEvent
from .node_error_event import NodeErrorEvent
from .node_error_text import NodeErrorText
from .node_event_base import NodeEventBase
from .node_start_event import NodeStartEvent
from .node_update_event import NodeUpdateEvent
from .outcome_event_base import OutcomeEventBase
from .prepared_task import PreparedTask
from .registered_stream import RegisteredStream
from .started_task import StartedTask
from .task_aborted_event import TaskAbortedEvent
from .task_end_event import TaskEndEvent
from .task_error_event import TaskErrorEvent
from .task_limits import TaskLimits
from .task_start_event import TaskStartEvent
from .task_state import TaskState
from .task_urls import TaskUrls
from .type_files import TypeFiles
from .uploaded_file import UploadedFile
from .watch_all_request import WatchAllRequest
from .watch_request import WatchRequest

__all__ = (
    "EventBase",
    "FileUrls",
    "FinalizeRequest",
    "Node",
    "NodeData",
    "NodeDeferEvent",
    "NodeEndEvent",
    "NodeErrorEvent",
    "NodeErrorText",
    "NodeEventBase",
    "NodeStartEvent",
    "NodeUpdateEvent",
    "OutcomeEventBase",
    "PreparedTask",
    "RegisteredStream",
    "StartedTask",
    "TaskAbortedEvent",
    "TaskEndEvent",
    "TaskErrorEvent",
    "TaskLimits",
    "TaskStartEvent",
    "TaskState",
    "TaskUrls",
    "TypeFiles",
    "UploadedFile",
    "WatchAllRequest",
    "WatchRequest",
)
