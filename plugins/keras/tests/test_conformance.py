from zoo.testing import conformance

test_conformance = conformance(
    "genzoo-keras",
    settings={
        "vae": {"conditional": True},
        "wgan": {"filters": (8, 16), "conditional": True},
        "ddim": {"widths": (8, 16), "depth": 1, "embedding": 8},
    },
)
