"""Every wrong value in a policy file: where it is told to be, and in which words."""

from pathlib import Path

import pytest

from moderation.adapters.policy_yaml.schema import PolicySchema
from tests.adapters.policy_yaml.writing import GOOD, edited, load, problems, write

KEYS = ", ".join(PolicySchema.model_fields)
KNOWN = f"(known keys: {KEYS})"
INDENT = "indent the lines that belong to it"
ID_RULE = "lower-case letters and digits, with single hyphens between them"

VALUES = {
    "a list instead of a policy": ("- x\n", "1:1: must be a mapping of keys to values, got a list"),
    "a word instead of a policy": ("x\n", "1:1: must be a mapping of keys to values, got 'x'"),
    "no title": (edited(("title: X\n", "")), "1:1: title: this key is required"),
    "no review threshold": (
        edited(("{review: 0.5, block: 0.8}", "{block: 0.8}")),
        "6:1: thresholds.review: this key is required",
    ),
    "an unknown key, and the one that was meant": (
        edited(("title: X", "title: X\nseverty: low")),
        f"3:1: unknown key 'severty'; did you mean severity? (known keys: {KEYS})",
    ),
    "an unknown key beside the one that was meant": (
        edited(("title: X\n", "title: X\nseverity: low\nseverty: high\n")),
        "4:1: unknown key 'severty'; severity is there already, so remove one of them "
        f"(known keys: {KEYS})",
    ),
    "an unknown key that is near to none": (
        edited(("title: X", "title: X\nqqq: low")),
        f"3:1: unknown key 'qqq' (known keys: {KEYS})",
    ),
    "an unknown threshold": (
        edited(("block:", "blok:")),
        "6:27: thresholds: unknown key 'blok'; did you mean block? (known keys: review, block)",
    ),
    "an unknown key of a phrase": (
        edited(("- a gun", "- {text: a gun, wait: 1}")),
        "4:19: phrases[1]: unknown key 'wait'; did you mean weight? "
        "(known keys: text, weight, include)",
    ),
    "a merge key": (
        edited(("title: X", "title: X\n<<: {a: b}")),
        f"3:1: unknown key '<<' (known keys: {KEYS})",
    ),
    "an id that is a number": (
        edited(("id: x", "id: 7")),
        "1:5: id: must be a text, got 7; put it in quotes",
    ),
    "an id in capitals": (
        edited(("id: x", "id: X_1")),
        f"1:5: id: must be {ID_RULE}, got 'X_1'; x-1 would do",
    ),
    "an id with an umlaut": (
        edited(("id: x", "id: Küchen Messer")),
        f"1:5: id: must be {ID_RULE}, got 'Küchen Messer'; kuchen-messer would do",
    ),
    "an id without a letter of the alphabet": (
        edited(("id: x", "id: ...")),
        f"1:5: id: must be {ID_RULE}, got '...'",
    ),
    "an id that is too long": (
        edited(("id: x", "id: " + "x" * 65)),
        "1:5: id: must have at most 64 characters, got 65",
    ),
    "an id other than the file's name": (
        edited(("id: x", "id: y")),
        "1:5: id: must be the file's name without its ending, 'x', got 'y'; change one of them",
    ),
    "an empty title": (edited(("title: X", 'title: "  "')), "2:8: title: must not be empty"),
    "a title without a value": (
        edited(("title: X", "title:")),
        "2:1: title: must be a text, got nothing",
    ),
    "a title that is too long": (
        edited(("title: X", "title: " + "X" * 121)),
        "2:8: title: must have at most 120 characters, got 121",
    ),
    "a control character in quotes": (
        edited(("title: X", 'title: "a\\x07b"')),
        "2:8: title: must not contain the invisible character U+0007",
    ),
    "a character that reverses the text": (
        edited(("title: X", 'title: "a\\u202eb"')),
        "2:8: title: must not contain the invisible character U+202E",
    ),
    "half of a character": (
        edited(("title: X", 'title: "\\ud800"')),
        "2:8: title: must not contain half of a character, got '\\ud800'",
    ),
    "an unknown severity": (
        edited(("title: X", "title: X\nseverity: hihg")),
        "3:11: severity: must be one of low, medium, high, critical, got 'hihg'; "
        "did you mean high?",
    ),
    "an unknown mode": (
        edited(("title: X", "title: X\nmode: on")),
        "3:7: mode: must be one of enforce, shadow, off, got 'on'",
    ),
    "an unknown aggregation": (
        edited(("title: X", "title: X\naggregation: maxx")),
        "3:14: aggregation: must be one of max, mean, top_k_mean, logsumexp, got 'maxx'; "
        "did you mean max?",
    ),
    "a category in capitals": (
        edited(("title: X", "title: X\ncategory: Regulated Goods")),
        f"3:11: category: must be {ID_RULE}, got 'Regulated Goods'; regulated-goods would do",
    ),
    "yes instead of true": (
        edited(("title: X", "title: X\nneeds_clip: yes")),
        "3:13: needs_clip: must be true or false, got 'yes'",
    ),
    "an empty list of phrases": (
        edited(("\n  - a gun\n  - a pistol", " []")),
        "3:10: phrases: must not be empty",
    ),
    "phrases without a value": (
        edited(("\n  - a gun\n  - a pistol", "")),
        "3:1: phrases: must be a list, got nothing; start each item with '- '",
    ),
    "one phrase that is no list": (
        edited(("\n  - a gun\n  - a pistol", " a gun")),
        "3:10: phrases: must be a list, got 'a gun'; start each item with '- '",
    ),
    "phrases without a space after the hyphen": (
        edited(("- a gun", "-a gun"), ("- a pistol", "-a pistol")),
        "4:3: phrases: must be a list, got '-a gun -a pistol'; start each item with '- ', a hyphen "
        "and a space",
    ),
    "phrases with the bullets of a word processor": (
        edited(("- a gun", "\N{BULLET} a gun"), ("\n  - a pistol", "")),
        "4:3: phrases: must be a list, got '\N{BULLET} a gun'; start each item with '- ', a hyphen "
        "and a space",
    ),
    "a phrase that is indented further than the one above": (
        edited(("  - a pistol", "   - a pistol")),
        "5:4: belongs to the item on line 4, since it is indented further; begin both alike",
    ),
    "a phrase that is a comment": (
        edited(("- a gun", "- #1 gun")),
        "4:4: phrases[1]: must be a text, or a mapping with text and weight, got nothing; "
        "write a text after the hyphen; one that begins with # needs quotes",
    ),
    "an empty phrase": (edited(("- a gun", '- ""')), "4:5: phrases[1]: must not be empty"),
    "a phrase that is a number": (
        edited(("- a gun", "- 42")),
        "4:5: phrases[1]: must be a text, or a mapping with text and weight, got 42; "
        "put it in quotes",
    ),
    "a phrase that is a list": (
        edited(("- a pistol", "- [a pistol]")),
        "5:5: phrases[2]: must be a text, or a mapping with text and weight, got a list",
    ),
    "a phrase with a colon": (
        edited(("- a gun", "- a gun: loaded")),
        "4:5: phrases[1]: must be a text, or a mapping with the key text, got a mapping without "
        "it; put a text that contains ': ' in quotes",
    ),
    "a phrase that is too long": (
        edited(("- a gun", "- " + "g" * 301)),
        "4:5: phrases[1]: must have at most 300 characters, got 301",
    ),
    "1,001 phrases": (
        edited(("- a gun", "- a gun" + "".join(f"\n  - gun {n}" for n in range(999)))),
        "4:3: phrases: must have at most 1000 items, got 1001",
    ),
    "a phrase twice": (
        edited(("- a pistol", "- A  Gun")),
        "5:5: phrases[2]: 'A Gun' is already on line 4; remove one of them",
    ),
    "a phrase that is a contrast phrase too": (
        edited(("thresholds", "contrast:\n  - {text: a gun, weight: 0.5}\nthresholds")),
        "7:12: contrast[1]: 'a gun' is also on line 4, under phrases; it cannot be both",
    ),
    "a weight above 1": (
        edited(("- a gun", "- {text: a gun, weight: 1.5}")),
        "4:27: phrases[1].weight: must be above 0 and at most 1, got 1.5",
    ),
    "a weight of 0": (
        edited(("- a gun", "- {text: a gun, weight: 0}")),
        "4:27: phrases[1].weight: must be above 0 and at most 1, got 0",
    ),
    "a template without a place for the phrase": (
        edited(("title: X", "title: X\ntemplates: [a photo]")),
        "3:13: templates[1]: must contain {} once, got 'a photo'",
    ),
    "a template that YAML takes for a mapping": (
        edited(("title: X", "title: X\ntemplates:\n  - {}")),
        "4:5: templates[1]: must be a text, got a mapping",
    ),
    "no templates": (
        edited(("title: X", "title: X\ntemplates: []")),
        "3:12: templates: must not be empty",
    ),
    "a template twice": (
        edited(("title: X", "title: X\ntemplates:\n  - a {}\n  - a {}")),
        "5:5: templates[2]: 'a {}' is already on line 4; remove one of them",
    ),
    "a threshold above 1": (
        edited(("0.5", "1.4")),
        "6:22: thresholds.review: must be between 0 and 1, got 1.4",
    ),
    "a threshold below 0": (
        edited(("0.5", "-0.1")),
        "6:22: thresholds.review: must be between 0 and 1, got -0.1",
    ),
    "a threshold that is not a number": (
        edited(("0.5", ".nan")),
        "6:22: thresholds.review: must be between 0 and 1, got .nan",
    ),
    "a threshold without end": (
        edited(("0.8", ".inf")),
        "6:34: thresholds.block: must be between 0 and 1, got .inf",
    ),
    "a threshold that is true": (
        edited(("0.5", "true")),
        "6:22: thresholds.review: must be a number, got true",
    ),
    "a threshold in quotes": (
        edited(("0.5", '"0.5"')),
        "6:22: thresholds.review: must be a number, got '0.5'; remove the quotes",
    ),
    "a threshold with a comma": (
        edited(("0.5", "'0,5'")),
        "6:22: thresholds.review: must be a number, got '0,5'; write 0.5 with a point",
    ),
    "a threshold with a comma, among others": (
        edited(("0.5", "0,5")),
        "6:24: thresholds: unknown key '5'; write a number with a point, not with a comma "
        "(known keys: review, block)",
    ),
    "a key with a no-break space": (
        edited(("title: X", "title: X\n\N{NO-BREAK SPACE}mode: shadow")),
        "3:1: unknown key '\\xa0mode'; it contains a no-break space, type an ordinary one in its "
        f"place (known keys: {KEYS})",
    ),
    "no space after the only colon": (
        "id:x\n",
        "1:1: must be a mapping of keys to values, got 'id:x'; put a space after the colon",
    ),
    "thresholds out of order": (
        edited(("0.5", "0.9")),
        "6:22: thresholds: review (0.9) must not be above block (0.8)",
    ),
    "thresholds as targets out of order": (
        edited(("review: 0.5, block: 0.8", "review: {max_fpr: 0.001}, block: {max_fpr: 0.01}")),
        "6:32: thresholds: review (max_fpr: 0.001) must not be stricter than block (max_fpr: 0.01)",
    ),
    "a recall that is lower at review than at block": (
        edited(("review: 0.5, block: 0.8", "review: {min_recall: 0.5}, block: {min_recall: 0.9}")),
        "6:35: thresholds: review (min_recall: 0.5) must not be stricter than block "
        "(min_recall: 0.9)",
    ),
    "an unknown target": (
        edited(("0.8", "{max_frp: 0.01}")),
        "6:34: thresholds.block: must be a number from 0 to 1, or a mapping with one of max_fpr, "
        "min_recall, got the key 'max_frp'; did you mean max_fpr?",
    ),
    "two targets for one threshold": (
        edited(("0.8", "{max_fpr: 0.01, min_recall: 0.9}")),
        "6:34: thresholds.block: must be a number from 0 to 1, or a mapping with one of max_fpr, "
        "min_recall, got a mapping",
    ),
    "a review threshold that is empty": (
        edited(("review: 0.5", "review: ~")),
        "6:22: thresholds.review: must be a number from 0 to 1, or a mapping with one of max_fpr, "
        "min_recall, got ~",
    ),
    "a target that no sample proves": (
        edited(("0.8", "{max_fpr: 0}")),
        "6:44: thresholds.block.max_fpr: must be above 0 and below 1, got 0",
    ),
    "a target that is no number": (
        edited(("0.8", "{min_recall: all}")),
        "6:47: thresholds.block.min_recall: must be a number, got 'all'",
    ),
    "a canary of nothing": (
        edited(("title: X", "title: X\ncanary: 0")),
        "3:9: canary: must be above 0 and at most 1, got 0",
    ),
    "a canary in per cent": (
        edited(("title: X", "title: X\ncanary: 10%")),
        "3:9: canary: must be a number, got '10%'; 10 % is written 0.1",
    ),
    "a threshold in per cent": (
        edited(("0.5", "50")),
        "6:22: thresholds.review: must be between 0 and 1, got 50; 50 % is written 0.5",
    ),
    "thresholds that are not indented": (
        edited(("{review: 0.5, block: 0.8}", "\nblock: 0.8")),
        f"6:1: thresholds: must be a mapping of keys to values, got nothing; {INDENT}",
        f"7:1: unknown key 'block'; it belongs below thresholds, indented further {KNOWN}",
    ),
    "a text that begins with a sign of YAML": (
        edited(("title: X", "title: @x")),
        "2:8: is not valid YAML: found character '@' that cannot start any token; put a text that "
        "begins with it in quotes",
    ),
    "a canary of a shadow": (
        edited(("title: X", "title: X\nmode: shadow\ncanary: 0.1")),
        "4:9: canary: a policy in mode shadow acts on nothing; remove canary or mode",
    ),
    "a day that there is not": (
        edited(("title: X", "title: X\neffective: 2026-02-30")),
        "3:12: effective: must be a day of the calendar, written as YYYY-MM-DD, got '2026-02-30'",
    ),
    "a day that is written otherwise": (
        edited(("title: X", "title: X\nexpires: 1.3.2026")),
        "3:10: expires: must be a day of the calendar, written as YYYY-MM-DD, got '1.3.2026'",
    ),
    "an end before the beginning": (
        edited(("title: X", "title: X\neffective: 2026-03-02\nexpires: 2026-03-01")),
        "4:10: expires: 2026-03-01 is before effective (2026-03-02)",
    ),
    "a clause that is no web address": (
        edited(("title: X", "title: X\nclause_url: terms.html")),
        "3:13: clause_url: must be a web address that starts with https://, got 'terms.html'",
    ),
    "an empty owner": (
        edited(("title: X", 'title: X\nowner: ""')),
        "3:1: owner: must not be empty",
    ),
    "an unknown set of templates": (
        edited(("title: X", "title: X\ntemplates: phote")),
        "3:12: templates: must be one of default, none, photo, art, screen, broad, got 'phote'; "
        "did you mean photo?",
    ),
    "templates that are a number": (
        edited(("title: X", "title: X\ntemplates: 7")),
        "3:12: templates: must be a list, got 7; start each item with '- '",
    ),
    "an include with a weight": (
        edited(("- a gun", "- {include: guns, weight: 0.5}")),
        "4:5: phrases[1]: an include stands alone; its list has the rest",
    ),
    "an include without a file of lists": (
        edited(("- a gun", "- include: guns")),
        "4:14: phrases[1]: there is no list 'guns'; add it to lists.yaml, or remove this line",
    ),
    "a background that is neither": (
        edited(("title: X", "title: X\nbackground: some")),
        "3:13: background: must be true or false, got 'some'",
    ),
    "thresholds that are one number": (
        edited(("{review: 0.5, block: 0.8}", "0.5")),
        "6:13: thresholds: must be a mapping of keys to values, got 0.5; write {review: 0.5}",
    ),
}


