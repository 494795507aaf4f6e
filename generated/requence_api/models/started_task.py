from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.task_urls import TaskUrls


T = TypeVar("T", bound="StartedTask")


@_attrs_define
class StartedTask:
    """A task that has been started."""

    task_id: str
    """ Id of the task, the same as in the answer to prepare. """
    urls: TaskUrls | Unset = UNSET
    """ Where the task can be seen. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        task_id = self.task_id

        urls: dict[str, Any] | Unset = UNSET
        if not isinstance(self.urls, Unset):
            urls = self.urls.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "taskId": task_id,
            }
        )
        if urls is not UNSET:
            field_dict["urls"] = urls

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.task_urls import TaskUrls  # noqa: PLC0415

        d = dict(src_dict)
        task_id = d.pop("taskId")

        _urls = d.pop("urls", UNSET)
        urls: TaskUrls | Unset
        if isinstance(_urls, Unset):
            urls = UNSET
        else:
            urls = TaskUrls.from_dict(_urls)

        started_task = cls(
            task_id=task_id,
            urls=urls,
        )

        started_task.additional_properties = d
        return started_task

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
