"""multipart/form-data (RFC 7578) as it arrives: small fields in memory, the file handed on block by block."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from appliance.api.openai_errors import FORM_INVALID

_MAX_FIELD_BYTES: Final = 64 << 10
_MAX_PARTS: Final = 32


class Form:
    """Reads a form from its body. ``fields`` grows as the body is read; repeated names keep every value, in order."""

    def __init__(self, content_type: str, body: AsyncIterator[bytes], *, file_field: str) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise FORM_INVALID(field="content-type", reason="it must be multipart/form-data with a boundary")
        self.fields: dict[str, list[str]] = {}
        self.has_file = False
        self._body = body
        self._file_field = file_field
        self._file_blocks: list[bytes] = []
        self._header_name, self._header_value = b"", b""
        self._disposition = b""
        self._name = ""
        self._value = bytearray()
        self._parts = 0
        self._ended = False
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_header_field": self._add_header_name,
                "on_header_value": self._add_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    async def file(self) -> AsyncIterator[bytes]:
        """The file's bytes as they arrive. Once it ends, every field has been read.

        Raises:
            ProntuarioError: ``form.invalid`` 400.
        """
        async for block in self._body:
            try:
                self._parser.write(block)
            except MultipartParseError as error:
                raise FORM_INVALID(reason="its parts are malformed") from error
            while self._file_blocks:
                yield self._file_blocks.pop(0)
        if not self._ended:
            raise FORM_INVALID(reason="it ends in the middle")

    def value(self, name: str, default: str = "") -> str:
        """The last value of a field."""
        return self.fields.get(name, [default])[-1]

    def values(self, name: str) -> list[str]:
        """Every value of a field, also under the name with brackets that OpenAI's clients use for lists."""
        return self.fields.get(name, []) + self.fields.get(f"{name}[]", [])

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise FORM_INVALID(reason=f"it has more than {_MAX_PARTS} parts")
        self._disposition, self._name = b"", ""
        self._value.clear()

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name, self._header_value = b"", b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if not self._name:
            raise FORM_INVALID(reason="a part has no name")
        if self._name == self._file_field:
            if self.has_file:
                raise FORM_INVALID(field=self._name, reason="it has more than one file")
            self.has_file = True

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == self._file_field:
            self._file_blocks.append(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > _MAX_FIELD_BYTES:
            raise FORM_INVALID(field=self._name, reason=f"a field is longer than {_MAX_FIELD_BYTES} bytes")

    def _end(self) -> None:
        if self._name == self._file_field:
            return
        try:
            self.fields.setdefault(self._name, []).append(self._value.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise FORM_INVALID(field=self._name, reason="a field is not UTF-8 text") from error

    def _finish(self) -> None:
        self._ended = True
