from __future__ import annotations

import msgspec
import pytest

from admin_ui import shapes as ours
from admin_ui import shapes_faces as of_faces
from admin_ui import shapes_notes as of_notes
from admin_ui import shapes_packs as of_packs
from appliance.api import (
    admin_faces_shapes,
    admin_packs_shapes,
    admin_shapes,
    care_switches,
    care_templates,
    care_words,
    identity_faces_shapes,
    identity_shapes,
)
from appliance.care import ai_switches, model
from appliance.engines.fleet import EngineReport
from appliance.operations import schedule_memory
from appliance.operations.packs import examination, manifest, picture, places, work
from appliance.plugin_host.host import PluginReport
from appliance.security import audit_export, audit_heads, devices, sessions, users
from appliance.security.faces import calibration, desk, evaluation, overview
from appliance.store import job_records

PAIRS = [
    (ours.NodeFacts, admin_shapes.NodeFacts),
    (ours.EngineRow, EngineReport),
    (ours.PluginRow, PluginReport),
    (ours.HealthRow, admin_shapes.HealthRow),
    (ours.ModelRow, admin_shapes.ModelRow),
    (ours.Snapshot, admin_shapes.Snapshot),
    (of_packs.WorkRow, work.Work),
    (of_packs.WrongFile, examination.Wrong),
    (of_packs.Told, examination.Told),
    (of_packs.PackRow, picture.PackView),
    (of_packs.PackText, picture.PackText),
    (of_packs.FileRow, manifest.PackFile),
    (of_packs.Shelf, admin_packs_shapes.Shelved),
    (of_packs.Offer, admin_packs_shapes.Offer),
    (of_packs.PlaceList, admin_packs_shapes.PlaceList),
    (of_packs.PlaceRow, places.Place),
    (of_packs.EntryRow, places.Entry),
    (of_packs.Listing, places.Listing),
    (of_packs.Begun, admin_shapes.Done),
    (of_faces.FacePicture, admin_faces_shapes.FacePicture),
    (of_faces.EnrolledRow, admin_faces_shapes.EnrolledRow),
    (of_faces.FacePerson, overview.Enrolled),
    (of_faces.AttemptRow, overview.Attempt),
    (of_faces.FaceStanding, desk.FaceStanding),
    (of_faces.Basis, calibration.Basis),
    (of_faces.Rate, evaluation.Rate),
    (of_faces.FaceDeleted, identity_faces_shapes.FaceDeleted),
    (ours.JobRow, job_records.JobRow),
    (ours.JobList, admin_shapes.JobList),
    (ours.AccessRow, admin_shapes.AccessRow),
    (ours.AuditReport, audit_heads.Report),
    (ours.Login, sessions.Tokens),
    (ours.Me, identity_shapes.Me),
    (ours.UserRow, users.User),
    (ours.UserList, identity_shapes.UserList),
    (ours.DeviceRow, devices.Device),
    (ours.DeviceList, identity_shapes.DeviceList),
    (ours.EnrolmentCode, identity_shapes.CodeForDevice),
    (ours.SessionRow, sessions.Session),
    (ours.SessionList, identity_shapes.SessionList),
    (ours.Ended, identity_shapes.Ended),
    (ours.TaskRow, schedule_memory.TaskReport),
    (ours.Trouble, schedule_memory.Trouble),
    (ours.SignedHead, audit_heads.SignedHead),
    (ours.AuditExport, audit_export.AuditExport),
    (ours.SwitchRow, ai_switches.Switch),
    (ours.SwitchList, care_switches.Switches),
]
NOTES = [
    (of_notes.TemplateRow, care_templates.TemplateSummary),
    (of_notes.TemplateRows, care_templates.TemplateList),
    (of_notes.TemplateText, care_templates.TemplateView),
    (of_notes.TemplateCheck, care_templates.CheckedTemplate),
    (of_notes.HeadingRow, model.Heading),
    (of_notes.TemplateVersionRow, care_templates.TemplateVersion),
    (of_notes.WordsRow, care_words.WordsView),
    (of_notes.TemplateHistory, care_templates.TemplateVersions),
]


@pytest.mark.parametrize(("mine", "core"), PAIRS + NOTES, ids=lambda shape: shape.__name__)
def test_core_says_every_field_that_the_dashboard_reads(mine: type, core: type) -> None:
    read = {field.encode_name for field in msgspec.structs.fields(mine)}
    said = {field.encode_name for field in msgspec.structs.fields(core)}
    assert read <= said


def test_every_shape_is_compared() -> None:
    compared = {mine for mine, _ in PAIRS} | {ours.AdminPageRow, ours.Problem}
    every = [*vars(ours).values(), *vars(of_packs).values(), *vars(of_faces).values()]
    structs = {one for one in every if isinstance(one, type) and issubclass(one, msgspec.Struct)}
    assert structs == compared
