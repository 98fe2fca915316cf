"""Run a demonstration to its end or the operator's, then go on serving."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import click

from appliance.daemon.demo.consult import ConsultFailedError
from appliance.daemon.demo.phone import RefusedError
from appliance.daemon.exits import CommandFailedError


async def play(
    demonstration: Coroutine[object, object, None],
    stop: asyncio.Event,
    *,
    stop_after: bool,
    at_the_end: Callable[[], None] = lambda: None,
) -> None:
    """Until ``demonstration`` is over and, unless ``stop_after``, ``stop`` is set; ``at_the_end`` is called in between.

    Raises:
        CommandFailedError: the consult did not reach a signed note.
    """
    playing = asyncio.create_task(demonstration)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
            return
        await playing
        at_the_end()
        if not stop_after:
            click.echo("\nServing. Ctrl-C stops.")
            await stopping
    except (RefusedError, ConsultFailedError) as error:
        raise CommandFailedError(str(error)) from error
    finally:
        stopping.cancel()
