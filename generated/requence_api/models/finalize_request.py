from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="FinalizeRequest")


@_attrs_define
class FinalizeRequest:
    """The input and how to run the task. A claim check may stand in for a value that is too large; the server puts
    the value back before it checks anything.

    """

    name: None | str
    """ A name for people, or null. """
    input_: Any
    """ Any JSON. `{}` if the template needs none. """
    priority: int
    """ 0 is the most urgent, 10 the least, 5 the middle. """
    require_ack: bool
    """ Whether the outcome must be confirmed before the task takes its final status. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name: None | str
        name = self.name

        input_ = self.input_

        priority = self.priority

        require_ack = self.require_ack

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
                "input": input_,
                "priority": priority,
                "requireAck": require_ack,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)

        def _parse_name(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        name = _parse_name(d.pop("name"))

        input_ = d.pop("input")

        priority = d.pop("priority")

        require_ack = d.pop("requireAck")

        finalize_request = cls(
            name=name,
            input_=input_,
            priority=priority,
            require_ack=require_ack,
        )

        finalize_request.additional_properties = d
        return finalize_request

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
