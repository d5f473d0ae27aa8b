"""What a name of an image may be, and which addresses are of the open internet."""

from ipaddress import IPv4Address
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.errors import InvalidRequest
from moderation.core.image_uri import (
    AllowedHost,
    ImageUri,
    allowed_buckets,
    allowed_hosts,
    image_uri_from,
    is_public,
    object_path,
    require_allowed,
)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("https://a.example/x.jpg", ImageUri("https", "a.example", 443, "/x.jpg")),
        ("https://A.Example./x", ImageUri("https", "a.example", 443, "/x")),
        ("https://a.example:8443?w=1", ImageUri("https", "a.example", 8443, "/?w=1")),
        ("https://[::1]/x", ImageUri("https", "::1", 443, "/x")),
        ("s3://pictures/a/b%20c.png", ImageUri("s3", "pictures", 443, "/a/b%20c.png")),
        ("gs://my_pictures/x", ImageUri("gs", "my_pictures", 443, "/x")),
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
        ("s3:///x", "must name a host or a bucket"),
        ("s3://bucket:443/x", "a bucket and a key, and nothing else"),
        ("s3://bucket:/x", "a bucket and a key, and nothing else"),
        ("gs://bucket/x?generation=1", "a bucket and a key, and nothing else"),
        ("s3://id:secret@bucket/x", "no user, password or fragment"),
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
    assert place.scheme in {"https", "file", "s3", "gs"}
    assert bool(place.host) == (place.scheme != "file")
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


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("s3://b/a/b.png", "a/b.png"),
        ("s3://b/a%2Fb%20c", "a/b%20c"),
        ("s3://b/a+b=c;d~e*f'(g)", "a%2Bb%3Dc%3Bd~e%2Af%27%28g%29"),
        ("s3://b/%C3%A4", "%C3%A4"),
        ("s3://b//a//b/", "/a//b/"),
        ("s3://b/...", "..."),
        ("s3://b/a..b", "a..b"),
        ("s3://b/%3Fx%23y", "%3Fx%23y"),
    ],
)
def test_a_key_is_encoded_as_its_store_signs_it(uri: str, path: str) -> None:
    assert object_path(image_uri_from(uri)) == path


@pytest.mark.parametrize(
    "uri",
    [
        "s3://b",
        "s3://b/",
        "s3://b/..",
        "s3://b/../other/key",
        "s3://b/a/../../other/key",
        "s3://b/%2e%2e/other/key",
        "s3://b/a%2F..%2Fkey",
        "s3://b/a%5C..%5Ckey",
        "s3://b/./key",
        "s3://b/%ff",
    ],
)
def test_a_key_that_could_leave_its_bucket_is_refused(uri: str) -> None:
    with pytest.raises(InvalidRequest, match=r"must name a key|is not UTF-8"):
        object_path(image_uri_from(uri))


@given(st.text(max_size=40))
def test_no_key_leaves_its_bucket_and_none_is_another(key: str) -> None:
    try:
        path = object_path(ImageUri("s3", "b", 443, "/" + quote(key, errors="replace")))
    except InvalidRequest:
        return
    assert unquote(path) == key.encode(errors="replace").decode()
    assert not {".", ".."} & set(path.split("/"))
    assert path.isascii()
    assert path.isprintable()


def test_buckets_are_listed_with_their_store() -> None:
    assert allowed_buckets(" s3://a.b-c, gs://my_pictures/ ,") == (
        ("s3", "a.b-c"),
        ("gs", "my_pictures"),
    )


@pytest.mark.parametrize(
    "listed",
    ["pictures", "https://pictures", "s3://", "s3://a/b", "s3://*", "s3://Pictures", "s3://a..b"],
)
def test_what_is_no_bucket_is_told(listed: str) -> None:
    with pytest.raises(ValueError, match="is no bucket"):
        allowed_buckets(listed)
