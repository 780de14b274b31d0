import json

import numpy as np
import pytest

from tapereader.core.errors import DataError
from tapereader.dataset.checks import check
from tapereader.dataset.documents import near_duplicate_groups


def texts(n):
    drawn = np.random.default_rng(0).choice(list("abcdefghijklmnop"), size=(n, 40))
    return ["".join(letters) for letters in drawn]


def found(report):
    return {(finding.code, finding.severity): finding for finding in report.findings}


def sound(build, n=40):
    return build(texts(n), ["negative", "positive"] * (n // 2))


def with_texts(build, *strange):
    return build([*strange, *texts(40)], ["negative", "positive"] * 20 + ["negative"] * len(strange))


def test_a_sound_set_has_no_findings(build):
    report = check(sound(build))
    assert report.findings == ()
    assert report.lines() == ["tape: 40 rows, 0 errors, 0 warnings"]
    report.raise_for_errors()


def test_missing_and_unknown_labels_are_errors_with_rows_and_told_together(build):
    labels = ["negative", "positive"] * 20
    labels[3], labels[5], labels[7], labels[8] = None, float("nan"), " ", "postive"
    with pytest.raises(DataError) as caught:
        check(build(texts(40), labels)).raise_for_errors()
    assert str(caught.value) == (
        "Data set 'tape' has 2 errors:\n"
        "  missing-label: Every row must have a label; got none in 3 rows. Fill them in, or drop the rows. "
        "(rows 4, 6, 8)\n"
        "  unknown-label: Every label must be one of negative, positive; got another in 1 row, most often 'postive'. "
        "Did you mean 'positive'? (row 9)"
    )


def test_the_first_twenty_rows_are_kept_and_all_are_counted(build):
    finding = found(check(build(texts(40), ["negative"] * 5 + [None] * 30 + ["positive"] * 5)))[
        "missing-label", "error"
    ]
    assert finding.rows == tuple(range(6, 26))
    assert finding.count == 30
    assert finding.line().endswith("(rows 6, 7, 8, 9, 10 and 25 more)")


def test_empty_and_missing_texts_are_errors(build):
    finding = found(check(with_texts(build, "", " \n", None, float("nan"))))["empty-text", "error"]
    assert finding.rows == (1, 2, 3, 4)
    assert finding.message == (
        "Every row must have a text; got none in 4 rows. Drop them, or name another text column."
    )


def test_no_rows_are_an_error(build):
    with pytest.raises(DataError, match=r"empty-text: A data set must have rows; got none\.$"):
        check(build([], [])).raise_for_errors()


def test_numbers_in_the_text_column_are_an_error_and_texts_of_digits_a_warning(build):
    report = found(check(with_texts(build, 5, "12.5 %")))
    assert report["mixed-types", "error"].message == (
        "The text column must hold text; got int values such as 5 in 1 row. Name another text column."
    )
    assert report["mixed-types", "warning"].rows == (2,)


def test_numbers_among_label_names_are_an_error(build):
    finding = found(check(build(texts(41), [1, *["negative", "positive"] * 20])))["mixed-types", "error"]
    assert (finding.message, finding.rows) == (
        "Every label of a single-label data set must be a name; got int values such as 1 in 1 row. Make the label "
        "column one type.",
        (1,),
    )


def test_labels_that_are_words_and_digits_are_a_warning(build):
    labelled = build(texts(40), ["1", "positive"] * 20, names=("1", "positive"))
    assert found(check(labelled))["mixed-types", "warning"].message == (
        "Labels should be all words or all numbers; got '1' beside 'positive'. Check the label column."
    )


def test_a_huge_text_is_a_warning_that_says_it_is_chunked(build):
    finding = found(check(with_texts(build, "word " * 30_000)))["huge-text", "warning"]
    assert finding.message == (
        "Texts above 100,000 characters are read in chunks and pooled, which is slow; got 1, the longest with 150,000."
    )


@pytest.mark.parametrize(
    "damaged",
    ["raised Â£100m", "schÃ¶n", "thatâ€™s", "a â€” b", "lost \ufffd one", "bell \x07", "c1 \x85", "ï»¿first", "锟斤拷"],
)
def test_mojibake_is_a_warning(build, damaged):
    assert found(check(with_texts(build, damaged)))["mojibake", "warning"].rows == (1,)


@pytest.mark.parametrize(
    "whole", ["raised £100m – “fine”", "SÃO PAULO", "Ärger in Zürich, Âge d'or", "利润\t下降\n", "🥳 €5"]
)
def test_sound_letters_are_no_mojibake(build, whole):
    assert ("mojibake", "warning") not in found(check(with_texts(build, whole)))


def test_one_class_is_an_error(build):
    finding = found(check(build(texts(20), ["positive"] * 20)))["one-class", "error"]
    assert finding.message == "A data set must have at least two different labels; all 20 rows have 'positive'."


@pytest.mark.parametrize(("rows", "severity"), [(2, "error"), (3, "warning"), (9, "warning"), (10, None)])
def test_a_rare_class_is_a_warning_and_below_the_parts_an_error(build, rows, severity):
    report = check(build(texts(40), ["positive"] * rows + ["negative"] * (40 - rows)), parts=3)
    assert [finding.severity for finding in report.findings if finding.code == "rare-class"] == [severity] * bool(
        severity
    )


def test_an_id_in_the_place_of_the_label_is_one_finding(build):
    names = tuple(f"id-{n:02d}" for n in range(40))
    (finding,) = check(build(texts(40), list(names), names=names)).findings
    assert finding.message == (
        "A split in 3 parts needs at least 3 rows of every label; 'id-00' has 1, 'id-01' has 1, 'id-02' has 1, 'id-03' "
        "has 1, 'id-04' has 1 and 35 more have too few. Merge them with another label, or drop them."
    )
    assert finding.count == 40


def test_a_rare_label_of_a_multi_label_set_is_only_a_warning(build):
    labelled = build(texts(40), [("up",), ()] * 19 + [("up", "fire"), ()], kind="multi-label", names=("up", "fire"))
    assert [(f.code, f.severity, f.rows) for f in check(labelled).findings] == [("rare-class", "warning", (39,))]


def test_conflicting_and_repeated_texts_are_warnings_that_look_past_case_and_space(build):
    labelled = build(
        ["Oil  FELL", "oil fell", "gold", "gold", *texts(40)],
        ["negative", "positive"] * 2 + ["negative", "positive"] * 20,
    )
    labelled.frame.loc[3, "label"] = "negative"
    report = found(check(labelled))
    assert report["conflicting-labels", "warning"].rows == (1, 2)
    assert report["exact-duplicates", "warning"].rows == (2, 4)
    assert ("near-duplicates", "warning") not in report


def test_one_text_about_two_companies_is_neither_a_copy_nor_a_conflict(build):
    labelled = build(["A beats B"] * 2 + texts(40), ["negative", "positive"] * 21, pair=["A", "B", *["C"] * 40])
    assert check(labelled).findings == ()


def test_near_copies_are_a_warning_with_the_largest_group(build):
    sentence = "Operating profit rose to EUR {} mn from EUR {} mn in the corresponding period"
    labelled = with_texts(build, *(sentence.format(n, n / 7) for n in (1, 2, 3)))
    expected = found(check(labelled))["near-duplicates", "warning"]
    assert expected.rows == (1, 2, 3)
    assert (
        "got 3 rows in 1 group with a Jaccard similarity of 0.8 or more, the largest with 3, such as"
        in expected.message
    )
    assert check(labelled, near=near_duplicate_groups(labelled.texts)).findings[-1] == expected


def test_regression_targets_are_checked_for_gaps_infinities_and_bounds(build):
    values = [float("nan"), float("inf"), 1.5, *np.linspace(-1, 1, 37)]
    labelled = build(texts(40), values, kind="regression", names=("score",), low=-1.0, high=1.0)
    report = check(labelled)
    assert [(f.code, f.severity, f.rows) for f in report.findings] == [
        ("missing-label", "error", (1,)),
        ("non-finite-target", "error", (2,)),
        ("target-out-of-range", "error", (3,)),
    ]
    assert report.findings[2].message == (
        "Every target must be from -1 to 1; got 1 row outside, such as 1.5. Correct them, or declare other bounds."
    )


def test_a_constant_target_is_an_error(build):
    labelled = build(texts(12), [0.5] * 12, kind="regression", names=("score",))
    assert [f.message for f in check(labelled).errors] == ["Targets must differ to be learnt; all 12 are 0.5."]


def test_the_report_is_plain_json_with_errors_first(build):
    report = check(with_texts(build, "schÃ¶n", ""))
    assert [f.severity for f in report.findings] == ["error", "warning"]
    told = json.loads(json.dumps(report.to_dict()))
    assert (told["n_errors"], told["n_warnings"], told["findings"][0]["rows"]) == (1, 1, [2])
    assert report.lines()[-1] == "tape: 42 rows, 1 error, 1 warning"
