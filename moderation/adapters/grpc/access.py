"""Looks at a call's credential before any of its message is read."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar

import grpc
from grpc.aio import ServerInterceptor
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from moderation.adapters.grpc.interceptors import MaybeHandler
from moderation.adapters.grpc.unread import unread
from moderation.core.errors import AccessRefused
from moderation.core.identity import Role
from moderation.service.access import OPEN, Access, Presented, Visit
from moderation.v1 import moderation_pb2

SERVICE = moderation_pb2.DESCRIPTOR.services_by_name["ModerationService"].full_name
ROLE_BY_METHOD: Mapping[str, Role] = {
    f"/{SERVICE}/Moderate": Role.MODERATE,
    f"/{SERVICE}/ModerateBatch": Role.MODERATE,
    f"/{SERVICE}/ModerateStream": Role.MODERATE,
    f"/{SERVICE}/ListPolicies": Role.READ,
    f"/{SERVICE}/ListPolicySets": Role.READ,
    f"/{SERVICE}/GetStatus": Role.READ,
    f"/{reflection.SERVICE_NAME}/ServerReflectionInfo": Role.READ,
}
"""What is not listed needs `admin`."""
OPEN_TO_ALL = f"/{health.SERVICE_NAME}/"
"""Kubernetes and load balancers have no credential, and learn nothing but SERVING."""

AUTHORIZATION = "authorization"
API_KEY = "x-api-key"
TENANT = "x-tenant"
BEARER = "bearer "

VISIT: ContextVar[Visit] = ContextVar("visit", default=OPEN)
"""Who makes the call that is being answered."""


class AccessInterceptor(ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Refuses calls by their metadata alone; put it behind the interceptor that counts them."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def intercept_service(  # type: ignore[override]  # the stub forgets unknown methods
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        """The method's handler, or one that refuses; a method that there is not has none."""
        method = handler_call_details.method
        if method.startswith(OPEN_TO_ALL):
            return await continuation(handler_call_details)
        presented = presented_in(handler_call_details.invocation_metadata or ())
        try:
            visit = self._access.admit(presented, ROLE_BY_METHOD.get(method, Role.ADMIN), method)
        except AccessRefused as refusal:
            there_is_one = await continuation(handler_call_details) is not None
            return self._refusing(refusal, method) if there_is_one else None
        VISIT.set(visit)
        return await continuation(handler_call_details)

    def _refusing(self, refusal: AccessRefused, method: str) -> MaybeHandler:
        def refuse() -> AccessRefused:
            self._access.refused(refusal, method)
            return refusal

        return unread(refuse)


def presented_in(metadata: Iterable[tuple[str, str | bytes]]) -> Presented:
    """The credentials and the tenant that a call's metadata name."""
    credentials: list[str] = []
    tenants: list[str] = []
    for name, value in metadata:
        if not isinstance(value, str):
            continue
        if name == AUTHORIZATION:
            is_bearer = value[: len(BEARER)].lower() == BEARER
            credentials.append(value[len(BEARER) :].strip() if is_bearer else value)
        elif name == API_KEY:
            credentials.append(value)
        elif name == TENANT:
            tenants.append(value)
    return Presented(tuple(credentials), tuple(tenants))
