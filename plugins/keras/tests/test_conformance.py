from zoo.testing import conformance

test_conformance = conformance(
    "genzoo-keras",
    settings={
        "cnn": {"norm": True, "slope": 0.3, "hidden": 16, "dropout": 0.5},
        "vae": {"conditional": True, "inputs": ("hue:3",)},
        "wgan": {"filters": (8, 16), "conditional": True, "inputs": ("hue:3",)},
        "ddim": {"widths": (8, 16), "depth": 1, "embedding": 8},
    },
)
