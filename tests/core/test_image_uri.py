"""What a name of an image may be, and which addresses are of the open internet."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.errors import InvalidRequest
from moderation.core.image_uri import (
    AllowedHost,
    ImageUri,
    allowed_hosts,
    image_uri_from,
    is_public,
    require_allowed,
)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("https://a.example/x.jpg", ImageUri("https", "a.example", 443, "/x.jpg")),
        ("https://A.Example./x", ImageUri("https", "a.example", 443, "/x")),
        ("https://a.example:8443?w=1", ImageUri("https", "a.example", 8443, "/?w=1")),
        ("https://[::1]/x", ImageUri("https", "::1", 443, "/x")),
        ("file:///pictures/a%20b.png", ImageUri("file", "", 443, "/pictures/a%20b.png")),
    ],
)
def test_a_name_is_taken_apart(uri: str, place: ImageUri) -> None:
    assert image_uri_from(uri) == place


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("", "holds what no URI may"),
        ("a.jpg", "must begin with https"),
        ("http://a.example/x", "must begin with https"),
        ("ftp://a.example/x", "must begin with https"),
        ("gopher://a.example/x", "must begin with https"),
        ("https:///x", "must name a host"),
        ("file://host/x", "must name a host"),
        ("https://user@a.example/x", "no user, password or fragment"),
        ("https://a.example/x#part", "no user, password or fragment"),
        ("https://a.example:99999/x", "is no URI"),
        ("https://[::1/x", "is no URI"),
        ("https://a.example/a b", "holds what no URI may"),
        ("https://a.example/\r\nHost: b", "holds what no URI may"),
        ("https://ä.example/x", "holds what no URI may"),
        ("https://a.example/" + "x" * 2048, "2048 are allowed"),
    ],
)
def test_a_name_that_is_none_is_told(uri: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as caught:
        image_uri_from(uri)

    assert caught.value.field == "content.uri"


@given(st.text(max_size=60) | st.text(max_size=40).map("https://".__add__))
def test_any_text_is_a_reference_or_refused(uri: str) -> None:
    try:
        place = image_uri_from(uri)
    except InvalidRequest:
        return
    assert place.scheme in {"https", "file"}
    assert bool(place.host) == (place.scheme == "https")
    assert place.target.startswith("/")


def test_hosts_are_listed_by_name_by_port_and_by_what_is_below() -> None:
    assert allowed_hosts(" cdn.example, img.example:8443 ,.Below.example,") == (
        AllowedHost("cdn.example"),
        AllowedHost("img.example", 8443),
        AllowedHost(".below.example"),
    )
    assert allowed_hosts("") == ()


@pytest.mark.parametrize("listed", ["https://a.example", "a example", "a.example:https", "*", "a:"])
def test_what_is_no_host_is_told(listed: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        allowed_hosts(listed)


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("https://cdn.example/x", True),
        ("https://cdn.example:8443/x", False),
        ("https://img.example:8443/x", True),
        ("https://img.example/x", False),
        ("https://a.below.example/x", True),
        ("https://below.example/x", False),
        ("https://notbelow.example/x", False),
        ("https://cdn.example.evil.example/x", False),
        ("https://2130706433/x", False),
    ],
)
def test_a_host_is_allowed_or_not(uri: str, allowed: bool) -> None:
    hosts = allowed_hosts("cdn.example, img.example:8443, .below.example")
    try:
        require_allowed(image_uri_from(uri), hosts)
    except InvalidRequest:
        assert not allowed
    else:
        assert allowed


INSIDE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_in_another_form_is_as_public_as_it_is(address: IPv4Address) -> None:
    plain = is_public(str(address))

    assert is_public(f"::ffff:{address}") == plain
    assert is_public(f"64:ff9b::{int(address) >> 16:x}:{int(address) & 0xFFFF:x}") == plain
    assert is_public(f"2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::") == plain