@pytest.mark.parametrize(
    ("text", "told"), [(one[0], one[1:]) for one in VALUES.values()], ids=VALUES
)
def test_a_wrong_value_is_refused_at_its_place(
    tmp_path: Path, text: str, told: tuple[str, ...]
) -> None:
    directory = write(tmp_path, x=text)

    assert problems(directory) == [f"policies/x.yaml:{one}" for one in told]


def test_a_text_of_several_lines_may_have_hyphens_in_it(tmp_path: Path) -> None:
    text = edited(
        ("title: X", "title: X\ndescription: not meant are\n  - toys"),
        ("- a gun", "- a gun\n    in a hand - close"),
    )

    (policy,) = load(write(tmp_path, x=text)).policies

    assert policy.description == "not meant are - toys"
    assert policy.phrases[0].text == "a gun in a hand - close"


def test_every_problem_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    wrong = edited(("title: X", "titel: X"), ("a pistol", "A gun"), ("0.5", "0.9"), ("0.8", "x"))

    told = problems(write(tmp_path, x=wrong, y="id: y"))

    assert [problem.split(": ")[0] for problem in told] == [
        "policies/x.yaml:1:1",
        "policies/x.yaml:2:1",
        "policies/x.yaml:5:5",
        "policies/x.yaml:6:34",
        *["policies/y.yaml:1:1"] * 3,
    ]


def test_a_flaw_of_the_structure_is_told_without_what_follows_from_it(tmp_path: Path) -> None:
    wrong = edited(("title: X", "title: *name"), ("0.5", "7"))

    told = problems(write(tmp_path, x=wrong))

    assert told == [
        "policies/x.yaml:2:8: the alias *name is not allowed; write the value out",
        "policies/x.yaml:6:22: thresholds.review: must be between 0 and 1, got 7",
    ]


def test_a_file_full_of_mistakes_does_not_fill_the_log(tmp_path: Path) -> None:
    wrong = GOOD + "".join(f"key{n}: 1\n" for n in range(1000))

    told = problems(write(tmp_path, x=wrong))

    assert len(told) == 51
    assert told[0] == "policies/x.yaml: has 950 more problems of its own; mend these first"


def test_what_a_message_quotes_is_short_and_on_one_line(tmp_path: Path) -> None:
    wrong = edited(("title: X", 'title: X\nseverity: "' + "high\\n" * 100 + '"'))

    (told,) = problems(write(tmp_path, x=wrong))

    assert told.isprintable()
    assert len(told) < 200
