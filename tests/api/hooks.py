"""For schemathesis: calls each operation with a key that has its scope, from TAP_KEY_<SCOPE>."""

import ipaddress
import itertools
import os
import uuid

import schemathesis

# The key that manages keys: what ends it, or takes something from it, is not tried with it.
OWN_ID = os.environ["TAP_KEY_ID"]
ADDRESSES = map(ipaddress.IPv4Address, itertools.count(int(ipaddress.IPv4Address("10.0.0.1"))))


def key_of(operation):
    """The key for an operation of the description; none for what is public."""
    security = operation.get("security") or []
    scopes = {scope for scheme in security for names in scheme.values() for scope in names}
    if not security:
        return None
    # An operation that asks for no scope takes any key.
    scope = min(scopes, default="taps:read")
    return os.environ["TAP_KEY_" + scope.replace(":", "_").upper()]


# Keys differ by operation: none may be kept from one to the next.
@schemathesis.auth(refresh_interval=None)
class Key:
    def get(self, case, context):
        return key_of(case.operation.definition.raw)

    def set(self, case, key, context):
        case.headers["x-api-key"] = key


@schemathesis.hook
def before_call(context, case, kwargs):
    # Each from an address of its own: one that tries many wrong keys, as it is done here, gets 429 and no more 401.
    case.headers["x-forwarded-for"] = str(next(ADDRESSES))
    parameters = case.path_parameters or {}
    if parameters.get("id") == OWN_ID and case.method.upper() != "GET":
        parameters["id"] = str(uuid.uuid4())
