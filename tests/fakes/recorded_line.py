"""A line to a child that only writes down what was sent: for tests of who is sent when."""

from __future__ import annotations

from appliance.engines.frames import FrameTooLargeError
from appliance.plugin_api.messages import Cancel, Submit, ToEngine


class RecordedLine:
    """Implements ``dispatcher.Line``."""

    def __init__(self, *, largest: int = 1 << 30) -> None:
        self.writable = True
        self.largest = largest
        self.sent: list[ToEngine] = []

    def send(self, message: ToEngine) -> None:
        if isinstance(message, Submit) and len(message.payload) > self.largest:
            raise FrameTooLargeError(len(message.payload))
        self.sent.append(message)

    def submitted(self) -> list[Submit]:
        return [message for message in self.sent if isinstance(message, Submit)]

    def cancelled(self) -> list[int]:
        return [message.request_id for message in self.sent if isinstance(message, Cancel)]
