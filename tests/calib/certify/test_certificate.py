"""The gate at its edges, and what certificate.json keeps."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from crispstream.calib.certify.certificate import entry_of, reasons_against
from crispstream.calib.certify.insides import Insides
from crispstream.calib.certify.judge import Judged

INF = math.inf
JUDGED = Judged(
    frames=4,
    psnr_db=30.0,
    ssim=0.9,
    psnr_loss_db=0.02,
    ssim_loss=0.0003,
    psnr_to_fp32_db=52.123456789,
    ssim_to_fp32=0.999,
    worst_frame="b",
    worst_frame_loss_db=0.05,
    colour_drift_levels=(0.01, -0.02, 0.03),
    largest_colour_drift_levels=0.1,
    flicker_levels=1.5,
    flicker_fp32_levels=1.4,
)
INSIDES = Insides(
    tensors=12,
    not_finite=0,
    largest=250.0,
    largest_tensor="/tail/Conv_output_0",
    saturated_share=0.0001,
    saturated_tensor="wide",
)


def reasons(insides=INSIDES, halves=INSIDES, origin=(), **figures):
    return reasons_against(replace(JUDGED, **figures), insides, halves, origin)


def test_what_is_within_every_limit_is_certified():
    assert reasons() == reasons(halves=None) == []


@pytest.mark.parametrize(
    ("inside", "outside", "words"),
    [
        (
            {"psnr_loss_db": 0.1},
            {"psnr_loss_db": np.nextafter(0.1, 1)},
            "PSNR is 0.100 dB below fp32, at most 0.1 is allowed",
        ),
        (
            {"ssim_loss": 0.002},
            {"ssim_loss": np.nextafter(0.002, 1)},
            "SSIM is 0.0020 below fp32, at most 0.002 is allowed",
        ),
        (
            {"largest_colour_drift_levels": np.nextafter(0.25, 0)},
            {"largest_colour_drift_levels": 0.25},
            "colours drift by 0.25 grey levels, less than 0.25 is allowed",
        ),
    ],
)
def test_each_limit_at_its_edge(inside, outside, words):
    assert reasons(**inside) == []
    assert reasons(**outside) == [words]


def test_better_than_fp32_is_fine():
    assert reasons(psnr_loss_db=-INF, ssim_loss=-0.1) == []


@pytest.mark.parametrize("name", ["psnr_loss_db", "ssim_loss", "largest_colour_drift_levels"])
@pytest.mark.parametrize("value", [math.nan, INF])
def test_what_is_no_figure_is_refused(name, value):
    assert len(reasons(**{name: value})) == 1


def test_one_value_that_is_no_number_is_too_many():
    odd = replace(INSIDES, not_finite=1)
    assert reasons(insides=odd) == ["1 values inside are NaN or infinite"]


def test_what_fp16_holds_is_judged_by_ranges_and_the_rest_is_not():
    below = replace(INSIDES, largest=float(np.nextafter(16_000, 0)))
    at = replace(INSIDES, largest=16_000.0)
    assert reasons(halves=below) == []
    assert reasons(halves=at) == ["/tail/Conv_output_0 reaches 16000, and fp16 is safe below 16000"]
    assert reasons(insides=at) == reasons(insides=at, halves=None) == []


def test_every_reason_is_given():
    figures = {"psnr_loss_db": 1, "ssim_loss": 1, "largest_colour_drift_levels": 1}
    assert reasons(origin=("why",), **figures)[-1] == "why"
    assert len(reasons(origin=("why",), **figures)) == 4


def entry(found=(), precision="int8", judged=JUDGED, **extra):
    return entry_of(judged, INSIDES, found, precision=precision, pairs_sha256="9" * 64, extra=extra)


def test_an_entry_says_how_it_was_judged():
    passed, failed = entry(), entry(["too dark", "too blue"])
    assert (passed["precision"], passed["judged_by"]) == ("int8", "verification")
    assert (passed["passed"], passed["reason"]) == (True, "")
    assert (failed["passed"], failed["reason"]) == (False, "too dark; too blue")
    assert passed["pairs_sha256"] == "9" * 64


def test_only_the_cpus_own_graph_is_not_emulated():
    emulated = {name: entry(precision=name)["emulated"] for name in ("fp16", "int8", "int8-cpu")}
    assert emulated == {"fp16": True, "int8": True, "int8-cpu": False}


def test_an_entry_keeps_all_figures_to_six_digits():
    found = entry(int8_layers=3, kept_in_float=["/head/Conv"])
    assert found["psnr_to_fp32_db"] == 52.123457
    assert found["worst_frame"] == "b"
    assert found["colour_drift_levels"] == {"blue": 0.01, "green": -0.02, "red": 0.03}
    assert found["inside"]["largest_tensor"] == "/tail/Conv_output_0"
    assert found["inside"]["saturated_share"] == 0.0001
    assert (found["int8_layers"], found["kept_in_float"]) == (3, ["/head/Conv"])


def test_infinite_figures_become_none_so_that_it_is_json():
    found = entry(judged=replace(JUDGED, psnr_db=INF, psnr_loss_db=-INF))
    assert (found["psnr_db"], found["psnr_loss_db"]) == (None, None)
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found
