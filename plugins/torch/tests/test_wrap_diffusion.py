"""Denoisers with their schedules: the rows are those of the scheduler's own loop, from the same noise."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from zoo_torch import wrap

import zoo
from zoo import noise as reference
from zoo.errors import InputError
from zoo.wrapping.diffusion import Schedule, Walk, read_schedule

# of diffusers' own, with a new numpy
diffusers_warns = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SPACE, SHAPE = zoo.Image(8, 8, 1), (1, 8, 8)


def drawn(name, count, seed, step=0, shape=SHAPE):
    noise = zoo.Normal(*shape)
    return torch.from_numpy(reference.draw(noise, np.arange(count), seed=seed, stream=f"sample/{name}", step=step))


def levels(x, low=-1, high=1):
    y = ((x - low) * (255 / (high - low))).round().clamp(0, 255)
    return y.to(torch.uint8).permute(0, 2, 3, 1).numpy()


def almost_equal(a, b):
    """Equal, but for single pixels on the border between two levels."""
    gap = np.abs(a.astype(int) - b)
    return gap.max() <= 1 and (gap > 0).mean() < 0.01 and a.std() > 5


class Denoiser(nn.Module):
    """Takes (x, t) and gives an object with `.sample`, as the UNets of diffusers do."""

    def __init__(self, classes=None):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.SiLU(), nn.Dropout(0.3), nn.Conv2d(8, 1, 3, padding=1)
        )
        self.time = nn.Linear(1, 1)
        self.table = nn.Embedding(classes, 1) if classes else None

    def forward(self, sample, timestep, class_labels=None):
        t = self.time(timestep.reshape(-1, 1).to(torch.float32) / 1000)
        if class_labels is not None:
            t = t + self.table(class_labels)
        y = self.net(sample) + t[:, :, None, None]
        return SimpleNamespace(sample=y + 0.5 * sample)


@pytest.mark.parametrize("halves", [lambda y: y.chunk(2), lambda y: y.split(len(y) // 2)])
def test_guidance_that_doubles_the_batch(halves, tmp_path):
    net = Denoiser(classes=4).eval()

    def guided(x, t, label, guidance):
        both = torch.cat([label, torch.full_like(label, 3)])  # the last stands for none
        conditional, plain = halves(net(torch.cat([x, x]), torch.cat([t, t]), both).sample)
        return plain + guidance * (conditional - plain)

    def twice(x, t, label, guidance):
        plain = net(x, t, torch.full_like(label, 3)).sample
        return plain + guidance * (net(x, t, label).sample - plain)

    signal = np.cumprod(1 - np.linspace(1e-4, 0.02, 100))
    given = {"schedule": signal, "length": 3, "space": SPACE, "classes": 3, "options": {"guidance": 2.0}}
    zoo.export(wrap(denoiser=guided, **given), tmp_path / "artifact")
    artifact, label = zoo.open(tmp_path / "artifact", device="cpu"), [0, 1, 2, 0, 1]
    rows = artifact.sample(5, seed=1, label=label, guidance=3.0)
    assert almost_equal(rows, wrap(denoiser=twice, **given).sample(5, seed=1, label=label, guidance=3.0))


diffusers_cases = {
    "ddim": ("DDIMScheduler", {}, 7, 0.0),
    "ddim-eta": ("DDIMScheduler", {}, 10, 1.0),
    "velocity": ("DDIMScheduler", {"timestep_spacing": "trailing", "prediction_type": "v_prediction"}, 7, 0.3),
    "linspace": ("DDIMScheduler", {"timestep_spacing": "linspace", "set_alpha_to_one": False}, 7, 0.5),
    "sample": ("DDIMScheduler", {"steps_offset": 1, "prediction_type": "sample", "clip_sample_range": 0.7}, 7, 0.0),
    "unclipped": ("DDIMScheduler", {"clip_sample": False, "beta_schedule": "squaredcos_cap_v2"}, 5, 0.0),
    "ddpm": ("DDPMScheduler", {}, 9, None),
    "ddpm-velocity": ("DDPMScheduler", {"timestep_spacing": "trailing", "prediction_type": "v_prediction"}, 9, None),
    "solver": ("DPMSolverMultistepScheduler", {}, 7, None),
    "solver-many": ("DPMSolverMultistepScheduler", {"beta_schedule": "scaled_linear"}, 20, None),
    "solver-leading": ("DPMSolverMultistepScheduler", {"timestep_spacing": "leading", "steps_offset": 1}, 7, None),
    "solver-velocity": (
        "DPMSolverMultistepScheduler", {"timestep_spacing": "trailing", "prediction_type": "v_prediction"}, 9, None
    ),
    "solver-sample": ("DPMSolverMultistepScheduler", {"prediction_type": "sample", "euler_at_final": True}, 9, None),
    "solver-first": ("DPMSolverMultistepScheduler", {"solver_order": 1}, 7, None),
    "solver-sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, 9, None),
}  # fmt: skip


@diffusers_warns
@pytest.mark.parametrize("case", diffusers_cases)
def test_rows_are_those_of_the_scheduler_s_loop(case, monkeypatch):
    diffusers = pytest.importorskip("diffusers")
    kind, config, steps, eta = diffusers_cases[case]
    scheduler, net = getattr(diffusers, kind)(**config), Denoiser().train()
    model = wrap(denoiser=net, schedule=scheduler, space=SPACE)
    rows = model.sample(4, seed=3, steps=steps, **({} if eta is None else {"eta": eta}))
    assert net.training
    net.eval()
    scheduler.set_timesteps(steps)
    x = drawn("start", 4, 3)
    with torch.no_grad():
        for i, t in enumerate(scheduler.timesteps):
            z, output = drawn("z", 4, 3, i), net(x, t).sample
            if kind == "DPMSolverMultistepScheduler":
                x = scheduler.step(output, t, x, variance_noise=z).prev_sample
            elif eta is None:
                monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *a, z=z, **k: z)
                x = scheduler.step(output, t, x).prev_sample
            else:
                more = {"eta": eta, "variance_noise": z} if eta else {}
                x = scheduler.step(output, t, x, **more).prev_sample
    assert almost_equal(rows, levels(x))


@diffusers_warns
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("kind", ["DDIMScheduler", "DDPMScheduler", "DPMSolverMultistepScheduler"])
def test_times_are_those_that_the_scheduler_computes(kind, spacing):
    diffusers = pytest.importorskip("diffusers")
    scheduler = getattr(diffusers, kind)(timestep_spacing=spacing, steps_offset=1)
    network = SimpleNamespace(
        cast=lambda t, dtype: t.to(getattr(torch, dtype)), tensor=lambda a: torch.from_numpy(np.array(a))
    )
    schedule = read_schedule(scheduler)
    walk = Walk(network, schedule)
    for steps in (1, 2, 3, 7, 10, 27, 50, 99, 333, 499, schedule.most):
        scheduler.set_timesteps(steps)
        times = scheduler.timesteps.tolist()
        assert times[0] < 1000
        later = [t - 1000 // steps for t in times] if kind == "DDIMScheduler" else [*times[1:], -1]
        for i in {0, 1, steps // 2, steps - 1} & set(range(steps)):
            now, before = walk.times(torch.tensor(i), torch.tensor(steps))
            assert (int(now), int(before)) == (times[i], later[i]), (steps, i)


def test_a_unet_of_diffusers_is_exported(tmp_path, loop_convolutions):
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    model = wrap(denoiser=unet, schedule=diffusers.DDIMScheduler(), space=SPACE, length=4, family="diffusion")
    zoo.export(model, tmp_path / "artifact")
    artifact = zoo.open(tmp_path / "artifact", device="cpu")
    for order in (1, 2):
        rows = artifact.sample(3, seed=1, steps=6, order=order, eta=0.5)
        assert almost_equal(rows, model.sample(3, seed=1, steps=6, order=order, eta=0.5))
    assert artifact.signatures["sample"].options["steps"].default == 4
    assert sum(loop_convolutions(tmp_path / "artifact" / "sample.onnx").values()) > 5  # the U-Net is inside the loop


def test_classes_and_an_array_as_the_schedule(tmp_path):
    net = Denoiser(classes=3)
    signal = torch.cumprod(1 - torch.linspace(1e-3, 0.2, 40), 0)
    model = wrap(
        denoiser=net, schedule=signal, prediction="v_prediction", space=SPACE, classes=3, length=5, options={"eta": 0.2}
    )
    zoo.export(model, tmp_path / "artifact")
    artifact = zoo.open(tmp_path / "artifact", device="cpu")
    rows = artifact.sample(3, seed=0, label=[0, 1, 2])
    assert almost_equal(rows, model.sample(3, seed=0, label=[0, 1, 2]))
    assert not almost_equal(rows, model.sample(3, seed=0, label=[1, 1, 1]))


def normal(signal, prediction="epsilon", s=0.5):
    """For normal data with a deviation of s, the best estimate and where the equation leads are known: `error(steps,
    order)` of a sampler of it, down to the noise of the first time."""
    table = torch.from_numpy(signal)

    def denoiser(x, t):
        a, b = table[t][:, None] ** 0.5, (1 - table[t][:, None]) ** 0.5
        image = a * s**2 * x / (a**2 * s**2 + b**2)
        return {"epsilon": (x - a * image) / b, "sample": image, "v_prediction": (a * x - image) / b}[prediction]

    schedule = Schedule(signal, final=float(signal[0]), prediction=prediction)
    model = wrap(denoiser=denoiser, schedule=schedule, space=zoo.Real(2))
    start = drawn("start", 50, 0, shape=(2,)).numpy()
    exact = start * np.sqrt((signal[0] * s**2 + 1 - signal[0]) / (signal[-1] * s**2 + 1 - signal[-1]))
    return lambda steps, order: float(
        np.sqrt(np.mean((model.sample(50, seed=0, steps=steps, order=order) - exact) ** 2))
    )


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_the_error_falls_with_the_order_of_the_solver(prediction):
    error = normal(1 / (1 + np.exp(np.linspace(-6, 6, 2000))), prediction)
    for order in (1, 2):
        errors = [error(steps, order) for steps in (20, 40, 80)]
        assert errors[0] < 0.05
        for few, many in itertools.pairwise(errors):  # twice the steps: half the error, or a quarter
            assert abs(np.log2(few / many) - order) < 0.25


def test_the_last_step_does_not_go_far_beyond_the_estimate():
    """Its log-SNR changes by many times what it changed by before."""
    error = normal(np.cumprod(1 - np.linspace(1e-4, 2e-2, 1000)).astype(np.float32))
    for steps in (10, 20):
        assert error(steps, 2) < error(steps, 1)


def test_no_step_is_lost_where_a_time_comes_twice():
    """`linspace` rounds two times of 999 steps to one: there is no line through two estimates of one time."""
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DPMSolverMultistepScheduler()
    model = wrap(denoiser=lambda x, t: 0.5 * x, schedule=scheduler, space=zoo.Real(2))
    few, many = (model.sample(4, seed=0, steps=steps) for steps in (200, 1000))
    assert np.allclose(few, many, rtol=0.02)


def test_points_and_decoded_latents():
    signal = np.linspace(0.99, 0.01, 30)
    points = wrap(denoiser=lambda x, t: x * 0.5, schedule=signal, space=zoo.Real(2), length=3)
    assert points.sample(5, seed=0).shape == (5, 2)
    decoder = nn.Sequential(nn.Linear(4, 64), nn.Sigmoid())
    latent = wrap(denoiser=lambda x, t: x * 0.5, schedule=signal, noise=zoo.Normal(4), finish=decoder, space=SPACE)
    assert latent.sample(2, seed=0).shape == (2, 8, 8, 1)
    assert latent.network.config.values == (0.0, 1.0)


class GaussianDiffusion(nn.Module):
    """The shape and the samplers of `GaussianDiffusion` in denoising-diffusion-pytorch (which needs torchvision)."""

    def __init__(self, objective, sampling=None, eta=0.0, timesteps=20):
        super().__init__()
        self.model = Denoiser()
        self.model.register_forward_hook(lambda m, a, out: out.sample)  # its Unet gives the tensor itself
        self.objective, self.channels, self.image_size, self.self_condition = objective, 1, (8, 8), False
        self.num_timesteps, self.sampling_timesteps = timesteps, sampling or timesteps
        self.is_ddim_sampling, self.ddim_sampling_eta = self.sampling_timesteps < timesteps, eta
        betas = torch.linspace(1e-3, 0.3, timesteps)
        self.register_buffer("betas", betas)
        self.register_buffer("alphas_cumprod", torch.cumprod(1 - betas, 0))
        self.unnormalize = lambda t: (t + 1) * 0.5

    def predictions(self, x, t):
        a = self.alphas_cumprod[t]
        out = self.model(x, torch.full((len(x),), t))
        start = {
            "pred_noise": (1 / a).sqrt() * x - (1 / a - 1).sqrt() * out,
            "pred_x0": out,
            "pred_v": a.sqrt() * x - (1 - a).sqrt() * out,
        }[self.objective].clamp(-1, 1)
        return ((1 / a).sqrt() * x - start) / (1 / a - 1).sqrt(), start

    @torch.no_grad()
    def sample(self, count, seed):
        x, total, steps = drawn("start", count, seed), self.num_timesteps, self.sampling_timesteps
        if self.is_ddim_sampling:
            times = list(reversed(torch.linspace(-1, total - 1, steps=steps + 1).int().tolist()))
        else:
            times = list(range(total - 1, -2, -1))
        for i, (now, then) in enumerate(itertools.pairwise(times)):
            noise, start = self.predictions(x, now)
            z = drawn("z", count, seed, i)
            if not self.is_ddim_sampling:
                a, before = self.alphas_cumprod[now], self.alphas_cumprod[now - 1] if now else torch.tensor(1.0)
                beta = self.betas[now]
                mean = beta * before.sqrt() / (1 - a) * start + (1 - before) * (1 - beta).sqrt() / (1 - a) * x
                x = mean + (beta * (1 - before) / (1 - a)).sqrt() * (z if now else 0)
            elif then < 0:
                x = start
            else:
                a, a2 = self.alphas_cumprod[now], self.alphas_cumprod[then]
                sigma = self.ddim_sampling_eta * ((1 - a / a2) * (1 - a2) / (1 - a)).sqrt()
                x = start * a2.sqrt() + (1 - a2 - sigma**2).sqrt() * noise + sigma * z
        return self.unnormalize(x)


@pytest.mark.parametrize(("objective", "sampling", "eta"), [
    ("pred_noise", None, 0.0), ("pred_x0", None, 0.0), ("pred_v", 6, 0.0), ("pred_noise", 7, 0.8)
])  # fmt: skip
def test_a_gaussian_diffusion_gives_its_own_samples(objective, sampling, eta):
    diffusion = GaussianDiffusion(objective, sampling, eta).train()
    model = wrap(diffusion, space=SPACE)
    rows = model.sample(4, seed=2)
    assert diffusion.training
    diffusion.eval()
    assert almost_equal(rows, levels(diffusion.sample(4, 2), 0, 1))


def wrong(**config):
    return SimpleNamespace(alphas_cumprod=np.linspace(0.99, 0.1, 10), config=SimpleNamespace(**config))


@pytest.mark.parametrize(("schedule", "message"), [
    (wrong(thresholding=True), "thresholding"),
    (wrong(prediction_type="flow"), "predicts 'flow'"),
    (wrong(timestep_spacing="odd"), "timestep_spacing is 'odd'"),
    (wrong(variance_type="learned"), "variance_type is 'learned'"),
    (np.linspace(0.1, 0.99, 10), "alphas_cumprod"),
    (np.ones((3, 3)), "alphas_cumprod"),
    ("linear", "schedule is str"),
    (None, "needs schedule="),
])  # fmt: skip
def test_schedules_that_wrap_does_not_take(schedule, message):
    with pytest.raises(InputError, match=message):
        wrap(denoiser=Denoiser(), schedule=schedule, space=SPACE)


SIGNAL = np.linspace(0.99, 0.1, 10)


@pytest.mark.parametrize(("more", "message"), [
    ({"noise": zoo.Uniform(1, 8, 8)}, "one noise, zoo.Normal"),
    ({"noise": (zoo.Normal(1, 8, 8), zoo.Normal(2))}, "one noise, zoo.Normal"),
    ({"length": "foo"}, "length is 'foo'; expected the number of denoising steps, from 1 to 10"),
    ({"length": 0}, "option steps=0; expected an integer from 1 to 10"),
    ({"length": 11}, "option steps=11"),
    ({"options": {"steps": 11}}, "option steps=11"),
    ({"init": lambda z: z}, "init= has no effect"),
    ({"until": lambda x: x}, "until= has no effect"),
    ({"step_noise": zoo.Normal(1)}, "step_noise= has no effect"),
    ({"schedule": None, "prediction": "epsilon"}, "needs schedule="),
])  # fmt: skip
def test_arguments_that_a_denoiser_does_not_take(more, message):
    with pytest.raises(InputError, match=message):
        wrap(**{"denoiser": lambda x, t: x, "schedule": SIGNAL, "space": SPACE, **more})


@pytest.mark.parametrize("more", [
    {"schedule": SIGNAL}, {"values": np.array([-1, 1])}, {"family": "gan"}, {"prediction": "epsilon"},
    {"density": "exact"},
])  # fmt: skip
def test_what_a_whole_model_says_itself(more):
    with pytest.raises(InputError, match=r"conflicts with|defines it|has no effect"):
        wrap(GaussianDiffusion("pred_noise"), space=SPACE, **more)


def test_the_same_said_twice_is_no_contradiction():
    model = wrap(GaussianDiffusion("pred_noise"), space=SPACE, family="diffusion", values=(-1, 1), name="mine")
    assert (model.name, model.meta["family"]) == ("mine", "diffusion")


@pytest.mark.parametrize(("config", "message"), [
    ({"algorithm_type": "dpmsolver"}, "algorithm_type is 'dpmsolver'; expected 'dpmsolver[+][+]' or"),
    ({"solver_order": 3}, "solver_order is 3; expected 1 or 2"),
    ({"solver_type": "heun"}, "solver_type is 'heun'; expected 'midpoint'"),
    ({"final_sigmas_type": "sigma_min"}, "final_sigmas_type"),
    ({"lambda_min_clipped": -5.1}, "lambda_min_clipped is -5.1; expected -inf"),
    ({"use_karras_sigmas": True}, "use_karras_sigmas is True; expected False"),
    ({"use_lu_lambdas": True}, "use_lu_lambdas"),
    ({"thresholding": True}, "thresholding"),
    ({"variance_type": "learned"}, "variance_type"),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_solvers_that_wrap_does_not_take(config, message):
    diffusers = pytest.importorskip("diffusers")
    if config.get("algorithm_type"):
        config["final_sigmas_type"] = "sigma_min"
    with pytest.raises(InputError, match=message):
        wrap(denoiser=Denoiser(), schedule=diffusers.DPMSolverMultistepScheduler(**config), space=SPACE)


def test_a_solver_made_of_another_scheduler_s_configuration():
    """What the configuration keeps for the other scheduler changes nothing."""
    diffusers = pytest.importorskip("diffusers")
    ddim = diffusers.DDIMScheduler(set_alpha_to_one=False, clip_sample=True)
    solver = diffusers.DPMSolverMultistepScheduler.from_config(ddim.config)
    found = read_schedule(solver)
    assert (found.final, found.clip, found.order, found.eta) == (1.0, None, 2, 0.0)
    sde = diffusers.DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++")
    back = read_schedule(diffusers.DDIMScheduler.from_config(sde.config))
    assert (back.order, back.eta, back.beyond) == (1, 0.0, False)


def test_schedulers_of_another_kind_and_learned_variances():
    diffusers = pytest.importorskip("diffusers")
    with pytest.raises(InputError, match="EulerDiscreteScheduler is not supported"):
        wrap(denoiser=Denoiser(), schedule=diffusers.EulerDiscreteScheduler(), space=SPACE)
    with pytest.raises(InputError, match="learned variance"):
        wrap(denoiser=lambda x, t: torch.cat([x, x], 1), schedule=np.linspace(0.9, 0.1, 9), space=SPACE)
    diffusion = GaussianDiffusion("pred_v")
    diffusion.self_condition = True
    with pytest.raises(InputError, match="self_condition"):
        wrap(diffusion, space=SPACE)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_schedule_that_starts_without_noise(prediction, eta, order):
    net = nn.Linear(2, 2)
    model = wrap(
        denoiser=lambda x, t: net(x), schedule=np.linspace(1, 1e-3, 40), prediction=prediction, space=zoo.Real(2)
    )
    x = model.sample(4, seed=0, eta=eta, order=order)
    assert np.isfinite(x).all()
    assert np.abs(x).max() < 1e3
