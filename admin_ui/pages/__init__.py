"""The pages. Each module has one function that builds its page from a ``View``."""

from __future__ import annotations

from admin_ui.pages import (
    alerts,
    audit,
    cluster,
    doctor,
    drills,
    engines,
    faces,
    jobs,
    login,
    models,
    overview,
    people,
    plugins,
    review,
    templates,
    updates,
)
from admin_ui.pages.base import dashboard_page
from admin_ui.session import SessionStore


def register(sessions: SessionStore) -> None:
    """Give every page its address. Who may not see a page is sent to the first one that they may see."""
    login.register()
    dashboard_page(sessions, "/", overview.build)
    dashboard_page(sessions, "/alerts", alerts.build)
    dashboard_page(sessions, "/doctor", doctor.build)
    dashboard_page(sessions, "/cluster", cluster.build)
    dashboard_page(sessions, "/review", review.build)
    dashboard_page(sessions, "/engines", engines.build)
    dashboard_page(sessions, "/models", models.build)
    dashboard_page(sessions, "/plugins", plugins.build)
    plugins.register_plugin_pages(sessions)
    dashboard_page(sessions, "/jobs", jobs.build)
    dashboard_page(sessions, "/drills", drills.build)
    dashboard_page(sessions, "/updates", updates.build)
    dashboard_page(sessions, "/note-templates", templates.build)
    dashboard_page(sessions, "/people", people.build)
    dashboard_page(sessions, "/faces", faces.build)
    dashboard_page(sessions, "/audit", audit.build)
