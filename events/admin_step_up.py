"""Admin pages whose edits raise risk or rights: the password comes first, as everywhere else on the desk."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from events.admin_lists import DeclaredFilters
from events.step_up import Act, step_up


class StepUpAdmin(DeclaredFilters):
    """Asks whoever could change something before a form is shown or taken: single rows, deletions, and edits in the list."""

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        return self.asks(request) or super().changeform_view(request, object_id, form_url, extra_context)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        return self.asks(request) or super().delete_view(request, object_id, extra_context)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        asked = self.asks(request) if request.method == "POST" else None
        return asked or super().changelist_view(request, extra_context)

    def asks(self, request: HttpRequest) -> HttpResponse | None:
        """The answer that asks for the password; None when it was typed a moment ago, or there is nothing this person may change."""
        if not (self.has_change_permission(request) or self.has_add_permission(request) or self.has_delete_permission(request)):
            return None
        return step_up(request, Act.CONTROL)
