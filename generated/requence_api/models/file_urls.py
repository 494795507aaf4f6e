from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="FileUrls")


@_attrs_define
class FileUrls:
    """Where files and streams for the input of this task go. Without one of them, the task takes none."""

    upload_url: str | Unset = UNSET
    """ Takes files and claim checks. """
    stream_url: str | Unset = UNSET
    """ Takes the announcement of streams. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        upload_url = self.upload_url

        stream_url = self.stream_url

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if upload_url is not UNSET:
            field_dict["uploadUrl"] = upload_url
        if stream_url is not UNSET:
            field_dict["streamUrl"] = stream_url

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        upload_url = d.pop("uploadUrl", UNSET)

        stream_url = d.pop("streamUrl", UNSET)

        file_urls = cls(
            upload_url=upload_url,
            stream_url=stream_url,
        )

        file_urls.additional_properties = d
        return file_urls

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
