from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="WatchRequest")


@_attrs_define
class WatchRequest:
    """Where a stream of events should begin."""

    since: None | str
    """ Only events from this time on, in ISO 8601, best with an offset or `Z`; null means from the beginning. The
    local
    server reads a time without offset as UTC, and a bare date as its first moment.
     """
    last_position: int | Unset = UNSET
    """ The position of the last event that you have. The stream goes on after it. Leave it out before you have
    seen one. With it, the local server leaves `since` aside.
     """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        since: None | str
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

        def _parse_since(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        since = _parse_since(d.pop("since"))

        last_position = d.pop("lastPosition", UNSET)

        watch_request = cls(
            since=since,
            last_position=last_position,
        )

        watch_request.additional_properties = d
        return watch_request

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
