"""The conformance kit: what every engine and every provider must keep, as plain functions for pytest.

- ``InProcessEngine``  runs an ``Engine`` without a child process, behind the same calls as the real handle
- ``check_engine``, ``check_speech_to_text``, ``check_chat_model``, ``check_text_to_speech``, ``check_document_reader``,
  ``check_face_verifier``, ``check_image_reader``, ``check_image_analyser``  the suites; they raise AssertionError
- ``echo_engine``      an engine that misbehaves on request, for tests of whoever talks to engines
"""

from appliance.plugin_api.testing.conformance import check_chat_model, check_engine, check_speech_to_text
from appliance.plugin_api.testing.faces import check_face_verifier
from appliance.plugin_api.testing.papers import check_document_reader
from appliance.plugin_api.testing.pictures import check_image_analyser, check_image_reader
from appliance.plugin_api.testing.runner import EngineFailedError, InProcessEngine
from appliance.plugin_api.testing.voices import check_text_to_speech

__all__ = [
    "EngineFailedError",
    "InProcessEngine",
    "check_chat_model",
    "check_document_reader",
    "check_engine",
    "check_face_verifier",
    "check_image_analyser",
    "check_image_reader",
    "check_speech_to_text",
    "check_text_to_speech",
]
