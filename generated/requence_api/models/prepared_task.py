from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.file_urls import FileUrls
    from ..models.task_limits import TaskLimits


T = TypeVar("T", bound="PreparedTask")


@_attrs_define
class PreparedTask:
    """A reserved task, and where to send its input."""

    task_id: str
    """ Id of the task, a UUID as text. """
    finalize_url: str
    """ Where to send the input; use it as it is. """
    branch: str | Unset = UNSET
    """ The branch that the token stands for. Missing means `live`. """
    file_urls: FileUrls | Unset = UNSET
    """ Where files and streams for the input of this task go. Without one of them, the task takes none. """
    limits: TaskLimits | Unset = UNSET
    """ Sizes in bytes. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        task_id = self.task_id

        finalize_url = self.finalize_url

        branch = self.branch

        file_urls: dict[str, Any] | Unset = UNSET
        if not isinstance(self.file_urls, Unset):
            file_urls = self.file_urls.to_dict()

        limits: dict[str, Any] | Unset = UNSET
        if not isinstance(self.limits, Unset):
            limits = self.limits.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "taskId": task_id,
                "finalizeUrl": finalize_url,
            }
        )
        if branch is not UNSET:
            field_dict["branch"] = branch
        if file_urls is not UNSET:
            field_dict["fileUrls"] = file_urls
        if limits is not UNSET:
            field_dict["limits"] = limits

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.file_urls import FileUrls  # noqa: PLC0415
        from ..models.task_limits import TaskLimits  # noqa: PLC0415

        d = dict(src_dict)
        task_id = d.pop("taskId")

        finalize_url = d.pop("finalizeUrl")

        branch = d.pop("branch", UNSET)

        _file_urls = d.pop("fileUrls", UNSET)
        file_urls: FileUrls | Unset
        if isinstance(_file_urls, Unset):
            file_urls = UNSET
        else:
            file_urls = FileUrls.from_dict(_file_urls)

        _limits = d.pop("limits", UNSET)
        limits: TaskLimits | Unset
        if isinstance(_limits, Unset):
            limits = UNSET
        else:
            limits = TaskLimits.from_dict(_limits)

        prepared_task = cls(
            task_id=task_id,
            finalize_url=finalize_url,
            branch=branch,
            file_urls=file_urls,
            limits=limits,
        )

        prepared_task.additional_properties = d
        return prepared_task

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
