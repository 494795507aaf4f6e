from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="TaskUrls")


@_attrs_define
class TaskUrls:
    """Where the task can be seen."""

    watch: str | Unset = UNSET
    """ The task's event stream; use it as it is. """
    show: None | str | Unset = UNSET
    """ The task's page in the web interface, if there is one. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        watch = self.watch

        show: None | str | Unset
        if isinstance(self.show, Unset):
            show = UNSET
        else:
            show = self.show

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if watch is not UNSET:
            field_dict["watch"] = watch
        if show is not UNSET:
            field_dict["show"] = show

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        watch = d.pop("watch", UNSET)

        def _parse_show(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        show = _parse_show(d.pop("show", UNSET))

        task_urls = cls(
            watch=watch,
            show=show,
        )

        task_urls.additional_properties = d
        return task_urls

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
