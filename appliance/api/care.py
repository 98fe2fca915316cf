"""The clinical workflow over HTTP: ``routes`` for dictations, live streams, notes, templates, paper, images, chat, AI switches."""

from __future__ import annotations

from appliance.api.care_chat import ChatRoutes
from appliance.api.care_dictations import DictationRoutes
from appliance.api.care_documents import DocumentRoutes
from appliance.api.care_images import ImageRoutes
from appliance.api.care_notes import NoteRoutes
from appliance.api.care_speech import SpeechRoutes
from appliance.api.care_stream import StreamRoutes
from appliance.api.care_switches import SwitchRoutes
from appliance.api.care_templates import HOSPITAL, TemplateRoutes, check_route
from appliance.api.care_words import WordRoutes
from appliance.care.service import Consults
from appliance.plugin_api.http import AnyRoute


def routes(consults: Consults) -> list[AnyRoute]:
    """Every route of the clinical workflow, over one node's consults."""
    return [
        *DictationRoutes(consults).routes(),
        *StreamRoutes(consults).routes(),
        *NoteRoutes(consults).routes(),
        *SpeechRoutes(consults).routes(),
        *TemplateRoutes(consults.store, consults.now, consults.template).routes(),
        *TemplateRoutes(consults.store, consults.now, consults.template, HOSPITAL).routes(),
        check_route(),
        *WordRoutes(consults.store, consults.abilities.models, consults.now).routes(),
        *DocumentRoutes(consults.documents).routes(),
        *ImageRoutes(consults.images).routes(),
        *ChatRoutes(consults).routes(),
        *SwitchRoutes(consults.store, consults.now).routes(),
    ]
