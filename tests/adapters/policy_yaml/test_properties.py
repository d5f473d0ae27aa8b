"""Whatever a file holds, a load ends in a policy set or in a rejection with places in that file."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st

from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.adapters.policy_yaml.document import read_fast, read_with_care
from moderation.core.errors import PolicySetRejected, Problem
from tests.adapters.policy_yaml.writing import GOOD

YAML_SIGNS = st.text(alphabet="[]{}:,-?!&*|>'\"%@`#~ \n\tax01\\uU<=.", max_size=80)
SCALARS = st.sampled_from(
    [
        "a gun",
        "1",
        "-1",
        "true",
        "~",
        '""',
        "[]",
        "{}",
        "[a]",
        "{a: b}",
        ".nan",
        "*a",
        "&a b",
        "off",
    ]
)
KEYS = st.sampled_from(
    ["id", "title", "phrases", "contrast", "templates", "thresholds", "mode", "weight", "profiles"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(KEYS, inner, max_size=3).map(
            lambda entries: "{" + ", ".join(f"{key}: {one}" for key, one in entries.items()) + "}"
        )
    ),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(KEYS, VALUES, max_size=6).map(
    lambda entries: "".join(f"{key}: {value}\n" for key, value in entries.items())
)


def rejection(name: str, content: bytes) -> tuple[Problem, ...]:
    """The problems of a directory with that file; none if it loads."""
    with TemporaryDirectory() as directory:
        (Path(directory) / "x.yaml").write_text(GOOD)
        (Path(directory) / name).write_bytes(content)
        try:
            YamlPolicySource(Path(directory)).load()
        except PolicySetRejected as rejected:
            return rejected.problems
        return ()


def assert_judged(name: str, content: bytes) -> None:
    lines = content.decode(errors="replace").replace("\r", "\n").count("\n") + 1

    for problem in rejection(name, content):
        assert str(problem).isprintable()
        assert 0 <= problem.line <= lines


def assert_judged_as_policy_and_as_profiles(content: bytes) -> None:
    assert_judged("x.yaml", content)
    assert_judged("profiles.yaml", content)


@example("&\u05f5".encode())  # not assigned, so not printable
@given(st.binary(max_size=200))
@example(b'title: "\\UFFFFFFFF"')
@example(b"%YAML 99999999999999999999.1\n---\na")
@example(b"%TAG ! tag:example,2000:\n--- !a b")
@example(b"a: " + b"9" * 5000)
@example(b"! \n")
def test_any_bytes_are_a_set_or_a_rejection(content: bytes) -> None:
    assert_judged_as_policy_and_as_profiles(content)


@given(YAML_SIGNS)
@example('"\\ud800": "\\ud800"')
@example("? - a\n: - b\n")
@example("&a : *a")
def test_any_signs_of_yaml_are_a_set_or_a_rejection(text: str) -> None:
    assert_judged_as_policy_and_as_profiles(text.encode())


@given(MAPPINGS)
def test_any_values_under_known_keys_are_a_set_or_a_rejection(text: str) -> None:
    assert_judged_as_policy_and_as_profiles(text.encode())


@given(st.integers(0, len(GOOD) - 1), YAML_SIGNS)
def test_a_good_policy_with_anything_put_into_it_is_a_set_or_a_rejection(
    position: int, signs: str
) -> None:
    assert_judged_as_policy_and_as_profiles((GOOD[:position] + signs + GOOD[position:]).encode())


@given(st.integers(0, len(GOOD)))
def test_a_half_written_policy_is_a_set_or_a_rejection(length: int) -> None:
    assert_judged_as_policy_and_as_profiles(GOOD[:length].encode())


@given(YAML_SIGNS | MAPPINGS | st.text(max_size=60))
def test_the_fast_parser_says_what_the_careful_one_says(text: str) -> None:
    fast = read_fast(text)

    # In words, for .nan is not equal to itself.
    assert fast is None or repr(fast) == repr(read_with_care(text))
