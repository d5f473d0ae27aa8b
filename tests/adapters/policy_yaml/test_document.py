"""Every mistake in the YAML itself: where it is told to be, and in which words."""

from pathlib import Path

import pytest

from tests.adapters.policy_yaml.writing import GOOD, edited, problems, write

SYNTAX = {
    "a bracket that is not closed": (
        "id: [x\n",
        "2:1: is not valid YAML: expected ',' or ']', but got '<stream end>' while parsing a flow "
        "sequence that starts on line 1; the bracket on line 1 is not closed, or the file is half "
        "written",
    ),
    "a bracket that is not closed before the next key": (
        "phrases: [a gun\nmode: shadow\n",
        "2:5: is not valid YAML: expected ',' or ']', but got ':' while parsing a flow sequence "
        "that starts on line 1; the bracket on line 1 is not closed, or the file is half written",
    ),
    "no space after a colon": (
        "id:x\ntitle: X\n",
        "2:6: is not valid YAML: mapping values are not allowed here; "
        "put a space after the colon on line 1",
    ),
    "no space after a later colon": (
        "title: X\nid:x\nphrases:\n",
        "3:1: is not valid YAML: could not find expected ':' while scanning a simple key that "
        "starts on line 2; put a space after the colon on line 2",
    ),
    "a key that is indented for no reason": (
        "id: x\n  title: X\n",
        "2:8: is not valid YAML: mapping values are not allowed here; "
        "line 2 is indented further than line 1; begin both alike",
    ),
    "a first key that is indented for no reason": (
        "  id: x\ntitle: X\n",
        "2:1: is not valid YAML: expected '<document start>', but found ('<block mapping "
        "start>',); is this line indented like those above it?",
    ),
    "a no-break space after a colon": (
        "id:\N{NO-BREAK SPACE}x\ntitle: X\n",
        "2:6: is not valid YAML: mapping values are not allowed here; "
        "line 1 contains a no-break space; type an ordinary one in its place",
    ),
    "a quote that is not closed": (
        'id: "x\n',
        "2:1: is not valid YAML: found unexpected end of stream while scanning a quoted scalar "
        "that starts on line 1; a quote is not closed, or the file is only half written",
    ),
    "a colon in a plain text": (
        "title: one: two\n",
        "1:11: is not valid YAML: mapping values are not allowed here; "
        "put a text that contains ': ' in quotes",
    ),
    "a tab as indentation": (
        "phrases:\n\t- a gun\n",
        "2:1: is not valid YAML: found character '\\t' that cannot start any token; "
        "indent with spaces, not with tabs",
    ),
    "an escape beyond Unicode": (
        'title: "\\U00110000"\n',
        "1:11: is not valid YAML: an escape stands for no character "
        "(chr() arg not in range(0x110000))",
    ),
    "a key twice": (
        edited(("title: X", "title: X\ntitle: Y")),
        "3:1: the key 'title' is already on line 2; remove one of them",
    ),
    "a key twice, within a mapping": (
        edited(("block: 0.8", "block: 0.8, review: 0.1")),
        "6:39: the key 'review' is already on line 6; remove one of them",
    ),
    "an anchor": (
        edited(("- a gun", "- &one a gun")),
        "4:5: the anchor &one is not allowed; remove it",
    ),
    "an alias": (
        edited(("- a gun", "- *one")),
        "4:5: the alias *one is not allowed; write the value out",
    ),
    "a tag": (
        edited(("title: X", "title: !!python/name:os.system X")),
        "2:8: the tag 'tag:yaml.org,2002:python/name:os.system' is not allowed; remove it",
    ),
    "a tag of one's own": (
        edited(("- a gun", "- !gun a gun")),
        "4:5: the tag '!gun' is not allowed; remove it",
    ),
    "two documents": (
        GOOD + "---\nid: y\n",
        "7:1: a second document starts here; write one policy in each file",
    ),
    "a directive": (
        "%YAML 1.1\n---\n" + GOOD,
        "1:1: a line must not start with %: YAML directives are not allowed",
    ),
    "5,000 brackets": (
        "title: " + "[" * 5000,
        "1:23: is nested too deeply; at most 16 levels are allowed",
    ),
    "5,000 dashes": ("- " * 5000, "1:33: is nested too deeply; at most 16 levels are allowed"),
    "5,000 braces": ("{a: " * 5000, "1:65: is nested too deeply; at most 16 levels are allowed"),
    "a key that is a list": (GOOD + "? [a]\n: b\n", "7:3: a key must be a text, got a list"),
}


@pytest.mark.parametrize(("text", "told"), SYNTAX.values(), ids=SYNTAX)
def test_a_file_that_is_no_plain_yaml_is_refused_at_its_place(
    tmp_path: Path, text: str, told: str
) -> None:
    directory = write(tmp_path, x=text)

    assert problems(directory) == [f"policies/x.yaml:{told}"]
