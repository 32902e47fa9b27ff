"""Layers of engines joined to nodes of graphs."""

from collections.abc import Sequence

from crispstream.core.layers import Layer, Tensor
from crispstream.runtime.measure.profiling.joining import Claim, join


def node(name: str, op: str, reads: Sequence[str], writes: str) -> Layer:
    tensors = tuple(Tensor(tensor, (1, 8, "H", "W"), "float32") for tensor in (*reads, writes))
    return Layer(name, op, "fp32", 0, tensors[:-1], tensors[-1:], 0)


CHAIN = (
    node("conv", "Conv", ["x"], "a"),
    node("relu", "Relu", ["a"], "b"),
    node("q", "QuantizeLinear", ["b"], "c"),
    node("dq", "DequantizeLinear", ["c"], "d"),
    node("up", "Conv", ["d"], "e"),
    node("sum", "Add", ["e", "b"], "f"),
)
FUSED = {"takes_before": True, "takes_after": True}


def test_a_layer_named_by_a_node_is_that_node_and_takes_nothing_else() -> None:
    claims = [Claim(sure=(each.name,)) for each in CHAIN]
    assert join(claims, CHAIN) == [(each.name,) for each in CHAIN]


def test_a_quantised_convolution_takes_what_dequantises_before_and_quantises_after_it() -> None:
    claims = [Claim(sure=("conv",), **FUSED), Claim(sure=("up",), **FUSED), Claim(sure=("sum",))]
    assert join(claims, CHAIN) == [("conv", "relu", "q"), ("dq", "up"), ("sum",)]


def test_a_layer_named_by_its_result_takes_what_leads_there_and_nothing_after() -> None:
    claims = [
        Claim(likely=("relu",), takes_before=True),
        Claim(sure=("q",)),
        Claim(sure=("dq",)),
        Claim(sure=("up",)),
        Claim(sure=("sum",)),
    ]
    assert join(claims, CHAIN)[0] == ("conv", "relu")


def test_of_kernels_that_share_a_node_the_one_named_by_it_has_it() -> None:
    claims = [
        Claim(likely=("conv", "relu", "q")),
        Claim(sure=("conv",), likely=("conv", "relu")),
        Claim(sure=("dq", "up", "sum")),
    ]
    assert join(claims, CHAIN) == [("q",), ("conv", "relu"), ("dq", "up", "sum")]


def test_a_node_belongs_to_one_layer_however_many_claim_it() -> None:
    claims = [Claim(sure=("conv",)), Claim(sure=("conv",)), Claim(likely=("conv",))]
    joined = join(claims, CHAIN[:1])
    assert joined == [("conv",), (), ()]


def test_nameless_layers_get_the_nodes_that_lie_where_they_run() -> None:
    claims = [Claim(sure=("conv",)), Claim("kgen"), Claim("kgen"), Claim(sure=("up", "sum"))]
    assert join(claims, CHAIN) == [("conv",), ("relu", "q"), ("dq",), ("up", "sum")]


def test_of_nameless_layers_those_of_the_same_operator_come_first() -> None:
    claims = [Claim("Conv"), Claim("QuantizeLinear"), Claim("Conv"), Claim("Add")]
    joined = join(claims, CHAIN)
    assert joined == [("conv", "relu"), ("q",), ("dq", "up"), ("sum",)]


def test_layers_that_the_engine_added_get_no_nodes() -> None:
    claims = [Claim(sure=("conv",)), Claim("Reformat", is_added=True), Claim(sure=("sum",))]
    joined = join(claims, CHAIN)
    assert joined[1] == ()
    assert sorted(joined[0] + joined[2]) == sorted(each.name for each in CHAIN)


def test_names_that_are_no_nodes_claim_nothing() -> None:
    assert join([Claim(sure=("",), likely=("nothing",)), Claim(sure=("conv",))], CHAIN[:1]) == [
        (),
        ("conv",),
    ]


def test_an_engine_whose_layers_are_all_its_own_has_no_nodes() -> None:
    assert join([Claim(is_added=True)], CHAIN) == [()]
