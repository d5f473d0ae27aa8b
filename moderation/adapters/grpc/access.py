"""Looks at a call's credential before any of its message is read."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import grpc
from grpc.aio import ServerInterceptor
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from moderation.adapters.grpc.interceptors import Context, Handler, MaybeHandler
from moderation.adapters.grpc.unread import unread
from moderation.core.errors import AccessRefused, ModerationError
from moderation.core.identity import CertificateName, NameKind, Role
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
PROPERTIES: Mapping[str, NameKind] = {
    "peer_uri": NameKind.URI,
    "peer_dns": NameKind.DNS,
    "x509_common_name": NameKind.COMMON_NAME,
}
"""Where gRPC says what the caller's certificate is called, once it has verified that."""

VISIT: ContextVar[Visit] = ContextVar("visit", default=OPEN)
"""Who makes the call that is being answered."""


class AccessInterceptor(ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Refuses calls by their metadata and by the certificate that the connection was made with.

    Put it behind the interceptor that counts them.
    """

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
        if self._access.takes_certificates:
            handler = await continuation(handler_call_details)
            return None if handler is None else self._looking(handler, presented, method)
        try:
            self._admit(presented, method)
        except AccessRefused as refusal:
            there_is_one = await continuation(handler_call_details) is not None
            return self._refusing(refusal, method) if there_is_one else None
        return await continuation(handler_call_details)

    def _admit(self, presented: Presented, method: str) -> None:
        """Raise AccessRefused, which is yet to be told."""
        role = ROLE_BY_METHOD.get(method, Role.ADMIN)
        VISIT.set(self._access.admit(presented, role, method))

    def _looking(self, handler: Handler, presented: Presented, method: str) -> Handler:
        """Looks at the connection too, which gRPC shows to what answers and to nothing before.

        As `_refusing` it is of the form of a stream, of which nothing is read before that.
        """

        async def answer(
            requests: AsyncIterator[object], context: Context
        ) -> AsyncGenerator[object, None]:
            names = certificate_names(context.auth_context())
            try:
                self._admit(replace(presented, certificate=names), method)
            except AccessRefused as refusal:
                self._access.refused(refusal, method)
                raise
            async with aclosing(_answers(handler, requests, context)) as answers:
                async for one in answers:
                    yield one

        return grpc.stream_stream_rpc_method_handler(
            answer, handler.request_deserializer, handler.response_serializer
        )

    def _refusing(self, refusal: AccessRefused, method: str) -> MaybeHandler:
        def refuse() -> AccessRefused:
            self._access.refused(refusal, method)
            return refusal

        return unread(refuse)


async def _answers(
    handler: Handler, requests: AsyncIterator[object], context: Context
) -> AsyncGenerator[object, None]:
    """What a method, which takes a stream, answers to it."""
    answer: Any = handler.stream_unary or handler.stream_stream  # the stubs know threads only
    if not inspect.isasyncgenfunction(answer):
        response = await answer(requests, context)
        if isinstance(response, ModerationError):  # of one that refuses: see `unread`
            raise response
        yield response
        return
    async with aclosing(answer(requests, context)) as answers:
        async for one in answers:
            yield one


def certificate_names(connection: Mapping[str, Iterable[bytes]]) -> frozenset[CertificateName]:
    """The names of the caller's certificate; empty without one. What is no text is no name."""
    return frozenset(
        CertificateName(kind, text.lower() if kind is NameKind.DNS else text)
        for name, kind in PROPERTIES.items()
        for value in connection.get(name, ())
        if (text := value.decode(errors="ignore")).encode() == value
    )


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
