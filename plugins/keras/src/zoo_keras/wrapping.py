"""`wrap`: a Keras model that people already have, functional or subclassed, as a genzoo model, without a plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.eager import EagerModel
from zoo.signature import Call, Loop, Option, Tensor
from zoo.spaces import Labels, Space
from zoo.spec import Density
from zoo.wrapping import Wish, WrapConfig, WrappedNetwork, build
from zoo.wrapping.calling import user_line
from zoo.wrapping.units import Layout
from zoo_keras.backend import keras
from zoo_keras.network import KerasNetwork

Method = Callable[..., Any] | Call | Loop


def wrap(
    *,
    space: Space,
    sample: Method | None = None,
    log_prob: Method | None = None,
    encode: Method | None = None,
    decode: Method | None = None,
    predict: Method | None = None,
    noise: Any = None,
    init: Callable[..., Any] | None = None,
    step: Callable[..., Any] | None = None,
    finish: Callable[..., Any] | None = None,
    until: Callable[..., Any] | None = None,
    length: int | str | None = None,
    step_noise: Any = None,
    denoiser: Callable[..., Any] | None = None,
    schedule: Any = None,
    prediction: str | None = None,
    options: Mapping[str, Option | float] | None = None,
    inputs: Mapping[str, Tensor] | None = None,
    classes: Labels | Sequence[str] | int | None = None,
    density: Density | None = None,
    values: tuple[float, float] | None = None,
    layout: Layout | None = None,
    latent: int | Sequence[int] | None = None,
    name: str = "",
    family: str = "",
    modules: Sequence[Any] = (),
) -> EagerModel:
    """A model made of your own functions, to sample, score, encode, export and serve like any other.

        generator = keras.Sequential([keras.Input((128,)), layers.Dense(784, "tanh")])
        model = wrap(sample=generator, noise=zoo.Normal(128), space=zoo.Image(28, 28, 1))
        model.sample(16, seed=7)              # (16, 28, 28, 1) uint8
        zoo.export(model, "out/mine")         # checked against these functions, or it fails

    Each function works on a batch of tensors, first axis N, and draws no random numbers. It is run on a few examples
    here, to find shapes and to say early what is wrong. Your layers and models are used as they are (no
    copy), in evaluation mode while they run, and afterwards in the mode that you left them in.

    What a model does:

    - `sample(noise) -> x`: an observation from noise. `noise` says of what kind and shape one example's is:
      `zoo.Normal(...)`, `zoo.Uniform(...)`, or several in a tuple or dict, which `sample` then gets by position.
      With `decode` and no `sample`, samples are decoded noise.
    - `log_prob(x) -> (N,)` in nats. It gets raw observations of the space, whatever `values` says, because its nats
      are about them: whoever scales inside it adds the log-determinant of the scaling. `density` says what the
      number is: `"exact"` (unless given), `"lower_bound"` or `"unnormalized"`.
    - `encode(x) -> z`, `decode(z) -> x`; `latent` is the shape of one z where nothing else tells.
    - `predict(x)`: probabilities (N, classes), or a score (N,).

    A method may also be a `zoo.Call` or `zoo.Loop`, which is taken as it is: for noise in `encode` or `log_prob`.

    An iterative sampler is `init(noise...) -> state`, `step(i, state, step_noise...) -> state` and, if the state is no
    observation, `finish(state) -> x`, repeated `length` times: a number, or the name of an option. The state is a
    tensor or a dict of tensors with a row for each example; `i` is a 0-d int64 tensor; `init` may take `index`, the
    (N,) numbers of the examples. `until(state)` may end it early, with a 0-d bool; stop only where another step would
    change nothing, so that examples stay independent. It is exported as one ONNX `Loop`.

    A diffusion model is `denoiser(x_t, t)` and a `schedule`: the alphas_cumprod that it was trained with (it then
    predicts what `prediction` says, "epsilon" unless given, "v_prediction" or "sample"), or the scheduler itself with
    the attributes of diffusers' `DDIMScheduler`, `DDPMScheduler` or `DPMSolverMultistepScheduler`. `x_t`
    has its channels last, `t` is (N,) int64, and a class goes in by keyword. Options `steps` (its default is
    `length`), `order` (2: DPM-Solver++ 2M) and `eta`. `finish` may decode latents, whose shape is `noise`.

    Arguments that shape the rest:

    - `space`: what an observation is. Real vectors are float32 (N, width); images uint8 (N, height, width, channels).
    - `values`: for images, the floats of black and white, such as `(-1, 1)`: outputs are scaled from them, rounded and
      clipped, inputs of `encode` and `predict` scaled to them. If not given it is inferred from a few draws where they
      leave no doubt (for which an iterative sampler is run once to its end); integers are taken as they are; without it
      inputs are raw observations. `layout` is how an image lies in a tensor ("channels_first", "channels_last",
      "plane", "flat"), where its shape does not tell.
    - `options`: scalars that a caller may change, by name: a number or `zoo.Option`. A function that has a keyword of
      that name gets it, as a 0-d tensor.
    - `inputs`: what else each example is made from, such as a prompt, by name: `zoo.Tensor(dtype, shape)` of one
      example, integers with the range that they may have: `zoo.Tensor("int64", (77,), low=0, high=49407)`. A function
      that has a keyword of that name gets it, with the batch axis first; so does a caller give it.
    - `classes`: names, or how many. Functions get the class of each example, (N,) int64, by a keyword `label`,
      `labels`, `class_labels` or `y`.
    - `modules`: layers and models that the functions use and that could not be found in them: they are looked for in
      the functions themselves, their closures, defaults, bound objects and the methods that they name, partial
      arguments and globals.
    - `name`, `family`: what to call the model, and its place in the taxonomy ("vae", "gan", "diffusion", ...).

    Raises `InputError` where a function fails on examples, gives another shape or dtype than its space has, mixes
    rows, or draws random numbers of its own.
    """
    return build(WrappedKeras, (keras.Layer, torch.nn.Module), Wish(**locals()))


class WrappedKeras(WrappedNetwork, KerasNetwork):
    """The user's layers and models, and the methods made of the user's functions over them."""

    first = "channels_last"

    def __init__(self, space: Space, config: WrapConfig, classes: Labels | None, modules: list[Any]) -> None:
        super().__init__(space, config, classes)
        self.parts = [m for m in modules if isinstance(m, keras.Layer)]
        # modules of PyTorch: Keras would wrap each in a layer of its own, which is not what the functions call
        self.__dict__["loose"] = tuple(m for m in modules if not isinstance(m, keras.Layer))

    def cast(self, tensor: torch.Tensor, dtype: str) -> torch.Tensor:
        return tensor.to(getattr(torch, dtype))

    def watch(self, call: Callable[[], Any]) -> tuple[Any, list[str]]:
        with Watch() as watch:
            return call(), watch.found

    @contextmanager
    def inference(self) -> Iterator[None]:
        modes = [(m, m.training) for part in (self, *self.loose) for m in part.modules()]
        for part in self.loose:
            part.eval()
        try:
            with super().inference():
                yield
        finally:
            for module, mode in modes:  # each its own: a user may have frozen some
                module.training = mode


class Watch(TorchDispatchMode):
    """Notes the operations that draw random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in function.tags:
            line = user_line()
            self.found.append(f"{function.overloadpacket.__name__}{f' ({line})' if line else ''}")
        return function(*args, **(kwargs or {}))
