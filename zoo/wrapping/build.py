"""From the functions that a user gives to a model with methods, each run once on a few examples on the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, get_args

from zoo.eager import EagerModel
from zoo.errors import InputError
from zoo.model import FIRST_OUTPUT
from zoo.network import Network
from zoo.signature import Call, Loop, Method, Noise, Option, Tensor
from zoo.spaces import Labels, Space
from zoo.spec import Density
from zoo.wrapping import loops, probe
from zoo.wrapping.calling import Given, check_taken
from zoo.wrapping.diffusion import Schedule, denoising
from zoo.wrapping.modules import find
from zoo.wrapping.units import Layout, Units, View, infer_values


@dataclass(frozen=True)
class WrapConfig:
    """What an artifact says of a wrapped model: the user's functions, and how floats stand for an image's levels."""

    functions: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    values_from: str = ""  # "given", or which draws they were inferred from
    layouts: tuple[str, ...] = ()


class WrappedNetwork(Network):
    """What a framework's plugin adds to its base class to wrap functions: this, mixed in before it."""

    Config = WrapConfig
    spaces = (Space,)
    first: ClassVar[Layout]  # how people of this framework lay out images
    made: dict[str, Method]

    def methods(self) -> Mapping[str, Method]:
        return self.made

    def objectives(self) -> Mapping[str, Any]:
        return {}

    def cast(self, tensor: Any, dtype: str) -> Any:
        """A tensor with the dtype of this name."""
        raise NotImplementedError

    def watch(self, call: Callable[[], Any]) -> tuple[Any, list[str]]:
        """The result of `call()`, and the operations in it that draw random numbers, as `name (file:line)`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Wish:
    """The arguments of `wrap`, the same in every framework; its docstring says what they mean."""

    space: Space
    sample: Any = None
    log_prob: Any = None
    encode: Any = None
    decode: Any = None
    predict: Any = None
    noise: Any = None
    init: Any = None
    step: Any = None
    finish: Any = None
    until: Any = None
    length: int | str | None = None
    step_noise: Any = None
    denoiser: Any = None
    schedule: Schedule | None = None
    options: Mapping[str, Option | float] | None = None
    classes: Any = None
    density: Density = "exact"
    values: Any = None
    layout: Layout | None = None
    latent: int | Sequence[int] | None = None
    name: str = ""
    family: str = ""
    modules: Sequence[Any] = ()


FUNCTIONS = ("sample", "init", "step", "finish", "until", "denoiser", "log_prob", "encode", "decode", "predict")


def build(
    network_class: Callable[[Space, WrapConfig, Labels | None, list[Any]], WrappedNetwork],
    kind: type | tuple[type, ...],
    wish: Wish,
) -> EagerModel:
    """The model of a wish. `kind` is the framework's class of modules."""
    if not isinstance(wish.space, Space):
        raise InputError(f"space is {wish.space!r}; expected a sample space such as zoo.Image(28, 28, 1).")
    given = {name: f for name in FUNCTIONS if (f := getattr(wish, name)) is not None}
    modules = find([*wish.modules, *map(_functions, given.values())], kind)
    network = network_class(wish.space, WrapConfig(), labels(wish.classes), modules)
    return _Builder(network, wish, given).model()


