import zoo
from zoo.columns import Category, Integer
from zoo.spaces import Text
from zoo.testing import conformance

# columns of as many levels, made of which are the data of the suite
TABLE = zoo.Table(
    [
        Category(name="a", values=("p", "q", "r", "s")),
        Integer(name="n", low=0, high=3),
        Category(name="c", values=("u", "v", "w"), missing=True, ordered=True),
    ]
)
SHORT_CHAIN = "thirty Langevin steps from noise do not reach the density (Nijkamp et al., arXiv 1904.09770)"

test_conformance = conformance(
    "genzoo-torch",
    settings={
        # many layers of random weights magnify last bits, and leave the bound too loose to be estimated
        "realnvp": {"layers": 4},
        "maf": {"layers": 2},
        "nsf": {"layers": 2},
        "transformer": {"width": 8, "heads": 2, "layers": 2},
        "table": {"hidden": 8, "embedding": 4, "layers": 1, "bumps": 2},
        "pixelcnn": {"channels": 6, "layers": 2, "kernel": 5},
        "flow-matching": {"channels": 16, "attention": 64, "inputs": ("hue:3",)},
        "glow": {"layers": 1, "scales": 2, "hidden": 16},
    },
    spaces={
        "transformer": [zoo.Image(3, 3, 1, levels=5), zoo.Discrete(3, levels=4), Text(4, "ab")],
        "table": [TABLE],
    },
    expected_failures={"ebm": {"samples_follow_the_density": SHORT_CHAIN}},
)
