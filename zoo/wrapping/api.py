"""`wrap`, the same for every framework but for its networks and the whole models that it knows."""

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
    """The `wrap` of a framework. `kind` is its class of modules, `recognize` gives the arguments that a whole model
    stands for, None for one that it does not know, and `known` says which it knows."""

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
        """A model made of your own functions, to sample, score, encode, export and serve like any other.

            generator = nn.Sequential(nn.Linear(128, 784), nn.Tanh())  # or a Keras model
            model = wrap(sample=generator, noise=zoo.Normal(128), space=zoo.Image(28, 28, 1))
            model.sample(16, seed=7)              # (16, 28, 28, 1) uint8
            zoo.export(model, "out/mine")         # checked against these functions, or it fails

        Each function works on a batch of tensors, first axis N, and draws no random numbers. It is run on a few
        examples here, to find shapes and to say early what is wrong. Your modules are used as they are (no copy), in
        evaluation mode while they run, and afterwards in the mode that you left them in.

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

        An iterative sampler is `init(noise...) -> state`, `step(i, state, step_noise...) -> state` and, if the state is
        no observation, `finish(state) -> x`, repeated `length` times: a number, or the name of an option. The state is
        a tensor or a dict of tensors with a row for each example; `i` is a 0-d int64 tensor; `init` may take `index`,
        the (N,) numbers of the examples. `until(state)` may end it early, with a 0-d bool; stop only where another step
        would change nothing, so that examples stay independent. It is exported as one ONNX `Loop`.

        A diffusion model is `denoiser(x_t, t)` and a `schedule`: the alphas_cumprod that it was trained with (it then
        predicts what `prediction` says, "epsilon" unless given, "v_prediction" or "sample"), or the scheduler itself
        with the attributes of diffusers' `DDIMScheduler`, `DDPMScheduler` or `DPMSolverMultistepScheduler`. `x_t` has
        the framework's layout (channels first in PyTorch, last in Keras), `t` is (N,) int64, and a class goes in by
        keyword. Options `steps` (its default is `length`), `order` (2: DPM-Solver++ 2M) and `eta`. `finish` may decode
        latents, whose shape is `noise`.

        `model` is a whole model in place of functions: one that wrap knows by its parts (in PyTorch a flow of zuko or
        nflows, as in `wrap(zuko.flows.NSF(2), space=zoo.Real(2))`, or a `GaussianDiffusion` of
        denoising-diffusion-pytorch; in Keras a model with an `encoder` and a `decoder`, or a `generator`), or any other
        whose kind the arguments beside it tell: with `schedule` it is a denoiser, with `noise` a generator, with
        `classes` alone a classifier.

        Arguments that shape the rest:

        - `space`: what an observation is. Real vectors are float32 (N, width); images uint8 (N, height, width,
          channels).
        - `values`: for images, the floats of black and white, such as `(-1, 1)`: outputs are scaled from them, rounded
          and clipped, inputs of `encode` and `predict` scaled to them. If not given it is inferred from a few draws
          where they leave no doubt, and take a few seconds: an iterative sampler has to be run to its end for them.
          Integers are taken as they are; without it inputs are raw observations. `layout` is how an image lies in a
          tensor ("channels_first", "channels_last", "plane", "flat"), where its shape does not tell.
        - `options`: scalars that a caller may change, by name: a number or `zoo.Option`. A function that has a keyword
          of that name gets it, as a 0-d tensor.
        - `inputs`: what else each example is made from, such as a prompt, by name: `zoo.Tensor(dtype, shape)` of one
          example, integers with the range that they may have: `zoo.Tensor("int64", (77,), low=0, high=49407)`. A
          function that has a keyword of that name gets it, with the batch axis first; so does a caller give it.
        - `classes`: names, or how many. Functions get the class of each example, (N,) int64, by a keyword `label`,
          `labels`, `class_labels` or `y`.
        - `modules`: modules or layers that the functions use and that could not be found in them: they are looked for
          in the functions themselves, their closures, defaults, bound objects and the methods that they name, partial
          arguments and globals.
        - `name`, `family`: what to call the model, and its place in the taxonomy ("vae", "gan", "diffusion", ...).

        Raises `InputError` where a function fails on examples, gives another shape or dtype than its space has, mixes
        rows, or draws random numbers of its own.
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "model")}
        arguments = WrapArguments(**given)
        return build(self.network_class, self.kind, arguments if model is None else self._fill(arguments, model))

    def _fill(self, arguments: WrapArguments, model: Any) -> WrapArguments:
        """The arguments completed by those of a known model; `InputError` where they differ."""
        found = self.recognize(model, arguments.space) or self._told(arguments, model)
        for name, value in found.items():
            own = getattr(arguments, name)
            if own is not None and not (isinstance(own, (str, tuple, Noise)) and own in ("", value)):
                raise InputError(f"{name}= and a {type(model).__name__} are two ways to say one thing; give one.")
        return replace(arguments, name=arguments.name or type(model).__name__, **found)

    def _told(self, arguments: WrapArguments, model: Any) -> Arguments:
        """What a model is by the arguments beside it: a denoiser, a generator or a classifier."""
        told = {"schedule": "denoiser", "noise": "sample", "classes": "predict"}
        beside = next((name for name in told if getattr(arguments, name) is not None), None)
        if beside is not None and all(getattr(arguments, name) is None for name in FUNCTIONS if name != "finish"):
            return {told[beside]: model}
        raise InputError(
            f"wrap does not know what a {type(model).__name__} does: say it, as in wrap(sample=model, noise=..., "
            f"space=...) or with log_prob=, encode=, decode=, predict= or denoiser=. It knows {self.known}; beside any "
            "other, noise= says that it is a generator, schedule= a denoiser, and classes= a classifier."
        )
