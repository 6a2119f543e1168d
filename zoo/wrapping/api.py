"""`wrap`, which is the same for every framework except for its networks and the whole models that it knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from zoo.eager import EagerModel
from zoo.errors import InputError
from zoo.signature import Call, Loop, Noise, Option, Tensor
from zoo.spaces import Labels, Space
from zoo.spec import Density
from zoo.wrapping.arguments import FUNCTIONS, WrapArguments, WrapConfig, WrappedNetwork
from zoo.wrapping.build import build
from zoo.wrapping.units import Layout

Function = Callable[..., Any]
Method = Function | Call | Loop
Arguments = Mapping[str, Any]


class Wrap:
    """The `wrap` of a framework. `kind` is its class of modules, `recognize` returns the arguments that stand for a
    whole model, or None if it is unknown, and `known` describes the known ones."""

    def __init__(
        self,
        network_class: Callable[[Space, WrapConfig, Labels | None, list[Any]], WrappedNetwork],
        kind: type | tuple[type, ...],
        recognize: Callable[[Any, Space], Arguments | None],
        known: str,
    ) -> None:
        self.network_class, self.kind, self.recognize, self.known = network_class, kind, recognize, known

    def __call__(
        self,
        model: Any = None,
        *,
        space: Space,
        sample: Method | None = None,
        log_prob: Method | None = None,
        encode: Method | None = None,
        decode: Method | None = None,
        predict: Method | None = None,
        noise: Any = None,
        init: Function | None = None,
        step: Function | None = None,
        finish: Function | None = None,
        until: Function | None = None,
        length: int | str | None = None,
        step_noise: Any = None,
        denoiser: Function | None = None,
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
        """A model made from your own functions, to sample, score, encode, export and serve like any other.

            generator = nn.Sequential(nn.Linear(128, 784), nn.Tanh())  # or a Keras model
            model = wrap(sample=generator, noise=zoo.Normal(128), space=zoo.Image(28, 28, 1))
            model.sample(16, seed=7)              # (16, 28, 28, 1) uint8
            zoo.export(model, "out/mine")         # checked against these functions, or it fails

        Each function works on a batch of tensors, first axis N, and draws no random numbers. It is run on a few
        examples here, to find shapes and to report errors early. Your modules are used as they are (no copy), in
        evaluation mode while they run; afterwards their mode is restored.

        The methods of the model:

        - `sample(noise) -> x`: an observation from noise. `noise` is the kind and shape of the noise of one example:
          `zoo.Normal(...)`, `zoo.Uniform(...)`, or several in a tuple or dict, which are passed by position. With
          `decode` and no `sample`, samples are decoded noise.
        - `log_prob(x) -> (N,)` in nats. It receives raw observations of the space, regardless of `values`, because its
          nats refer to them: a function that scales them must add the log-determinant of the scaling. `density` is
          `"exact"` (the default), `"lower_bound"` or `"unnormalized"`.
        - `encode(x) -> z`, `decode(z) -> x`; `latent` is the shape of one z if nothing else determines it.
        - `predict(x)`: probabilities (N, classes), or a score (N,).

        A method may also be a `zoo.Call` or `zoo.Loop`, which is used unchanged: for noise in `encode` or `log_prob`.

        An iterative sampler is `init(noise...) -> state`, `step(i, state, step_noise...) -> state` and, if the state is
        not an observation, `finish(state) -> x`. `length` is the number of steps, or the name of an option. The state
        is a tensor or a dict of tensors with a row for each example; `i` is a 0-d int64 tensor; `init` may take
        `index`, the (N,) numbers of the examples. `until(state)` may end it early, with a 0-d bool; stop only when
        another step would change nothing, so that examples stay independent. It is exported as one ONNX `Loop`.

        A diffusion model is `denoiser(x_t, t)` and a `schedule`: the alphas_cumprod of its training (`prediction` is
        then "epsilon", the default, "v_prediction" or "sample"), or the scheduler itself with the attributes of
        diffusers' `DDIMScheduler`, `DDPMScheduler` or `DPMSolverMultistepScheduler`. `x_t` has the framework's layout
        (channels first in PyTorch, last in Keras), `t` is (N,) int64, and a class is passed by keyword. Options are
        `steps` (default `length`), `order` (2: DPM-Solver++ 2M) and `eta`. `finish` may decode latents, whose shape is
        `noise`.

        `model` is a whole model instead of functions: one that wrap knows by its parts (in PyTorch a flow of zuko or
        nflows, as in `wrap(zuko.flows.NSF(2), space=zoo.Real(2))`, or a `GaussianDiffusion` of
        denoising-diffusion-pytorch; in Keras a model with an `encoder` and a `decoder`, or a `generator`), or any other
        if its arguments tell its kind: with `schedule` it is a denoiser, with `noise` a generator, with `classes` alone
        a classifier.

        Further arguments:

        - `space`: the sample space. Real vectors are float32 (N, width); images uint8 (N, height, width, channels).
        - `values`: for images, the floats of black and white, such as `(-1, 1)`: outputs are scaled from them, rounded
          and clipped, inputs of `encode` and `predict` scaled to them. By default they are inferred from a few draws,
          if these are unambiguous and take only a few seconds; an iterative sampler has to run to its end. Integer
          outputs are used unchanged; without `values`, inputs are raw observations. `layout` is the layout of an image
          tensor ("channels_first", "channels_last", "plane", "flat"), if its shape is ambiguous.
        - `options`: scalars that a caller may change, by name: a number or `zoo.Option`. A function with a keyword of
          that name receives it, as a 0-d tensor.
        - `inputs`: other inputs per example, such as a prompt, by name: `zoo.Tensor(dtype, shape)` of one example,
          integers with their range: `zoo.Tensor("int64", (77,), low=0, high=49407)`. Callers pass it with the batch
          axis first, and a function with a keyword of that name receives it so.
        - `classes`: names, or how many. Functions receive the class of each example, (N,) int64, by a keyword `label`,
          `labels`, `class_labels` or `y`.
        - `modules`: modules or layers that the functions use and that could not be found. They are searched in the
          functions themselves, their closures, defaults, bound objects and the methods that they name, partial
          arguments and globals.
        - `name`, `family`: the name of the model, and its place in the taxonomy ("vae", "gan", "diffusion", ...).

        Raises `InputError` if a function fails on examples, returns a shape or dtype that its space does not have,
        mixes rows, or draws random numbers.
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "model")}
        arguments = WrapArguments(**given)
        return build(self.network_class, self.kind, arguments if model is None else self._fill(arguments, model))

    def _fill(self, arguments: WrapArguments, model: Any) -> WrapArguments:
        """The arguments completed by those of a known model; `InputError` if they conflict."""
        found = self.recognize(model, arguments.space) or self._told(arguments, model)
        for name, value in found.items():
            own = getattr(arguments, name)
            if own is not None and not (isinstance(own, (str, tuple, Noise)) and own in ("", value)):
                raise InputError(f"{name}= conflicts with a {type(model).__name__}, which defines it; give one.")
        return replace(arguments, name=arguments.name or type(model).__name__, **found)

    def _told(self, arguments: WrapArguments, model: Any) -> Arguments:
        """The role of a model, inferred from the other arguments: a denoiser, a generator or a classifier."""
        told = {"schedule": "denoiser", "noise": "sample", "classes": "predict"}
        beside = next((name for name in told if getattr(arguments, name) is not None), None)
        if beside is not None and all(getattr(arguments, name) is None for name in FUNCTIONS if name != "finish"):
            return {told[beside]: model}
        raise InputError(
            f"wrap does not know what a {type(model).__name__} does: name its role, as in wrap(sample=model, "
            f"noise=..., space=...) or with log_prob=, encode=, decode=, predict= or denoiser=. It knows {self.known}; "
            "any other is a generator if noise= is given, a denoiser with schedule=, and a classifier with classes=."
        )
