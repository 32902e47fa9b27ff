"""The folder layouts that data sets come in when they are downloaded, in words.

Read by the builders' messages and by the page of help, so nothing else is imported here.
"""

LAYOUTS = {
    "lr-gopro": "SRC/{train,test}/<sequence>/{sharp,blur_gamma}/<frame>.png",
    "lr-koehler": (
        "SRC/**/Blurry<picture>_<trajectory>.png\n"
        "SRC/**/GroundTruth<picture>_<trajectory>_<frame>.png (in any folders)"
    ),
    "reds": (
        "SRC/train/train_sharp/<sequence>/<frame>.png\n"
        "SRC/train/train_blur_bicubic/X4/<sequence>/<frame>.png\n"
        "SRC/train/train_sharp_bicubic/X4/<sequence>/<frame>.png\n"
        "SRC/val/val_sharp/<sequence>/<frame>.png\n"
        "SRC/val/val_blur_bicubic/X4/<sequence>/<frame>.png\n"
        "or SRC/train_240/sharp/<sequence>/<frame>.png (as CNLRN keeps them)\n"
        "SRC/train_240/{blur,sharp}_bicubic_X4/<sequence>/<frame>.png\n"
        "SRC/Val300/{sharp,blur_bicubic_X4}/<sequence>_<frame>.png"
    ),
    "sisr": (
        "SRC/train/**/<picture> (sharp; any folders)\nSRC/test/<set>/<picture> (Set5, Set14, ...)"
    ),
    "nyuv2-bsr": (
        "SRC/{train,test}/rgb/<picture>.png (unpacked from nyu_depth_v2_labeled.mat)\n"
        "SRC/{train,test}/depth/<picture>.png (16 bits, millimetres)\n"
        "SRC/{train,test}/label/<picture>.png (classes 1 to 40, 0 for none)"
    ),
    "cityscapes-bsr": (
        "SRC/leftImg8bit/{train,val,test}/<city>/<picture>_leftImg8bit.png\n"
        "SRC/disparity/{train,val,test}/<city>/<picture>_disparity.png\n"
        "SRC/camera/{train,val,test}/<city>/<picture>_camera.json\n"
        "SRC/gtFine/{train,val,test}/<city>/<picture>_gtFine_labelTrainIds.png\n"
        "(the last made by csCreateTrainIdLabelImgs of cityscapesscripts)"
    ),
    "crisp-v1": (
        "SRC/train/stills/<photo>.jpg (docs/benchmark.md lists the files)\n"
        "SRC/pairs/gopro/{blur,sharp}/<pair>.png\n"
        "SRC/pairs/gopro6_inverse_crf.npy\n"
        "SRC/video/<clip>.mp4"
    ),
}
"""One a kind of data set; a line is short enough to be shown, and copied, whole."""
