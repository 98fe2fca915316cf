from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from appliance.plugin_api.errors import NOT_FOUND
from appliance.telemetry import logs

CANARIES = ("Zuleica Quirimbó", "zuleica", "Quirimbó", "123.456.789-00", "carcinoma")


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Leave logging as it was: other tests of this worker log too."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
        if handler not in handlers:
            handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def configured(folder: Path, level: str = "debug", **options: Any) -> Path:
    path = folder / "logs" / "core.jsonl"
    logs.configure(level=level, file=path, **options)
    return path


def fail() -> None:
    raise ValueError(f"{CANARIES[0]} could not be parsed")


def test_allowed_fields_travel_and_others_do_not(tmp_path: Path) -> None:
    path = configured(tmp_path)
    logs.get_logger("care").info("note signed", note_id="n1", text=CANARIES[0], patient_name=CANARIES[0], count=3)
    (line,) = lines(path)
    assert (line["event"], line["component"], line["level"]) == ("note signed", "care", "info")
    assert (line["note_id"], line["count"]) == ("n1", 3)
    assert line["text"] == line["patient_name"] == "[redacted]"


@pytest.mark.parametrize("value", [["a"], {"name": "x"}, b"x", object(), ("a",)])
def test_only_scalars_travel_even_under_an_allowed_name(tmp_path: Path, value: object) -> None:
    path = configured(tmp_path)
    logs.get_logger("care").info("something happened", reason_code=value)
    assert lines(path)[0]["reason_code"] == "[redacted]"


def test_long_values_are_cut(tmp_path: Path) -> None:
    path = configured(tmp_path)
    logs.get_logger("care").info("something happened", path="x" * 10_000)
    assert len(lines(path)[0]["path"]) < 300


def test_an_exception_is_its_type_and_place_never_its_message(tmp_path: Path) -> None:
    path = configured(tmp_path)
    log = logs.get_logger("care")
    try:
        fail()
    except ValueError as error:
        log.exception("it failed")
        log.exception("it failed", exc_info=error)
        log.exception("it failed", exc_info=(type(error), error, error.__traceback__))
    for line in lines(path):
        assert line["error"] == "ValueError"
        assert line["error_at"].startswith("test_logs.py:")
    assert not any(canary in path.read_text() for canary in CANARIES)


def test_the_whole_way_to_an_exception_is_told_and_that_of_its_cause(tmp_path: Path) -> None:
    path = configured(tmp_path)
    log = logs.get_logger("care")
    try:
        try:
            fail()
        except ValueError as cause:
            raise RuntimeError(CANARIES[1]) from cause
    except RuntimeError:
        log.exception("it failed")
        logging.getLogger("asyncio").exception("Task exception was never retrieved: %s", CANARIES[0])
    log.error("in a group", exc_info=ExceptionGroup("many", [OSError(CANARIES[2])]))
    mine, foreign, group = lines(path)
    way = mine["error_trace"].split(" > ")
    assert [step for step in way if ":" not in step] == ["RuntimeError", "ValueError"]
    assert [step.split()[1] for step in way if ":" in step][-2:] == [
        "test_the_whole_way_to_an_exception_is_told_and_that_of_its_cause",
        "fail",
    ]
    assert foreign["error_trace"] == mine["error_trace"]
    assert group["error"] == "ExceptionGroup"
    assert "error_trace" not in group, "it was never raised: there is no way to it"
    assert not any(canary in path.read_text() for canary in CANARIES)


def test_the_way_is_long_but_not_endless(tmp_path: Path) -> None:
    path = configured(tmp_path)

    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        else:
            fail()

    try:
        deep(600)
    except ValueError:
        logs.get_logger("care").exception("it failed")
    (line,) = lines(path)
    assert 1000 < len(line["error_trace"]) < 7000


def test_an_exception_that_was_caused_by_another_hides_both(tmp_path: Path) -> None:
    path = configured(tmp_path)
    try:
        try:
            {}[CANARIES[3]]
        except KeyError as cause:
            raise NOT_FOUND(what=CANARIES[0]) from cause
    except Exception:  # noqa: BLE001  whatever it is
        logs.get_logger("care").exception("it failed")
    assert not any(canary in path.read_text() for canary in CANARIES)


