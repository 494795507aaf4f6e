from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="WatchAllRequest")


@_attrs_define
class WatchAllRequest:
    """Where the stream of all tasks should begin."""

    since: str
    """ Only events from this time on, written as in the stream of one task; here there is no null. """
    last_position: int | Unset = UNSET
    """ The position in this stream of the last event that you have, as in the stream of one task. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        since = self.since

        last_position = self.last_position

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "since": since,
            }
        )
        if last_position is not UNSET:
            field_dict["lastPosition"] = last_position

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        since = d.pop("since")

        last_position = d.pop("lastPosition", UNSET)

        watch_all_request = cls(
            since=since,
            last_position=last_position,
        )

        watch_all_request.additional_properties = d
        return watch_all_request

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
