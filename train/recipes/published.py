"""Recipes of the published systems, each with a `-smoke` twin for a laptop.

Settings are those of the papers and of the authors' released code. Where neither says, ours are
marked so.
"""

from dataclasses import replace

from crispstream.train.data.samples import BuiltPlan
from crispstream.train.schedules import Schedule

from .recipe import Optimizer, Recipe
from .smoke import Build, register_with_twin

LR_GOPRO = BuiltPlan(("lr-gopro",))

# GFN: Zhang et al., "Gated Fusion Network for Joint Image Deblurring and Super-Resolution",
# BMVC 2018. Batch 16, whole 64x64 windows, one Adam for all steps.
_GFN = Recipe(
    "gfn-ungated",
    epochs=1,
    batch=16,
    patch_px=0,
    learning_rate=1e-4,
    average_decay=0,
    pool=LR_GOPRO,
    objective="joint-mse",
    weights=(("lr", 0.5),),
)


def _decaying(period: int, decay: float) -> Schedule:
    return Schedule("steps", period=period, decay=decay, per_epoch=True)


def _gfn_paper_first() -> Recipe:
    return replace(_GFN, stage="ungated", epochs=60, schedule=_decaying(30, 0.1))


@register_with_twin("gfn")
def gfn() -> Recipe:
    """GFN as the released code trains it: two steps without the gate, one with (27.81 dB)."""
    first = replace(_GFN, stage="ungated", epochs=25, schedule=_decaying(7, 0.5))
    second = replace(
        _GFN,
        stage="ungated-again",
        epochs=60,
        schedule=_decaying(30, 0.1),
        starts=(("ungated", ""),),
        carry_optimizer=True,
    )
    return replace(
        _GFN,
        model="gfn",
        epochs=55,
        learning_rate=5e-5,
        schedule=_decaying(25, 0.1),
        weights=(("lr", 0.0),),
        starts=(("ungated-again", ""),),
        carry_optimizer=True,
        earlier=(first, second),
    )


@register_with_twin("gfn-paper")
def gfn_paper() -> Recipe:
    """GFN as the paper trains it: one step without the gate, one with (27.74 dB)."""
    return replace(
        _GFN,
        model="gfn",
        epochs=50,
        learning_rate=5e-5,
        schedule=_decaying(25, 0.1),
        starts=(("ungated", ""),),
        carry_optimizer=True,
        earlier=(_gfn_paper_first(),),
    )


@register_with_twin("gfn-ijcv")
def gfn_ijcv() -> Recipe:
    """The successor that applies its gate three times, on the released schedule (ours)."""
    return replace(gfn(), model="gfn-ijcv")


@register_with_twin("srresnet")
def srresnet() -> Recipe:
    """The baseline beside GFN: no deblurring, the restored frame alone; schedule ours."""
    return replace(_gfn_paper_first(), model="srresnet", stage="", objective="mse", weights=())


# How the paper trained its ablations is not known: all of them have the first step of GFN's.


@register_with_twin("gfn-model-1")
def gfn_model_1() -> Recipe:
    """Ablation: deblur, then super-resolve; both losses."""
    return replace(_gfn_paper_first(), model="gfn-model-1", stage="")


@register_with_twin("gfn-model-2")
def gfn_model_2() -> Recipe:
    """Ablation: super-resolve, then deblur.

    The final loss alone: LR-GOPRO keeps no large blurred frame to compare the middle with.
    """
    return replace(srresnet(), model="gfn-model-2")


@register_with_twin("gfn-model-3")
def gfn_model_3() -> Recipe:
    """Ablation: two branches joined as images; both losses."""
    return replace(_gfn_paper_first(), model="gfn-model-3", stage="")


@register_with_twin("gfn-model-4")
def gfn_model_4() -> Recipe:
    """Ablation: GFN without gate and without the deblurring loss."""
    return replace(_gfn_paper_first(), model="gfn-model-4", stage="", weights=(("lr", 0.0),))


@register_with_twin("gfn-model-5")
def gfn_model_5() -> Recipe:
    """Ablation: GFN without gate."""
    return replace(_gfn_paper_first(), model="gfn-model-5", stage="")


@register_with_twin("ms2net")
def ms2net() -> Recipe:
    """MS2Net-style: nothing of its training is public; GFN's data and our settings."""
    return replace(
        _GFN,
        model="ms2net",
        epochs=200,
        objective="joint-l1",
        schedule=replace(_decaying(50, 0.5), lowest=1e-6),
    )


def _variant(base: Build, model: str) -> Build:
    return lambda: replace(base(), model=model)


for _name in ("no-msff1", "local-msff1", "no-msff2", "k1", "k2"):
    register_with_twin(f"ms2net-{_name}")(_variant(ms2net, f"ms2net-{_name}"))


