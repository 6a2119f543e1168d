from zoo.testing import conformance

SHORT_CHAIN = "thirty Langevin steps from noise do not reach the density (Nijkamp et al., arXiv 1904.09770)"

test_conformance = conformance(
    "genzoo-pretrained", expected_failures={"ebm.moons": {"samples_follow_the_density": SHORT_CHAIN}}
)
