"""What every request must keep to, and the headers that every answer of ours carries beside those of Django."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError

PERMISSIONS = "camera=(), microphone=(), geolocation=(), payment=(), usb=()"


class PrivatePages:
    """Pages show somebody's money: no cache keeps them, no other site embeds them, and they need no device."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self.get_response(request)
        answer.headers.setdefault("Cache-Control", "no-store")
        answer.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        answer.headers.setdefault("Permissions-Policy", PERMISSIONS)
        return answer


class NoNulls:
    """Refuses a request with a NUL in its path, query, cookies, form or file names, before anything is looked up.

    No person types one, PostgreSQL takes none, and any view may hand what it was sent to a query: so it is refused for all.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = (request.path_info, *_texts(request.GET), *(part for cookie in request.COOKIES.items() for part in cookie))
        return _refused() if _has_null(given) else self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        """The form, which only a POST has, once it is certain that a view would read it."""
        if request.method != "POST":
            return None
        try:
            names = [file.name or "" for _, files in request.FILES.lists() for file in files]
            return _refused() if _has_null((*_texts(request.POST), *_texts(request.FILES), *names)) else None
        except UnreadablePostError:
            return _refused()


def _texts(given: Any) -> Iterator[str]:
    for name, values in given.lists():
        yield name
        yield from (value for value in values if isinstance(value, str))


def _has_null(texts: Any) -> bool:
    return any("\x00" in text for text in texts)


def _refused() -> HttpResponse:
    return JsonResponse({"error": "That cannot be read: it has a NUL character in it."}, status=400)
