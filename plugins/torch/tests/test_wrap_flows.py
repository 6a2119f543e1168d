"""Unmodified flows of zuko and nflows: results equal those of their own objects."""

from __future__ import annotations

import sys
import threading
from types import ModuleType

import numpy as np
import pytest
import torch
from zoo_torch import wrap
from zoo_torch.layers import splines

import zoo
from zoo import noise as reference
from zoo.errors import InputError

zuko = pytest.importorskip("zuko")


def shaken(flow):
    """Weights that are far from the identity."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return flow


EXPORTED = {"nsf", "maf", "coupling"}  # tracing takes time; the others run the same code
SMALL = {"transforms": 2, "hidden_features": (8,)}
ZUKO = {
    "nsf": lambda: zuko.flows.NSF(2, bins=4, transforms=1, hidden_features=(8,)),
    "maf": lambda: zuko.flows.MAF(6, **SMALL),  # more passes than are unrolled
    "nice": lambda: zuko.flows.NICE(4, **SMALL),
    "circular": lambda: zuko.flows.NCSF(2, bins=4, transforms=1, hidden_features=(8,)),  # its base is uniform
}


@pytest.mark.parametrize("name", ZUKO)
def test_a_zuko_flow(name, tmp_path):
    torch.manual_seed(0)
    flow = shaken(ZUKO[name]())
    width = flow().event_shape[0]
    model = wrap(flow, space=zoo.Real(width))
    assert model.name == type(flow).__name__
    assert model.density == "exact"
    artifact = model
    if name in EXPORTED:
        zoo.export(model, tmp_path / "artifact")
        artifact = zoo.open(tmp_path / "artifact", device="cpu")
    assert set(artifact.signatures) == {"sample", "log_prob", "encode", "decode"}
    noise = model.methods["sample"].noise["noise"]
    assert noise.kind == ("uniform" if name == "circular" else "normal")
    z = torch.from_numpy(reference.draw(noise, np.arange(6), seed=4, stream="sample/noise"))
    if name == "circular":
        z = (2 * z - 1) * torch.pi
    x = artifact.sample(6, seed=4)
    with torch.no_grad():
        own = flow().transform.inv(z)
        np.testing.assert_allclose(x, own, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(artifact.log_prob(x), flow().log_prob(torch.from_numpy(x)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(artifact.encode(x), z, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(artifact.decode(z.numpy()), x, rtol=1e-4, atol=1e-4)


def test_functions_over_a_zuko_flow_of_images(tmp_path):
    """What the docstring says of densities of raw observations: the scaling is the user's, with its Jacobian."""
    torch.manual_seed(0)
    space = zoo.Image(2, 2, 1)
    flow = shaken(zuko.flows.NICE(4, context=3, **SMALL))

    def log_prob(x, label):
        y = (x.reshape(-1, 4).to(torch.float32) + 0.5) / 256
        return flow(torch.eye(3)[label]).log_prob(y) - 4 * np.log(256)

    def sample(z, label):
        return flow(torch.eye(3)[label]).transform.inv(z).sigmoid()

    model = wrap(sample=sample, log_prob=log_prob, noise=zoo.Normal(4), space=space, classes=3, density="lower_bound")
    zoo.export(model, tmp_path / "artifact")
    artifact = zoo.open(tmp_path / "artifact", device="cpu")
    x = artifact.sample(3, seed=0, label=2)
    own = log_prob(torch.from_numpy(x), torch.tensor([2, 2, 2])).detach()
    np.testing.assert_allclose(artifact.log_prob(x, label=2), own, rtol=1e-4)


def test_flows_that_wrap_does_not_take():
    with pytest.raises(InputError, match="density of real vectors"):
        wrap(zuko.flows.NICE(4, **SMALL), space=zoo.Image(2, 2, 1))
    with pytest.raises(InputError, match="without a context"):
        wrap(zuko.flows.NICE(4, context=2, **SMALL), space=zoo.Real(4))
    with pytest.raises(InputError, match="conflicts with"):
        wrap(zuko.flows.NICE(4, **SMALL), sample=lambda z: z, space=zoo.Real(4))
    with pytest.raises(InputError, match="density= conflicts with a NICE"):
        wrap(zuko.flows.NICE(4, **SMALL), density="lower_bound", space=zoo.Real(4))


