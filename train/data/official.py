"""The folder layouts that data sets come in when they are downloaded, in words.

Read by the builders' messages and by the page of help, so nothing else is imported here.
"""

LAYOUTS = {
    "lr-gopro": "SRC/{train,test}/<sequence>/{sharp,blur_gamma}/<frame>.png",
    "lr-koehler": (
        "SRC/**/Blurry<picture>_<trajectory>.png and SRC/**/GroundTruth<picture>_<trajectory>_"
        "<frame>.png, in any folders"
    ),
    "reds": (
        "SRC/train/{train_sharp,train_blur_bicubic/X4,train_sharp_bicubic/X4}/<sequence>/"
        "<frame>.png and SRC/val/{val_sharp,val_blur_bicubic/X4}/<sequence>/<frame>.png, or "
        "CNLRN's SRC/train_240/{sharp,blur_bicubic_X4,sharp_bicubic_X4}/<sequence>/<frame>.png "
        "and SRC/Val300/{sharp,blur_bicubic_X4}/<sequence>_<frame>.png"
    ),
    "sisr": "SRC/train/**/<picture> (sharp; any folders) and SRC/test/<set>/<picture> (Set5, ...)",
    "nyuv2-bsr": (
        "SRC/{train,test}/{rgb,depth,label}/<picture>.png, unpacked from nyu_depth_v2_labeled.mat: "
        "depth in 16 bits and millimetres, labels of the 40 classes 1 to 40 and 0 for none"
    ),
    "cityscapes-bsr": (
        "SRC/{leftImg8bit,disparity,camera,gtFine}/{train,val,test}/<city>/<picture>_"
        "{leftImg8bit.png,disparity.png,camera.json,gtFine_labelTrainIds.png}, the last of which "
        "csCreateTrainIdLabelImgs of cityscapesscripts makes"
    ),
}
"""One a kind of data set."""
