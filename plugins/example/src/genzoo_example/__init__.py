"""What this plugin offers. `zoo list` imports this file, so no framework here: it waits in the target's file."""

from collections.abc import Iterator

from zoo import hookimpl
from zoo.spec import ModelSpec


@hookimpl
def zoo_architectures() -> Iterator[ModelSpec]:
    yield ModelSpec(
        name="example",
        target="genzoo_example.example:Example",
        family="flow",
        framework="torch",
        methods=("sample", "log_prob", "encode", "decode"),
        density="exact",
        summary="Flow of affine couplings over real vectors",
        paper="Dinh, Sohl-Dickstein, Bengio 2017, arXiv 1605.08803",
        requires={"zoo_torch.network": "pip install genzoo-torch"},
    )
