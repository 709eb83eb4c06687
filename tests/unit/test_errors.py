"""What is suggested for a name that is not known."""

from __future__ import annotations

from harness.errors import did_you_mean, nearest_hint, nearest_name


def test_the_nearest_name_or_the_list() -> None:
    assert did_you_mean("scriptd", ["replay", "scripted"]) == "Did you mean 'scripted'?"
    assert did_you_mean("zzz", ["b", "a"], "Known keys") == "Known keys: a, b."
    assert did_you_mean("zzz", []) == "Known: none."


def test_the_hint_before_a_list() -> None:
    assert nearest_hint("scriptd", ["replay", "scripted"]) == "Did you mean 'scripted'? "
    assert nearest_hint("zzz", ["replay"]) == ""


def test_the_nearest_name_does_not_depend_on_the_order_of_the_known() -> None:
    assert nearest_name("abx", ["abz", "aby"]) == nearest_name("abx", ["aby", "abz"])
    assert nearest_name("suites/a", ["suites/ab"], cutoff=0.5) == "suites/ab"


def test_a_hostile_name_is_not_compared() -> None:
    assert nearest_name("x" * 10_000_000, ["x" * 10_000_000]) is None
