"""The application: endpoints, what they answer to errors, the guard before them."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from auscult import __version__
from auscult.errors import AuscultError
from auscult.live.history.opening import reason
from auscult.live.serve import routes_history, routes_machines, routes_page
from auscult.live.serve.access import Access
from auscult.live.serve.desk import BusyError
from auscult.live.serve.guard import Guard
from auscult.live.serve.service import AbsentError, Service

DESCRIPTION = """Machines that are listened to, their alarms and what they sound like.

All times are seconds since 1970. Higher scores are more abnormal. Errors are `{"error": "a sentence"}`. Where the
server has a token, send it as `Authorization: Bearer TOKEN`."""


def application(service: Service, access: Access) -> Guard:
    """The ASGI application of a service."""
    app = FastAPI(
        title="auscult",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service, app.state.access = service, access
    for routes in (routes_page, routes_machines, routes_history):
        app.include_router(routes.router)
    app.add_exception_handler(AbsentError, _absent)
    app.add_exception_handler(AuscultError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(BusyError, _busy)
    app.add_exception_handler(OSError, _disk)
    app.add_exception_handler(SQLAlchemyError, _disk)
    return Guard(app, access, service.plant.server)


def error(status: int, sentence: str) -> Response:
    """An error as all endpoints give it."""
    return JSONResponse({"error": sentence}, status)


async def _absent(_: Request, problem: Exception) -> Response:
    return error(404, str(problem))


async def _refused(_: Request, problem: Exception) -> Response:
    return error(422, str(problem))


async def _busy(_: Request, problem: Exception) -> Response:
    return JSONResponse({"error": str(problem)}, 503, headers={"retry-after": "1"})


async def _gone(_: Request, __: Exception) -> Response:
    return error(400, "the request broke off; send it again")


async def _invalid(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, RequestValidationError)
    first = problem.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    return error(422, f"{place}: {first['msg']}, given was {str(first.get('input'))[:80]!r}; see /openapi.json")


async def _disk(_: Request, problem: Exception) -> Response:
    """The system, or the history on its disk, does not do what is asked."""
    why = reason(problem) if isinstance(problem, SQLAlchemyError) else getattr(problem, "strerror", None) or "unknown"
    return error(503, f"the server's disk refused ({why}); free some space, and ask again")


async def _http(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    return JSONResponse({"error": str(problem.detail)}, problem.status_code, headers=dict(problem.headers or {}))
