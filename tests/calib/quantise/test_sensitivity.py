"""What each layer loses in INT8, and the choice between quality and work."""

from functools import cache

import numpy as np
import onnx
import pytest

from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.observe import session_of
from crispstream.calib.quantise.sensitivity import measure_sensitivity, trials_of
from crispstream.calib.quantise.tensorrt_form import tensorrt_form
from crispstream.core.errors import UsageError
from tests.helpers.graphs import edge_like
from tests.helpers.pictures import soft_picture
from tests.helpers.sets import measured_ranges

FRAMES = [soft_picture(seed, 16, 24) for seed in (20, 21)]
FLAVOURS = ("int8", "int8-cpu")
both_flavours = pytest.mark.parametrize("flavour", FLAVOURS)


def with_outlier(*, half=False):
    """The graph with weights in `/b/Conv` that matter to its steps and not to its result.

    They read channel 0 of a layer whose channel 0 is always 0, and are far larger than all others.
    """
    model = onnx.load_model_from_string(edge_like(half=half))
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor).copy()
        if tensor.name == "a_w":
            values[0] = 0
        elif tensor.name == "a_b":
            values[0] = -1
        elif tensor.name == "b_w":
            values[:, 0] = 30
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return model.SerializeToString()


@cache
def measured(flavour, *, make=edge_like, **options):
    fp32, fp16 = GraphView(make()), GraphView(make(half=True))
    return measure_sensitivity(flavour, fp32, fp16, measured_ranges(fp32), FRAMES, **options)


@pytest.fixture(params=FLAVOURS)
def found(request):
    return measured(request.param, keep_db=30)


def test_every_layer_is_tried(found):
    assert [(loss.name, loss.role) for loss in found.losses] == [
        ("/head/Conv", "first"),
        ("/a/Conv", "usual"),
        ("/b/Conv", "usual"),
        ("/c/Conv", "usual"),
        ("/up/Conv", "gate"),
        ("/gate/Conv", "gate"),
        ("/tail/Conv", "last"),
    ]
    assert all(40 < loss.kept_db < 120 for loss in found.losses)


@both_flavours
def test_a_layer_made_bad_is_the_most_harmful(flavour):
    found = measured(flavour, make=with_outlier, keep_db=30)
    kept_db = {loss.name: loss.kept_db for loss in found.losses}
    worst = min(kept_db, key=kept_db.get)
    assert worst == "/b/Conv"
    assert kept_db[worst] < min(db for name, db in kept_db.items() if name != worst) - 6
    # So it is among the first to be left out.
    best = max(found.points, key=lambda point: point.kept_db)
    assert worst not in best.layers


def test_kept_quality_is_the_psnr_to_fp32():
    found = measured("int8", keep_db=30)
    fp32, fp16 = GraphView(edge_like()), GraphView(edge_like(half=True))
    form = tensorrt_form(fp16, fp32, ["/c/Conv"], measured_ranges(fp32))
    squares = []
    for frame in FRAMES:
        ours, exact = (
            session_of(data, literally=True).run(None, {"frame": frame[None]})[0].astype(float)
            for data in (form.onnx_bytes, edge_like())
        )
        squares.append(np.mean((ours - exact) ** 2))
    expected = 10 * np.log10(255**2 / np.mean(squares))
    kept_db = {loss.name: loss.kept_db for loss in found.losses}
    assert kept_db["/c/Conv"] == pytest.approx(expected, abs=1e-4)


def test_points_beat_each_other_in_quality_or_in_work(found):
    for point in found.points:
        others = [other for other in found.points if other is not point]
        assert not any(o.work <= point.work and o.kept_db >= point.kept_db for o in others)
    work = [point.work for point in found.points]
    assert work == sorted(work)


def test_points_are_choices_by_harm_or_by_role(found):
    harm = {loss.name: 10 ** (-loss.kept_db / 10) / loss.macs for loss in found.losses}
    roles = {}
    for loss in found.losses:
        roles.setdefault(loss.role, set()).add(loss.name)
    for point in found.points:
        chosen, left_out = set(point.layers), set(harm) - set(point.layers)
        by_harm = all(harm[name] <= harm[other] for name in chosen for other in left_out)
        whole_roles = all(not chosen & role or not left_out & role for role in roles.values())
        assert chosen
        assert by_harm or (whole_roles and roles["usual"] <= chosen)


def test_weights_take_a_byte_where_they_are_int8(found):
    weights = {loss.name: loss.macs // (320 * 180) for loss in found.losses}
    total = sum(weights.values()) + 48 * 3  # with the interpolated base
    wide = {"int8": 2, "int8-cpu": 4}[found.flavour]
    for point in found.points:
        small = sum(weights[name] for name in point.layers)
        assert point.weight_bytes == small + wide * (total - small)


@both_flavours
def test_the_chosen_point_keeps_enough_at_nearly_the_least_work(flavour):
    points = measured(flavour, keep_db=30).points
    for asked in (points[len(points) // 2], points[-1]):
        found = measured(flavour, keep_db=asked.kept_db)
        enough = [point for point in points if point.kept_db >= asked.kept_db]
        near = [p for p in enough if p.work <= 1.03 * min(point.work for point in enough)]
        assert found.points == points
        assert found.chosen == max(near, key=lambda point: point.kept_db)


@both_flavours
def test_where_nothing_keeps_enough_the_best_is_named(flavour):
    best = max(point.kept_db for point in measured(flavour, keep_db=30).points)
    with pytest.raises(UsageError) as caught:
        measured(flavour, keep_db=110)
    assert f"keeps 110 dB in {flavour}, the best keeps {best:.1f}" in str(caught.value)
    assert "lower --keep" in str(caught.value)


def test_progress_is_told_after_each_trial():
    told = []
    measured("int8-cpu", keep_db=30, progress=lambda: told.append(1))
    # 7 layers alone, then 7 choices by harm and 8 by role, of which some are the same.
    assert trials_of(GraphView(edge_like())) == 22
    assert 14 < len(told) <= 22