def test_the_density_of_a_circular_flow_integrates_to_one():
    torch.manual_seed(0)
    model = wrap(shaken(zuko.flows.NCSF(1, bins=4, transforms=1, hidden_features=(8,))), space=zoo.Real(1))
    x = np.linspace(-8, 8, 4001, dtype=np.float32)[:, None]
    density = np.exp(model.log_prob(x))
    assert (density[np.abs(x[:, 0]) > 3.15] == 0).all()
    assert abs(density.sum() * (16 / 4000) - 1) < 0.02


@pytest.mark.parametrize("name", ["NAF", "UNAF", "BPF", "GF", "CNF"])
def test_flows_that_cannot_be_exported_are_named(name):
    with pytest.raises(InputError, match=f"^{name} cannot be exported: it "):
        wrap(getattr(zuko.flows, name)(2), space=zoo.Real(2))


def nflows_flow(name):
    flows, transforms, base = (
        pytest.importorskip(f"nflows.{m}") for m in ("flows", "transforms", "distributions.normal")
    )
    nets = pytest.importorskip("nflows.nn.nets")

    def net(inputs, outputs):
        return nets.ResidualNet(inputs, outputs, hidden_features=8)

    layers = {
        "maf": lambda: [
            transforms.MaskedAffineAutoregressiveTransform(6, 8),
            transforms.ReversePermutation(6),
            transforms.MaskedAffineAutoregressiveTransform(6, 8),
        ],
        "nsf": lambda: [
            transforms.PiecewiseRationalQuadraticCouplingTransform(
                [1, 0, 1, 0], net, num_bins=4, tails="linear", tail_bound=1.5
            ),
            transforms.ReversePermutation(4),
        ],
        "coupling": lambda: [
            transforms.AffineCouplingTransform([1, 0, 1, 0], net),
            transforms.RandomPermutation(4),
            transforms.LULinear(4, identity_init=False),
            transforms.AffineCouplingTransform([0, 1, 0, 1], net),
        ],
    }
    if name == "SimpleRealNVP":
        return flows.SimpleRealNVP(4, 8, 2, 1, batch_norm_between_layers=True)
    return flows.Flow(transforms.CompositeTransform(layers[name]()), base.StandardNormal([6 if name == "maf" else 4]))


@pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated")
@pytest.mark.parametrize("name", ["maf", "coupling", "nsf", "SimpleRealNVP"])
def test_an_nflows_flow(name, tmp_path):
    torch.manual_seed(0)
    width = 6 if name == "maf" else 4
    flow = shaken(nflows_flow(name))
    with torch.no_grad():
        for _ in range(40):  # batch norm starts with a variance of zero
            flow.log_prob(torch.randn(64, width))
    flow.eval()
    artifact = wrap(flow, space=zoo.Real(width))
    if name in EXPORTED:
        zoo.export(artifact, tmp_path / "artifact")
        artifact = zoo.open(tmp_path / "artifact", device="cpu")
    z = torch.from_numpy(reference.draw(zoo.Normal(width), np.arange(6), seed=4, stream="sample/noise"))
    x = artifact.sample(6, seed=4)
    with torch.no_grad():
        np.testing.assert_allclose(x, flow._transform.inverse(z)[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(artifact.log_prob(x), flow.log_prob(torch.from_numpy(x)), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(artifact.encode(x), flow.transform_to_noise(torch.from_numpy(x)), atol=1e-4)
    np.testing.assert_allclose(artifact.encode(x), z, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("other", [True, False])
def test_nflows_own_spline_comes_back(other, monkeypatch):
    """Inside one another, and with two threads of which the first ends first."""
    module = ModuleType("nflows.some")
    monkeypatch.setitem(sys.modules, "nflows.some", module)
    setattr(module, splines.NAME, own := object())
    with splines.traceable():
        assert getattr(module, splines.NAME) is own
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    inside, leave = threading.Event(), threading.Event()

    def second():
        with splines.traceable():
            inside.set()
            leave.wait(5)

    thread = threading.Thread(target=second)
    with splines.traceable():
        if other:
            thread.start()
            inside.wait(0.2)
        with splines.traceable():
            assert getattr(module, splines.NAME) is splines.spline
        assert getattr(module, splines.NAME) is splines.spline
    leave.set()
    if other:
        thread.join()
    assert getattr(module, splines.NAME) is own