class _Builder:
    def __init__(self, network: WrappedNetwork, wish: Wish, given: Mapping[str, Any]) -> None:
        self.network, self.wish, self.given = network, wish, given
        self.units = Units(wish.space, network.cast, network.first, wish.values, wish.layout)
        self.options = read_options(wish.options)
        self.noise = read_noise(wish.noise, "noise")
        self.adapted: list[Given] = []
        self.views: dict[str, View] = {}
        self.used: set[str] = set()  # options that no function needs to take
        self.inferred = ""  # how the range of an image's floats was found
        self.latent = _shape(wish.latent)
        self.name = wish.name or _title(given)
        if wish.density not in get_args(Density):
            raise InputError(f"density is {wish.density!r}; expected {', '.join(map(repr, get_args(Density)))}.")
        network.made = {}
        self.probe = probe.Probe(network, self.options)

    def model(self) -> EagerModel:
        network, wish, made = self.network, self.wish, self.network.made
        sampler = self._sampler()
        if sampler is not None:
            made["sample"] = sampler
            self._infer_values("sample")
        # decode first: its outputs tell the range of an image's floats, which the inputs of the others are scaled to
        for method in ("log_prob", "decode", "encode", "predict"):
            function = self.given.get(method)
            if isinstance(function, (Call, Loop)):
                made[method] = function
            elif function is not None:
                made[method] = getattr(self, f"_{method}")(Given(method, function))
                if method == "decode":
                    self._infer_values("decode")
        if self.noise and "sample" not in made:
            if "decode" not in made or len(self.noise) != 1:
                raise InputError("noise= was given, and no sampler that takes it: give sample=, or init= and step=.")
            made["sample"] = self._decoded_noise(made["decode"])
        if not made:
            raise InputError("nothing to wrap; give sample=, log_prob=, encode=, decode= or predict=, or a flow.")
        check_taken(
            set(self.options) - self.used,
            network.classes is not None and "predict" not in made,
            self.adapted,
        )
        network.made = {m: made[m] for m in FIRST_OUTPUT if m in made}
        network.density = wish.density if "log_prob" in made else None
        network.config = WrapConfig(
            tuple(f"{what}: {_title({what: f})}" for what, f in self.given.items()),
            self.units.values or (),
            "" if self.units.values is None else "given" if wish.values is not None else self.inferred,
            tuple(f"{what}: {v.layout}" for what, v in self.views.items() if v.layout),
        )
        meta = {"architecture": type(network).__name__, "family": wish.family}
        model = EagerModel(network, self.name, meta)
        for method in ("sample", *("log_prob", "encode", "decode", "predict")):
            if isinstance(self.given.get(method), (Call, Loop)):
                self.probe.whole(model, method)
        return model

    # ---- samplers ----------------------------------------------------------------------------------------------

    def _sampler(self) -> Method | None:
        given, wish = self.given, self.wish
        ways = [w for w in ("sample", "step", "denoiser") if w in given]
        if len(ways) > 1:
            raise InputError(f"{' and '.join(f'{w}=' for w in ways)} are two samplers; give one.")
        if "denoiser" in given:
            return self._denoiser()
        if "step" in given or "init" in given:
            return self._loop()
        if wish.step_noise is not None or wish.finish is not None:
            raise InputError("step_noise= and finish= belong to an iterative sampler: give init= and step= too.")
        if "sample" not in given or isinstance(given["sample"], (Call, Loop)):
            return given.get("sample")
        if not self.noise:
            raise InputError(
                "sample= needs noise=: what one example is made from, such as noise=zoo.Normal(128). Draw nothing "
                "inside: the model that is exported gets its noise from a seed."
            )
        sample = self._bind("sample", self.noise)
        inputs = self._label(sample)
        arguments = self.probe.arguments("sample", inputs, self.noise)

        def raw(**named: Any) -> Any:
            return sample(*(named[n] for n in self.noise), **named)

        view = self._view("sample", self.probe.run("sample", lambda: raw(**arguments)))

        def function(**named: Any) -> Any:
            return self.units.observe(raw(**named), view)

        return Call(function, inputs, {"x": self.wish.space.tensor}, self.noise, self._taken(sample))

    def _loop(self) -> Loop:
        if "init" not in self.given or "step" not in self.given:
            raise InputError("an iterative sampler is init= and step=, and finish= if its state is not an observation.")
        length = loops.read_length(self.wish.length, self.options)
        self.used.add(str(length))
        fresh = read_noise(self.wish.step_noise, "step_noise")
        init = self._bind("init", self.noise, extra=("index",))
        step = self._bind("step", ("i", "state", *fresh))
        finish, until = self._after("finish"), self._after("until")
        inputs = self._label(init, step)
        parts = loops.Parts(init, step, finish, until, tuple(self.noise), tuple(fresh))
        state, y = loops.try_out(parts, self.probe, inputs, self.noise, fresh)
        view = self._view("finish" if finish else "step", y)
        options = {n: o for n, o in self.options.items() if n in init.keywords or n in step.keywords or n == length}
        return Loop(
            length,
            parts.first,
            parts.next,
            lambda state: self.units.observe(parts.last(state), view),
            state,
            inputs,
            {"x": self.wish.space.tensor},
            init_noise=self.noise,
            noise=fresh,
            options=options,
            until=parts.stop if until else None,
        )

    def _denoiser(self) -> Loop:
        schedule, space = self.wish.schedule, self.wish.space
        if schedule is None:
            raise InputError("denoiser= needs schedule=: the noise levels that it was trained with, or a scheduler.")
        image = self.units.image is not None
        shape: tuple[Any, ...] = self.units.layouts()[self.units.layout or self.network.first] if image else space.shape
        if self.noise:
            (shape,) = (n.shape for n in self.noise.values())
        denoiser = self._bind("denoiser", ("x_t", "t"))
        finish = self._after("finish")
        if image and self.units.values is None and finish is None:
            self.units.values = (-1.0, 1.0)  # what such models are trained on
            self.inferred = "the usual range of a denoiser"
        inputs = self._label(denoiser)
        length = self.wish.length
        self.used |= {"steps", "eta"}
        loop = denoising(self.network, denoiser, schedule, shape, inputs, length, self.options)
        y = self.probe.loop(loop, "denoiser", inputs)
        if finish:
            y = self.probe.run("finish", partial(finish, y))
        view = self._view("finish" if finish else "denoiser", y)

        def observe(state: Mapping[str, Any]) -> Any:
            return self.units.observe(finish(state["x"]) if finish else state["x"], view)

        return replace(loop, finish=observe, outputs={"x": space.tensor})

    def _decoded_noise(self, decode: Method) -> Method:
        """`sample` as `decode` of noise, for a decoder whose latents have a prior."""
        ((name, noise),) = self.noise.items()
        if noise.shape != decode.inputs["z"].shape:
            raise InputError(f"noise has the shape {noise.shape} and a latent {decode.inputs['z'].shape}.")
        if not isinstance(decode, Call):
            raise InputError("noise= needs sample= where decode= is a loop.")
        inner = decode.function
        inputs = {n: t for n, t in decode.inputs.items() if n != "z"}
        return replace(
            decode, function=lambda noise, **more: inner(z=noise, **more), inputs=inputs, noise={name: noise}
        )

    # ---- the other methods -------------------------------------------------------------------------------------

    def _log_prob(self, given: Given) -> Method:
        inputs, named = self._on_x(given)
        x = named.pop("x")
        y = self.probe.run("log_prob", lambda: given(x, **named), "It gets raw observations of the space.")
        self.probe.check("log_prob", y)
        shape = tuple(y.shape[1:])
        if shape not in ((), (1,)):
            raise InputError(
                f"log_prob gives {_rows(shape)}; expected one number for each example, (N,): sum the rest."
            )

        def function(x: Any, **named: Any) -> Any:
            return self.network.cast(given(x, **named).reshape(-1), "float32")

        return Call(function, inputs, {"log_prob": Tensor("float32")}, options=self._taken(given))

    def _encode(self, given: Given) -> Method:
        raw, inputs, y = self._of_observations(given)
        self.latent = self.latent or tuple(y.shape[1:])
        if tuple(y.shape[1:]) != self.latent:
            raise InputError(f"encode gives {_rows(tuple(y.shape[1:]))}; latent= says {_rows(self.latent)}.")
        return Call(
            lambda **named: self.network.cast(raw(**named), "float32"),
            inputs,
            {"z": Tensor("float32", self.latent)},
            options=self._taken(given),
        )

    def _decode(self, given: Given) -> Method:
        if self.latent is None and isinstance(self.given.get("encode"), Call | Loop):
            self.latent = tuple(int(d) for d in self.given["encode"].outputs["z"].shape)
        elif self.latent is None and "encode" in self.given:
            self.latent = self._latent_of_encoder()
        if self.latent is None:
            if len(self.noise) != 1:
                raise InputError("decode= alone does not say how large a latent is: give latent=16, or encode= too.")
            (self.latent,) = (tuple(int(d) for d in n.shape) for n in self.noise.values())
        given.bind(("z",), self.options, self.network.classes is not None)
        self.adapted.append(given)
        inputs = {"z": Tensor("float32", self.latent)} | self._label(given)
        named = self.probe.arguments("decode", inputs, {})
        z = named.pop("z")
        y = self.probe.run("decode", lambda: given(z, **named))
        view = self._view("decode", y)

        def function(z: Any, **named: Any) -> Any:
            return self.units.observe(given(z, **named), view)

        return Call(function, inputs, {"x": self.wish.space.tensor}, options=self._taken(given))

    def _latent_of_encoder(self) -> tuple[int, ...]:
        """The shape of a latent, which no range of an image's floats changes."""
        units, adapted, views = self.units, list(self.adapted), dict(self.views)
        guessed = units.image is not None and units.values is None
        try:
            try:
                y = self._of_observations(Given("encode", self.given["encode"]))[2]
            except InputError:
                if not guessed:
                    raise
                units.values = (0.0, 1.0)
                y = self._of_observations(Given("encode", self.given["encode"]))[2]
        finally:
            if guessed:
                units.values = None
            self.adapted, self.views = adapted, views
        return tuple(y.shape[1:])

    def _predict(self, given: Given) -> Method:
        raw, inputs, y = self._of_observations(given)
        classes, shape = self.network.classes, tuple(y.shape[1:])
        probe.check_prediction(self.network.numpy(y), classes if "label" not in given.keywords else None)
        out = () if shape == (1,) else shape
        return Call(
            lambda **named: self.network.cast(raw(**named).reshape(-1, *out), "float32"),
            inputs,
            {"y": Tensor("float32", out)},
            options=self._taken(given),
        )

    def _on_x(self, given: Given) -> tuple[dict[str, Tensor], dict[str, Any]]:
        given.bind(("x",), self.options, self.network.classes is not None and given.what != "predict")
        self.adapted.append(given)
        inputs = {"x": self.wish.space.tensor} | self._label(given)
        return inputs, self.probe.arguments(given.what, inputs, {})

    def _of_observations(self, given: Given) -> tuple[Callable[..., Any], dict[str, Tensor], Any]:
        """A function of observations in its own units, with its inputs and its output on examples."""
        inputs, arguments = self._on_x(given)
        x = arguments.pop("x")
        units = self.units
        scaled = units.image is not None and units.values is not None
        views = [View(layout) for layout in units.layouts()] if scaled else [View()]
        views.sort(key=lambda v: v.layout not in {seen.layout for seen in self.views.values()})
        hint = "" if scaled or not units.image else (
            "It gets raw observations, uint8 with the channels last; with values=(0, 1) or (-1, 1) it gets floats in "
            "the layout of the framework."
        )  # fmt: skip
        failed: InputError | None = None
        for view in views:
            try:
                y = self.probe.run(given.what, partial(_presented, given, units, view, x, arguments), hint)
                break
            except InputError as error:
                failed = failed or error
        else:
            assert failed
            raise failed
        self.probe.check(given.what, y)
        self.views[given.what] = view
        return lambda x, **named: given(units.present(x, view), **named), inputs, y

    # ---- help --------------------------------------------------------------------------------------------------

    def _bind(self, what: str, tensors: Any, extra: Sequence[str] = ()) -> Given:
        given = Given(what, self.given[what])
        given.bind(tensors, self.options, self.network.classes is not None, extra)
        self.adapted.append(given)
        return given

    def _after(self, what: str) -> Given | None:
        """`finish` or `until`, which see the state alone."""
        if what not in self.given:
            return None
        given = Given(what, self.given[what])
        given.bind(("state",), (), False)
        return given

    def _label(self, *given: Given) -> dict[str, Tensor]:
        return {"label": Tensor("int64")} if any("label" in g.keywords for g in given) else {}

    def _taken(self, given: Given) -> dict[str, Option]:
        return {n: o for n, o in self.options.items() if n in given.keywords}

    def _view(self, what: str, y: Any) -> View:
        """Checks an output that stands for observations."""
        self.probe.check(what, y)
        view = self.units.recognise(what, tuple(y.shape[1:]), probe.dtype_name(y))
        if self.units.image is None or view.integers:
            values = self.network.numpy(y).reshape(len(y), *self.wish.space.shape)  # an image's axes in any order
            self.wish.space.check(values, f"what {what} gives")
        self.views[what] = view
        return view

    def _infer_values(self, method: str) -> None:
        """The range of the floats of an image, from draws of the whole method."""
        view = next((v for what, v in reversed(self.views.items()) if what != "encode"), None)
        if not self.units.image or self.units.values is not None or view is None or view.integers:
            return
        if isinstance(self.given.get(method), (Call, Loop)):
            return
        count = max(4, min(32, 2**18 // self.wish.space.size))
        low, high = self.probe.extremes(EagerModel(self.network, self.name), method, count)
        self.units.values = infer_values(method, low, high)
        self.inferred = f"inferred from {count} draws of {method}, {low:.3g} to {high:.3g}"


def _presented(given: Given, units: Units, view: View, x: Any, more: Mapping[str, Any]) -> Any:
    return given(units.present(x, view), **more)


def labels(classes: Any) -> Labels | None:
    """`Labels` from names or from how many there are."""
    if classes is None or isinstance(classes, Labels):
        return classes
    if isinstance(classes, int) and not isinstance(classes, bool) and classes > 1:
        return Labels(tuple(map(str, range(classes))))
    if isinstance(classes, (list, tuple)) and len(classes) > 1:
        return Labels(tuple(map(str, classes)))
    raise InputError(f"classes is {classes!r}; expected the names of at least two classes, or how many there are.")


def read_options(options: Any) -> dict[str, Option]:
    made = {}
    for name, option in dict(options or {}).items():
        if isinstance(option, Option):
            made[name] = option
        elif isinstance(option, (int, float)) and not isinstance(option, bool):
            made[name] = Option(option)
        else:
            raise InputError(f"option {name!r} is {option!r}; expected a number or zoo.Option(...).")
    return made


def read_noise(noise: Any, name: str) -> dict[str, Noise]:
    """Noise by name, from one, several in a row, or a dict."""
    if noise is None:
        return {}
    if isinstance(noise, Noise):
        noise = {name: noise}
    elif isinstance(noise, (list, tuple)):
        noise = {f"{name}_{i}": n for i, n in enumerate(noise)}
    if not isinstance(noise, Mapping) or not all(isinstance(n, Noise) for n in noise.values()):
        raise InputError(f"{name} is {noise!r}; expected zoo.Normal(...) or zoo.Uniform(...), or several in a tuple.")
    return dict(noise)


def _functions(given: Any) -> Any:
    """What is called, of a function or of the parts of a call or loop."""
    return [getattr(given, f.name) for f in dataclasses.fields(given)] if isinstance(given, (Call, Loop)) else given


def _shape(latent: Any) -> tuple[int, ...] | None:
    if latent is None:
        return None
    shape = (latent,) if isinstance(latent, int) else tuple(latent)
    if not all(isinstance(d, int) and d > 0 for d in shape):
        raise InputError(f"latent is {latent!r}; expected a whole number, or the shape of one latent.")
    return shape


def _title(given: Mapping[str, Any]) -> str:
    """What to call a model or function: the class of a module, or a function's own name."""
    for function in given.values():
        name = getattr(function, "__name__", None) or type(function).__name__
        if name not in ("<lambda>", "Call", "Loop", "partial"):
            return str(name)
    return "wrapped"


def _rows(shape: tuple[int, ...]) -> str:
    return f"(N, {', '.join(map(str, shape))})" if shape else "(N,)"


__all__ = ["FUNCTIONS", "Given", "Wish", "WrapConfig", "WrappedNetwork", "build"]
