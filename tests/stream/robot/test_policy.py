"""Policies: what may be written, and that whatever may not is told in one line that says where and how to mend it."""

import re
from pathlib import Path

import pytest

from skelstream.encoder.bundle import Bundle
from skelstream.stream.robot.behaviours import BEHAVIOURS
from skelstream.stream.robot.policy import DEFAULT, InteractionPolicy, Rule

ACTIONS = ("wave", "bow", "raise_hand", "walk")
GOOD = '[[rule]]\nwhen = "wave"\ndo = "wave"\n'


def load(tmp_path: Path, text: str) -> InteractionPolicy:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return InteractionPolicy.load(path, ACTIONS)


def test_the_one_that_comes_along_suits_the_shipped_model_and_tells_of_every_field() -> None:
    policy = InteractionPolicy.load(DEFAULT, Bundle.load_live("small").config.classes[1:])
    assert len(policy.rules) >= 5
    text = DEFAULT.read_text()
    for field in Rule.__dataclass_fields__:
        assert re.search(rf"^#   {field}\b", text, re.MULTILINE), f"{field} is not explained"
    for behaviour in BEHAVIOURS:
        assert behaviour in text


def test_the_one_in_the_documentation_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "robot.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "policy.toml").write_text(example)
    policy = InteractionPolicy.load(tmp_path / "policy.toml", Bundle.load_live("small").config.classes[1:])
    assert [rule.do for rule in policy.rules] == [("wave", "look"), ("stop", "look"), ("call", "look")]
    for behaviour in BEHAVIOURS:
        assert f"`{behaviour}`" in page


def test_what_is_written_is_what_is_meant(tmp_path: Path) -> None:
    policy = load(
        tmp_path,
        "[camera]\nheight = 1.5\nturn = -20\n[front]\nwithin = 1.5\n"
        '[[rule]]\nname = "greet"\nwhen = ["wave", "bow"]\ndo = ["wave", "look"]\nwho = "Anna"\nconfidence = 0.7\n'
        'lasting = 0.5\nsure = true\npriority = 3\ncooldown = 9\nhold = 2\ninterrupts = ["mirror"]\nsay = "hello"\n',
    )
    assert policy.rules == (
        Rule(
            name="greet", when=("wave", "bow"), do=("wave", "look"), who="Anna", confidence=0.7, lasting=0.5, sure=True,
            priority=3, cooldown=9.0, hold=2.0, interrupts=("mirror",), say="hello",
        ),
    )  # fmt: skip
    assert (policy.camera.height, policy.camera.turn, policy.front.within, policy.front.angle) == (1.5, -20, 1.5, 30)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[rule]]\nwhen = "dance"\ndo = "wave"', r"rule 1: when = 'dance' is no action; there are anything, .*wave"),
        ('[[rule]]\nwhen = "wave"\ndo = "moonwalk"', r"rule 1: no behaviour 'moonwalk'; there are wave, bow"),
        (GOOD + '[[rule]]\nname = "x"\nwhen = "bow"', r"rule 2 \(x\): it has no 'do'"),
        ('[[rule]]\nwhen = "wave"\ndo = ["wave", "clap"]', r"'wave' and 'clap' both need the right arm"),
        ('[[rule]]\nwhen = "wave"\ndo = "wave"\nconfidense = 1', r"knows no 'confidense'; it knows when, do, name"),
        ('[[rule]]\nwhen = "wave"\ndo = "wave"\nconfidence = 2', r"confidence = 2 is no number from 0 to 1"),
        ('[[rule]]\nwhen = "wave"\ndo = "wave"\nlasting = "long"', r"lasting = 'long' is no number"),
        ('[[rule]]\nwhen = "wave"\ndo = "wave"\nlasting = nan', r"lasting = nan is no number"),
        ('[[rule]]\nwhen = "wave"\ndo = "wave"\npriority = 1.5', r"priority = 1.5 is not a whole number"),
        ('[[rule]]\nwhen = "wave"\ndo = "wave"\nsure = 1', r"sure = 1 is not true or false"),
        ('[[rule]]\nwhen = "wave"\ndo = "wave"\ninterrupts = ["x"]', r"no behaviour 'x'"),
        ('[[rule]]\nwhen = []\ndo = "wave"', r"name at least one thing"),
        ('[[rule]]\nwhen = ["wave", "wave"]\ndo = "wave"', r"says something twice"),
        ('[[rule]]\nwhen = 3\ndo = "wave"', r"neither a word nor a list"),
        ('[[rule]]\nwhen = "wave"\ndo = "wave"\nsay = ""', r"say = '' is no short text"),
        ("rule = 3", r"there is no \[\[rule\]\]"),
        ("rule = [3]", r"rule 1 is 3; begin each with \[\[rule\]\]"),
        ("", r"there is no \[\[rule\]\]"),
        (GOOD + "[camera]\nhight = 1", r"\[camera\] knows no 'hight'; it knows height"),
        (GOOD + "[front]\nwithin = 'far'", r"\[front\] within = 'far' is no number"),
        (GOOD + "[robot]\nx = 1", r"the policy knows no 'robot'"),
        ("[[rule", r"is no TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_a_line_that_names_the_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "policy.toml")) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read the policy .* give another with --policy"):
        InteractionPolicy.load(tmp_path / "none.toml", ACTIONS)
    with pytest.raises(ValueError, match="cannot read the policy"):
        InteractionPolicy.load(tmp_path, ACTIONS)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no TOML"):
        InteractionPolicy.load(tmp_path / "bytes.toml", ACTIONS)
