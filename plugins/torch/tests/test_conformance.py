from zoo.testing import conformance

SHORT_CHAIN = "thirty Langevin steps from noise do not reach the density (Nijkamp et al., arXiv 1904.09770)"

test_conformance = conformance("genzoo-torch", expected_failures={"ebm": {"sampler_matches_density": SHORT_CHAIN}})
