from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.node import Node


T = TypeVar("T", bound="NodeEventBase")


@_attrs_define
class NodeEventBase:
    """What all events about a node have in common."""

    timestamp: str
    """ When it happened, in ISO 8601. """
    update_id: str
    """ Id of this very event, a UUID as text; tells whether an event has come before. """
    node: Node
    """ The node that an event is about. """
    taskId: str | Unset = UNSET
    """ Id of the task that the event belongs to. In the stream of all tasks it may be spelled `task_id`, or be
    there in both spellings.
     """
    name: str | Unset = UNSET
    """ What it names is not documented. The local server sends the name of the task, or else of its template.
     """
    task_id: str | Unset = UNSET
    """ Only in the stream of all tasks, the same as `taskId`. """
    root_task_id: None | str | Unset = UNSET
    """ Only in the stream of all tasks. For events of a sub-task, the id of the task at the top; null for
    a task that is itself at the top.
     """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        timestamp = self.timestamp

        update_id = self.update_id

        node = self.node.to_dict()

        taskId = self.taskId

        name = self.name

        task_id = self.task_id

        root_task_id: None | str | Unset
        if isinstance(self.root_task_id, Unset):
            root_task_id = UNSET
        else:
            root_task_id = self.root_task_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "timestamp": timestamp,
                "updateId": update_id,
                "node": node,
            }
        )
        if taskId is not UNSET:
            field_dict["taskId"] = taskId
        if name is not UNSET:
            field_dict["name"] = name
        if task_id is not UNSET:
            field_dict["task_id"] = task_id
        if root_task_id is not UNSET:
            field_dict["rootTaskId"] = root_task_id

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.node import Node  # noqa: PLC0415

        d = dict(src_dict)
        timestamp = d.pop("timestamp")

        update_id = d.pop("updateId")

        node = Node.from_dict(d.pop("node"))

        taskId = d.pop("taskId", UNSET)

        name = d.pop("name", UNSET)

        task_id = d.pop("task_id", UNSET)

        def _parse_root_task_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        root_task_id = _parse_root_task_id(d.pop("rootTaskId", UNSET))

        node_event_base = cls(
            timestamp=timestamp,
            update_id=update_id,
            node=node,
            taskId=taskId,
            name=name,
            task_id=task_id,
            root_task_id=root_task_id,
        )

        node_event_base.additional_properties = d
        return node_event_base

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