def test_other_libraries_may_warn_but_not_quote(tmp_path: Path) -> None:
    path = configured(tmp_path)
    foreign = logging.getLogger("some.library")
    foreign.warning("could not parse %s", CANARIES[0])
    foreign.warning("could not parse %(name)s", {"name": CANARIES[0]})
    foreign.warning(CANARIES[0], extra={"patient": CANARIES[0]})
    foreign.info("chatty")
    try:
        fail()
    except ValueError:
        foreign.exception(CANARIES[4])
    text = path.read_text()
    assert not any(canary in text for canary in CANARIES)
    assert [line["event"] for line in lines(path)] == ["some.library reported warning"] * 3 + [
        "some.library reported error"
    ]


@pytest.mark.parametrize(
    "name", ["prontuario", "prontuario.care", "prontuariox", "quart", "asyncio", "hypercorn.error"]
)
def test_nobody_gets_round_it_by_the_name_of_a_logger(tmp_path: Path, name: str) -> None:
    """A library may happen to name its logger after our application (Quart does)."""
    path = configured(tmp_path)
    logging.getLogger(name).error("Exception on request GET /fhir/R4/Patient?name=%s", CANARIES[0])
    logging.getLogger(name).error(CANARIES[0])
    assert not any(canary in path.read_text() for canary in CANARIES)


def test_a_plugin_is_heard_by_its_template_alone(tmp_path: Path) -> None:
    path = configured(tmp_path)
    logging.getLogger("prontuario.plugins.echo").warning("demonstration model in use")
    logging.getLogger("prontuario.plugins.echo").warning("could not read %s", CANARIES[0])
    assert [line["event"] for line in lines(path)] == ["demonstration model in use", "could not read %s"]
    assert not any(canary in path.read_text() for canary in CANARIES)


def test_warnings_module_is_not_a_way_round(tmp_path: Path) -> None:
    path = configured(tmp_path)
    logging.getLogger("py.warnings").warning("%s", CANARIES[0])
    assert not any(canary in path.read_text() for canary in CANARIES)


def test_the_terminal_is_as_silent_as_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configured(tmp_path)
    log = logs.get_logger("care")
    log.info("note signed", note_id="n1", text=CANARIES[0])
    try:
        fail()
    except ValueError:
        log.exception("it failed")
    told = capsys.readouterr().err
    assert "note signed" in told
    assert "ValueError" in told
    assert not any(canary in told for canary in CANARIES)


def test_levels_count_and_the_file_is_rotated(tmp_path: Path) -> None:
    path = configured(tmp_path, level="warning", max_bytes=2000, keep=2)
    log = logs.get_logger("care")
    log.info("quiet")
    for number in range(100):
        log.warning("loud", count=number)
    kept = sorted(file.name for file in path.parent.iterdir())
    assert kept == ["core.jsonl", "core.jsonl.1", "core.jsonl.2"]
    assert all(file.stat().st_size <= 2000 for file in path.parent.iterdir())
    assert "quiet" not in "".join(file.read_text() for file in path.parent.iterdir())
    assert lines(path)[-1]["count"] == 99


def test_configuring_twice_does_not_double_lines(tmp_path: Path) -> None:
    configured(tmp_path)
    path = configured(tmp_path)
    logs.get_logger("care").info("once")
    assert len(lines(path)) == 1


def test_timestamps_are_utc_and_sort(tmp_path: Path) -> None:
    path = configured(tmp_path)
    for _ in range(3):
        logs.get_logger("care").info("tick")
    stamps = [line["timestamp"] for line in lines(path)]
    assert stamps == sorted(stamps)
    assert all(stamp.endswith("Z") for stamp in stamps)


def test_without_a_file_only_the_terminal_hears(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="info", file=None)
    logs.get_logger("care").info("hello")
    assert "hello" in capsys.readouterr().err
    assert isinstance(sys.stderr, io.TextIOBase)
