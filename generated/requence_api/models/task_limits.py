from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="TaskLimits")


@_attrs_define
class TaskLimits:
    """Sizes in bytes."""

    max_payload_size: int | Unset = UNSET
    """ Largest body of finalize. Missing means 4194304 (4 MiB). With 0 or less, values are never replaced by
    claim checks.
     """
    max_file_size: int | Unset = UNSET
    """ Largest file or stream; to be repeated as `file-size` when uploading. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        max_payload_size = self.max_payload_size

        max_file_size = self.max_file_size

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if max_payload_size is not UNSET:
            field_dict["maxPayloadSize"] = max_payload_size
        if max_file_size is not UNSET:
            field_dict["maxFileSize"] = max_file_size

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        max_payload_size = d.pop("maxPayloadSize", UNSET)

        max_file_size = d.pop("maxFileSize", UNSET)

        task_limits = cls(
            max_payload_size=max_payload_size,
            max_file_size=max_file_size,
        )

        task_limits.additional_properties = d
        return task_limits

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