@register_with_twin("cnlrn")
def cnlrn() -> Recipe:
    """CNLRN (Bai et al., CVPRW 2021): PreDeblur, then everything at two learning rates."""
    adam = Optimizer(beta_2=0.99)
    deblur = Recipe(
        "predeblur",
        stage="predeblur",
        steps=600_000,
        batch=32,
        patch_px=128,
        learning_rate=1e-4,
        average_decay=0,
        seed=0,
        pool=BuiltPlan(("reds",)),
        objective="deblur-l1",
        schedule=Schedule("cosine", period=150_000, lowest=1e-7),
        optimizer=adam,
    )
    return replace(
        deblur,
        model="cnlrn",
        stage="",
        steps=1_000_000,
        patch_px=64,
        learning_rate=2e-4,
        objective="l1-gradient",
        weights=(("gradient", 0.1),),
        schedule=Schedule("cosine", period=250_000, decay=0.5, lowest=1e-7),
        optimizer=replace(adam, rates=(("deblur.", 1e-5),)),
        starts=(("predeblur", ""),),
        earlier=(deblur,),
    )


@register_with_twin("cmsc")
def cmsc() -> Recipe:
    """CMSC (Hu et al., 2018) for the joint task, in colour: data of GFN, settings ours."""
    return replace(
        _GFN,
        model="cmsc-rgb",
        epochs=60,
        patch_px=24,
        objective="cascaded",
        weights=(("final", 0.5),),
        schedule=_decaying(30, 0.1),
    )


@register_with_twin("cmsc-fast")
def cmsc_fast() -> Recipe:
    """The variant of CMSC that works at LR size; not the published network."""
    return replace(cmsc(), model="cmsc-fast")


@register_with_twin("cmsc-sisr")
def cmsc_sisr() -> Recipe:
    """CMSC for super-resolution alone, by 2, 3 and 4 together, on luma.

    The paper's text was not to be had: settings are ours, or a survey's and unverified.
    """
    return replace(
        cmsc(),
        model="cmsc",
        epochs=50,
        batch=64,
        patch_px=0,
        learning_rate=0.1,
        pool=BuiltPlan(("sisr",)),
        objective="cascaded-luma",
        schedule=_decaying(10, 0.1),
        optimizer=Optimizer("sgd", weight_decay=1e-4, clip_norm=0.02),
    )


for _name in ("a", "c"):
    register_with_twin(f"cmsc-sisr-{_name}")(_variant(cmsc_sisr, f"cmsc-{_name}"))


def _cmos(classes: str, steps: tuple[int, int, int], first: Schedule, second: Schedule) -> Recipe:
    """CMOS (Chen et al., CVPR 2023): estimator, restorer, both.

    The authors start the estimator's backbone from ImageNet weights; here it starts at random,
    for the kit cannot import any.
    """
    estimator = Recipe(
        f"cmos-{classes}",
        stage="estimator",
        steps=steps[0],
        batch=8,
        patch_px=0,
        learning_rate=1e-4,
        average_decay=0,
        seed=0,
        pool=BuiltPlan((f"{classes}-bsr",)),
        objective="blur-and-semantics",
        weights=(("aux_blur", 0.5), ("aux_semantics", 0.5), ("blur", 1.0), ("semantics", 1.0)),
        schedule=first,
        optimizer=Optimizer(beta_2=0.99),
        augment="flip-zoom",
        mixed=True,
    )
    restorer = replace(
        estimator,
        model="rrdb-sft",
        stage="restorer",
        steps=steps[1],
        batch=16,
        patch_px=48,
        learning_rate=2e-4,
        objective="conditioned-l1",
        weights=(),
        schedule=second,
        augment="flip-transpose",
    )
    return replace(
        estimator,
        model=f"blindsr-{classes}",
        stage="",
        steps=steps[2],
        batch=4,
        learning_rate=5e-5,
        objective="l1",
        weights=(),
        schedule=Schedule("constant"),
        optimizer=Optimizer(),
        starts=(("estimator", "estimator."), ("restorer", "restorer.")),
        earlier=(estimator, restorer),
    )


@register_with_twin("cmos-nyuv2")
def cmos_nyuv2() -> Recipe:
    """CMOS and RRDB-SFT on NYUv2-BSR."""
    first = Schedule("cosine", period=40_000, lowest=1e-7, warm_up_steps=1_000)
    second = Schedule("cosine", period=120_000, lowest=1e-7)
    return _cmos("nyuv2", (70_000, 240_000, 40_000), first, second)


@register_with_twin("cmos-cityscapes")
def cmos_cityscapes() -> Recipe:
    """CMOS and RRDB-SFT on Cityscapes-BSR; the period of the second stage is ours."""
    first = Schedule("cosine", period=148_800, lowest=1e-7, warm_up_steps=3_720)
    second = Schedule("cosine", period=120_000, lowest=1e-7)
    whole = _cmos("cityscapes", (260_400, 120_000, 120_000), first, second)
    return replace(whole, learning_rate=1e-4, schedule=Schedule("steps", period=50_000, decay=0.5))
