"""Where settings come from, which of them wins, and how a wrong one is told."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from moderation.settings import (
    CONFIG_VARIABLE,
    Settings,
    SettingsError,
    is_reachable_from_outside,
    load_settings,
    reachable_here,
    setting_names,
    variable_of,
)
from moderation.settings.sections import PREFIX

TOML = """
[server]
port = 1001
host = "0.0.0.0"

[log]
format = "json"
"""

YAML = """
server:
  port: 1001
  host: 0.0.0.0
log:
  format: json
"""

WriteConfig = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def _a_clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.upper().startswith(PREFIX):
            monkeypatch.delenv(variable)


@pytest.fixture
def write(tmp_path: Path) -> WriteConfig:
    """Writes a config file of this name and content."""

    def to_file(name: str, content: str) -> Path:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return path

    return to_file


def same(one: Settings, other: Settings) -> bool:
    return one.model_dump() == other.model_dump()


def refusal(flags: Mapping[str, Any], config: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(flags, config)
    return str(caught.value)


def test_without_anything_said_the_defaults_hold() -> None:
    settings = load_settings({})

    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 50051)


@pytest.mark.parametrize(("name", "content"), [("m.toml", TOML), ("m.yaml", YAML), ("m.yml", YAML)])
def test_a_file_replaces_defaults_one_by_one(name: str, content: str, write: WriteConfig) -> None:
    settings = load_settings({}, write(name, content))

    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 1001)
    assert settings.log.format == "json"
    assert settings.log.level == "info"


def test_an_environment_variable_wins_over_the_file(
    write: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODERATION_SERVER__PORT", "1002")

    settings = load_settings({}, write("m.toml", TOML))

    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 1002)


def test_a_flag_wins_over_everything(write: WriteConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_SERVER__PORT", "1002")
    monkeypatch.setenv("MODERATION_SERVER__GRACE_S", "7.5")

    settings = load_settings({"server": {"port": 1003}}, write("m.toml", TOML))

    assert (settings.server.port, settings.server.grace_s) == (1003, 7.5)
    assert settings.server.host == "0.0.0.0"


def test_the_file_can_be_named_by_a_variable_and_a_flag_wins_over_it(
    write: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(write("variable.toml", "[server]\nport = 1\n")))

    assert load_settings({}).server.port == 1
    assert load_settings({}, write("flag.toml", "[server]\nport = 2\n")).server.port == 2


@pytest.mark.parametrize(("name", "content"), [("m.toml", ""), ("m.yaml", "# nothing\n")])
def test_an_empty_file_says_nothing(name: str, content: str, write: WriteConfig) -> None:
    assert same(load_settings({}, write(name, content)), Settings())


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("m.ini", "", "a config file must end in .toml, .yaml, .yml"),
        ("m.toml", "[server\n", "line 1"),
        ("m.yaml", "server: {", "m.yaml:1:10: is not valid YAML"),
        ("m.yaml", "server: {}\nserver: {}\n", "duplicate key"),
        ("m.yaml", "- server\n", "must hold sections such as `server`, not a list"),
        ("m.yaml", "server: 5\n", "server: Input should be"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    name: str, content: str, told: str, write: WriteConfig
) -> None:
    path = write(name, content)

    message = refusal({}, path)

    assert str(path) in message
    assert told in message


def test_a_file_that_is_not_there_or_not_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()

    assert "there is no such file (from --config or" in refusal({}, tmp_path / "missing.toml")
    assert "directory" in refusal({}, tmp_path / "folder.toml")


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_bytes(b"\xff\xfe")

    assert str(path) in refusal({}, path)


def test_a_wrong_value_is_named_with_where_it_came_from(
    write: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODERATION_METRICS__PORT", "no number")
    path = write("m.toml", "[batching]\nmax_batch_size = 0\n")

    lines = refusal({"server": {"port": 70000}}, path).splitlines()

    assert len(lines) == 3
    assert lines[0].startswith("server.port: Input should be less than or equal to 65535")
    assert lines[0].endswith("got 70000 (from a flag)")
    assert lines[1].endswith("got 'no number' (from MODERATION_METRICS__PORT)")
    assert lines[2].startswith(
        "batching.max_batch_size: Input should be greater than or equal to 1"
    )
    assert lines[2].endswith(f"got 0 (from {path})")


def test_a_wrong_flag_is_blamed_even_if_the_variable_is_set_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODERATION_SERVER__PORT", "1002")

    assert refusal({"server": {"port": -1}}).endswith("(from a flag)")


@pytest.mark.parametrize(
    "endpoint", ["collector:4318", "grpc://collector:4317", "http://me:word@collector", "http://"]
)
def test_a_collector_that_is_no_url_is_refused_by_what_is_wanted(endpoint: str) -> None:
    assert refusal({"tracing": {"endpoint": endpoint}}).startswith(
        "tracing.endpoint: must be a URL that starts with http:// or https:// and names no user "
        f"or password, such as http://collector:4318, got '{endpoint}'"
    )


@pytest.mark.parametrize("value", ["inf", "nan", "0", "-1"])
@pytest.mark.parametrize("setting", ["limits.max_request_s", "policies.recheck_s"])
def test_a_time_that_no_clock_can_wait_for_is_refused(
    setting: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable_of(setting), value)

    assert refusal({}).startswith(f"{setting}: ")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            "[server]\nprot = 1\n",
            "server.prot: there is no such setting; did you mean server.port?",
        ),
        ("[sever]\nport = 1\n", "sever: there is no such setting; did you mean server?"),
        ("[server]\nxyzzy = 1\n", "server.xyzzy: there is no such setting"),
    ],
)
def test_an_unknown_setting_in_a_file_is_told_with_the_nearest(
    content: str, told: str, write: WriteConfig
) -> None:
    path = write("m.toml", content)

    assert refusal({}, path) == f"{told} (from {path})"


def test_an_unknown_flag_is_told_too() -> None:
    assert refusal({"sever": {"port": 1}}).endswith("did you mean server? (from a flag)")


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("MODERATION_SERVER__PROT", "; did you mean MODERATION_SERVER__PORT?"),
        ("MODERATION_SERVER_PORT", "; did you mean MODERATION_SERVER__PORT?"),
        ("moderation_server__prot", "; did you mean MODERATION_SERVER__PORT?"),
        ("MODERATION_SERVER__PORT__X", "; did you mean MODERATION_SERVER__PORT?"),
        ("MODERATION_XYZZY", ""),
    ],
)
def test_an_unknown_variable_is_told_with_the_nearest(
    variable: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")

    assert refusal({}) == f"{variable}: there is no such setting{hint}"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MODERATION_SERVICE_HOST", "10.0.0.7"),
        ("MODERATION_SERVICE_PORT", "50051"),
        ("MODERATION_SERVICE_PORT_GRPC", "50051"),
        ("MODERATION_PORT", "tcp://10.0.0.7:50051"),
        ("MODERATION_PORT_50051_TCP", "tcp://10.0.0.7:50051"),
        ("MODERATION_PORT_50051_TCP_ADDR", "10.0.0.7"),
        ("MODERATION_METRICS_SERVICE_HOST", "10.0.0.8"),
        ("MODERATION_METRICS_PORT", "tcp://10.0.0.8:9464"),
        ("MODERATION_METRICS_PORT_9464_TCP_PROTO", "tcp"),
    ],
)
def test_what_kubernetes_sets_beside_a_service_called_moderation_is_left_alone(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    assert same(load_settings({}), Settings())


def test_variables_may_be_written_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("moderation_server__port", "1002")

    assert load_settings({}).server.port == 1002

    monkeypatch.setenv("moderation_server__port", "x")
    assert refusal({}).endswith("(from moderation_server__port)")


def test_every_setting_has_a_meaning_and_a_variable_that_sets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = list(setting_names())
    assert len(names) == len(set(names)) > 20

    settings = load_settings({})
    for name in names:
        section, field = name.split(".")
        described = type(getattr(settings, section)).model_fields[field]
        assert described.description, name
        value = getattr(getattr(settings, section), field)
        if value is not None:  # which only leaving a setting out can say
            monkeypatch.setenv(variable_of(name), str(value))

    assert same(load_settings({}), settings)


@pytest.mark.parametrize(
    ("host", "reachable"),
    [
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("::1", False),
        ("[::1]", False),
        ("localhost", False),
        ("0.0.0.0", True),
        ("::", True),
        ("10.0.0.7", True),
        ("", True),
        ("moderation.example.org", True),
    ],
)
def test_which_addresses_other_machines_can_reach(host: str, reachable: bool) -> None:
    assert is_reachable_from_outside(host) is reachable


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("::", "[::1]"),
        ("[::1]", "[::1]"),
        ("10.0.0.7", "10.0.0.7"),
        ("localhost", "localhost"),
    ],
)
def test_where_a_server_is_asked_from_its_own_machine(host: str, asked: str) -> None:
    assert reachable_here(host) == asked


@pytest.mark.parametrize(
    ("tls", "told"),
    [
        ({}, ""),
        ({"certificate_file": "a", "key_file": "b"}, ""),
        (
            {
                "certificate_file": "a",
                "key_file": "b",
                "client_certificates": "require",
                "client_ca_file": "c",
            },
            "",
        ),
        ({"certificate_file": "a"}, "belong together"),
        ({"client_certificates": "require", "client_ca_file": "c"}, "needs TLS"),
        (
            {"certificate_file": "a", "key_file": "b", "client_certificates": "require"},
            "say in tls.client_ca_file",
        ),
        ({"certificate_file": "a", "key_file": "b", "client_ca_file": "c"}, "has no effect"),
    ],
)
def test_settings_of_tls_that_contradict_each_other(tls: dict[str, str], told: str) -> None:
    contradiction = load_settings({"tls": tls}).tls.contradiction

    assert told in contradiction
    assert bool(told) == bool(contradiction)


TOKENS = {"jwks_file": "jwks.json", "jwt_issuer": "us", "jwt_audience": "moderation"}
FETCHED = {**TOKENS, "jwks_file": ""}


@pytest.mark.parametrize(
    ("identity", "told"),
    [
        ({}, ""),
        (TOKENS, ""),
        ({"jwt_algorithms": "HS256"}, ""),
        ({**TOKENS, "jwt_algorithms": "RS256, ES256"}, ""),
        ({**TOKENS, "jwks_url": "https://us.example/jwks"}, "are both set; keep one"),
        ({**TOKENS, "jwt_issuer": ""}, "set both"),
        ({**TOKENS, "jwt_audience": ""}, "set both"),
        ({**TOKENS, "jwt_algorithms": "RS256,HS256"}, "HS256; use some of RS256"),
        ({**TOKENS, "jwt_algorithms": "none"}, "none; use some of"),
        ({**TOKENS, "jwt_algorithms": ","}, "nothing; use some of"),
        ({**FETCHED, "jwks_url": "https://us.example/jwks"}, ""),
        ({**FETCHED, "jwks_url": "http://localhost:1/jwks"}, ""),
        ({**FETCHED, "jwks_url": "http://[::1]:1/jwks"}, ""),
        ({**FETCHED, "jwks_url": "http://us.example/jwks"}, "must start with https://"),
        ({**FETCHED, "jwks_url": "http://10.0.0.1/jwks"}, "must start with https://"),
        ({**FETCHED, "jwks_url": "file:///etc/passwd"}, "must start with https://"),
        ({**FETCHED, "jwks_url": "https://us:secret@us.example/jwks"}, "user or password"),
        ({**FETCHED, "jwks_url": "https:///jwks"}, "must start with https://"),
    ],
)
def test_settings_of_callers_that_contradict_each_other(
    identity: dict[str, str], told: str
) -> None:
    contradiction = load_settings({"identity": identity}).identity.contradiction

    assert told in contradiction
    assert bool(told) == bool(contradiction)


@pytest.mark.parametrize(
    ("package", "told"),
    [
        ({}, ""),
        ({"source": "p.tar.gz", "public_keys": "a.pub, b.pub"}, ""),
        ({"source": "https://us.example/p.tar.gz", "public_keys": "a.pub"}, ""),
        ({"source": "http://127.0.0.1:1/p.tar.gz", "public_keys": "a.pub"}, ""),
        ({"source": "p.tar.gz"}, "needs package.public_keys"),
        ({"source": "p.tar.gz", "public_keys": ","}, "needs package.public_keys"),
        ({"public_keys": "a.pub"}, "holds files that nobody has signed"),
        ({"source": "http://us.example/p.tar.gz", "public_keys": "a"}, "must start with https://"),
        ({"source": "ftp://us.example/p.tar.gz", "public_keys": "a"}, "must start with https://"),
        ({"source": "https://[us/p.tar.gz", "public_keys": "a"}, "must start with https://"),
        ({"source": "https://us:me@us.example/p", "public_keys": "a"}, "package.token_file"),
    ],
)
def test_settings_of_a_package_that_contradict_each_other(
    package: dict[str, str], told: str
) -> None:
    contradiction = load_settings({"package": package}).package.contradiction

    assert told in contradiction
    assert bool(told) == bool(contradiction)


def test_a_file_that_is_no_yaml_is_told_on_one_line_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("server: [1\n x: 2\n")

    with pytest.raises(SettingsError) as refused:
        load_settings({}, file)

    assert str(refused.value) == f"{file}:2:3: is not valid YAML: expected ',' or ']', but got ':'"
