"""The API's error responses, in Google's JSON error format."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """A refusal. `code` is the HTTP status, `status` the name of google.rpc.Code ("AIP-193 Errors")."""

    def __init__(self, code: int, status: str, message: str, details: list[Json] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.message = message
        self.details = details or []

    def body(self) -> Json:
        """Give the JSON of the answer: {"error": {"code", "message", "status", "details"}}."""
        error: Json = {"code": self.code, "message": self.message, "status": self.status}
        if self.details:
            error["details"] = self.details
        return {"error": error}


class NotSimulatedError(ApiError):
    """The request is in Google's documentation, and this simulation does not know it."""

    def __init__(self, what: str) -> None:
        super().__init__(400, "INVALID_ARGUMENT", f"not simulated: {what}")
        self.what = what


def invalid(message: str, details: list[Json] | None = None) -> ApiError:
    """Give a 400 INVALID_ARGUMENT."""
    return ApiError(400, "INVALID_ARGUMENT", message, details)
