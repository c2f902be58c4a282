"""Who asks: on a public site strangers see less than who has the token."""

from __future__ import annotations

from fastapi import Request

from rebuilder.service.api.context import ApiContext


def trusted(context: ApiContext, request: Request) -> bool:
    """Whether a request may see what is about this machine: everybody may, unless the site is public."""
    if not context.public:
        return True
    scheme, _, word = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and context.token.matches(word.strip())
