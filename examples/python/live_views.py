"""Views of Django 3.2 and later. docs/python.md says how to install them."""

import logging

from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from . import live

logger = logging.getLogger(__name__)


@never_cache
def token(request):
    """A page asks before it opens its EventSource, and again at ssecast.expired."""
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    response = HttpResponse(status=204)
    return live.set_cookie(response, request.user.pk, ["news"], secure=request.is_secure())


@require_POST
@login_required
def say(request):
    """Publishes what a user wrote to all readers of a channel."""
    said = {"from": request.user.get_username(), "text": request.POST["text"]}
    # ... store it here. Pages get it when it is really stored.
    transaction.on_commit(lambda: tell("said", said, to={"channels": ["news"]}))
    return HttpResponse(status=204)


def tell(event, data, **more):
    """Publishes. The change is stored already, so a failure goes to the log only."""
    try:
        live.publish(event, data, **more)
    except live.Failure as failure:
        logger.error("ssecast: %s not published: %s", event, failure)


@require_POST
def leave(request):
    """Logs out: deletes the token, and ends the user's streams."""
    user = request.user.pk
    logout(request)
    if user is not None:
        try:
            live.end_streams(user)
        except live.Failure as failure:
            logger.error("ssecast: streams of user %s not ended: %s", user, failure)
    return live.delete_cookie(redirect("/"))


urlpatterns = [path("token", token), path("say", say), path("leave", leave)]
