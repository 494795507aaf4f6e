from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.node_data import NodeData
    from ..models.node_error_text import NodeErrorText


T = TypeVar("T", bound="TaskState")


@_attrs_define
class TaskState:
    """A task as it is at the moment of asking."""

    status: str
    """ Known values are `idle`, `pending`, `running`, `awaiting_delivery`, `successful`, `failed` and `stopped`, in
    small
    letters or capitals. Others may come.
     """
    input_: Any | Unset = UNSET
    """ The input that the task was started with. """
    result: Any | Unset = UNSET
    """ The result; null or missing as long as there is none. """
    nodes_data: list[NodeData] | Unset = UNSET
    """ What nodes with an alias have delivered. If an alias appears twice, the last one counts. """
    nodes_error: list[NodeErrorText] | Unset = UNSET
    """ How nodes with an alias have failed. If an alias appears twice, the last one counts. """
    task_template: None | str | Unset = UNSET
    """ Name of the template. Not every server sends it. """
    name: None | str | Unset = UNSET
    """ The name that the task was given. Not every server sends it. """
    branch: None | str | Unset = UNSET
    """ The branch of the template. Not every server sends it. """
    status_text: None | str | Unset = UNSET
    """ More about the status, for people. Not every server sends it. """
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        status = self.status

        input_ = self.input_

        result = self.result

        nodes_data: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.nodes_data, Unset):
            nodes_data = []
            for nodes_data_item_data in self.nodes_data:
                nodes_data_item = nodes_data_item_data.to_dict()
                nodes_data.append(nodes_data_item)

        nodes_error: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.nodes_error, Unset):
            nodes_error = []
            for nodes_error_item_data in self.nodes_error:
                nodes_error_item = nodes_error_item_data.to_dict()
                nodes_error.append(nodes_error_item)

        task_template: None | str | Unset
        if isinstance(self.task_template, Unset):
            task_template = UNSET
        else:
            task_template = self.task_template

        name: None | str | Unset
        if isinstance(self.name, Unset):
            name = UNSET
        else:
            name = self.name

        branch: None | str | Unset
        if isinstance(self.branch, Unset):
            branch = UNSET
        else:
            branch = self.branch

        status_text: None | str | Unset
        if isinstance(self.status_text, Unset):
            status_text = UNSET
        else:
            status_text = self.status_text

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "status": status,
            }
        )
        if input_ is not UNSET:
            field_dict["input"] = input_
        if result is not UNSET:
            field_dict["result"] = result
        if nodes_data is not UNSET:
            field_dict["nodesData"] = nodes_data
        if nodes_error is not UNSET:
            field_dict["nodesError"] = nodes_error
        if task_template is not UNSET:
            field_dict["taskTemplate"] = task_template
        if name is not UNSET:
            field_dict["name"] = name
        if branch is not UNSET:
            field_dict["branch"] = branch
        if status_text is not UNSET:
            field_dict["statusText"] = status_text

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.node_data import NodeData  # noqa: PLC0415
        from ..models.node_error_text import NodeErrorText  # noqa: PLC0415

        d = dict(src_dict)
        status = d.pop("status")

        input_ = d.pop("input", UNSET)

        result = d.pop("result", UNSET)

        _nodes_data = d.pop("nodesData", UNSET)
        nodes_data: list[NodeData] | Unset = UNSET
        if _nodes_data is not UNSET:
            nodes_data = []
            for nodes_data_item_data in _nodes_data:
                nodes_data_item = NodeData.from_dict(nodes_data_item_data)

                nodes_data.append(nodes_data_item)

        _nodes_error = d.pop("nodesError", UNSET)
        nodes_error: list[NodeErrorText] | Unset = UNSET
        if _nodes_error is not UNSET:
            nodes_error = []
            for nodes_error_item_data in _nodes_error:
                nodes_error_item = NodeErrorText.from_dict(nodes_error_item_data)

                nodes_error.append(nodes_error_item)

        def _parse_task_template(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        task_template = _parse_task_template(d.pop("taskTemplate", UNSET))

        def _parse_name(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        name = _parse_name(d.pop("name", UNSET))

        def _parse_branch(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        branch = _parse_branch(d.pop("branch", UNSET))

        def _parse_status_text(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        status_text = _parse_status_text(d.pop("statusText", UNSET))

        task_state = cls(
            status=status,
            input_=input_,
            result=result,
            nodes_data=nodes_data,
            nodes_error=nodes_error,
            task_template=task_template,
            name=name,
            branch=branch,
            status_text=status_text,
        )

        task_state.additional_properties = d
        return task_state

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
